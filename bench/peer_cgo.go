//go:build cgo

package main

import (
	"context"

	sqlite3 "github.com/mattn/go-sqlite3"
)

// peers are the engines that Walnut is compared with: C SQLite.
func peers() []engine {
	return []engine{{name: peerName, open: func(ctx context.Context, dir string, writers int) (session, error) {
		return openSQL(ctx, "sqlite3", dataSource(dir, "_journal_mode=WAL", "_synchronous=FULL", "_busy_timeout=600000"), writers)
	}}}
}

// peerVersion names the peer.
func peerVersion() string {
	v, _, _ := sqlite3.Version()
	return v
}
