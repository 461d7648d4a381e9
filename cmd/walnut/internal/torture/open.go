package torture

// This file opens the database as an application would: through the driver.

import (
	"database/sql"
	"net/url"
	"path/filepath"

	_ "github.com/walnutdb/walnut/driver" // registers "walnut"
)

// openDB opens a database at sync level FULL, the default; workers choose their
// own. Waiting longer than a minute is a failure.
func openDB(path string) (*sql.DB, error) {
	u := url.URL{Path: filepath.ToSlash(path)}
	return sql.Open("walnut", "file:"+u.EscapedPath()+"?_busy_timeout=60s")
}
