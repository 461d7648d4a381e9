//go:build cgo

package main

import sqlite3 "github.com/mattn/go-sqlite3"

// peers are the engines to compare with: C SQLite.
func peers() []engine {
	return []engine{{name: "sqlite", driver: "sqlite3", params: "_busy_timeout=600000"}}
}

// judge is the driver that checks files when all is over.
const judge = "sqlite3"

// peerVersion names the peer.
func peerVersion() string {
	v, _, _ := sqlite3.Version()
	return v
}
