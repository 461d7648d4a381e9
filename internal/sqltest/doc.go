// Package sqltest has no code of its own. Its tests run SQL through the driver
// and compare with C SQLite: the fixtures that were made with it, and the
// sqlite3 command.
package sqltest
