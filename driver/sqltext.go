// This file reads as much of SQL text as the driver must: where the next
// statement begins, and whether a prepared one may be kept.

package driver

import "strings"

// skipBlank returns sql from its first token on: without leading white space,
// comments and semicolons. SQLite prepares those to nothing and the wrapper
// then forgets what follows.
func skipBlank(sql string) string {
	for {
		sql = strings.TrimLeft(sql, " \t\n\f\r;\ufeff")
		switch {
		case strings.HasPrefix(sql, "--"):
			_, sql, _ = strings.Cut(sql, "\n")
		case strings.HasPrefix(sql, "/*"):
			_, sql, _ = strings.Cut(sql[2:], "*/")
		default:
			return sql
		}
	}
}

// keepable says whether a prepared statement may be kept to be run again. Not
// so a pragma: many take effect when they are prepared, not when they run. And
// statements that are seldom run twice do not push others out.
func keepable(sql string) bool {
	const longest = 16 << 10 // generated text is seldom repeated, and large
	if len(sql) > longest {
		return false
	}
	switch strings.ToUpper(firstWord(sql)) {
	case "SELECT", "INSERT", "UPDATE", "DELETE", "REPLACE", "WITH", "VALUES",
		"BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE":
		return true
	}
	return false
}

// firstWord returns the leading letters of sql.
func firstWord(sql string) string {
	for i := range len(sql) {
		if c := sql[i] | 0x20; c < 'a' || c > 'z' {
			return sql[:i]
		}
	}
	return sql
}
