//go:build cgo

package main

import sqlite3 "github.com/mattn/go-sqlite3"

// peers are the engines that need cgo: C SQLite.
func peers() []sqlEngine {
	return []sqlEngine{standard(peerName, "sqlite3", "_busy_timeout=600000")}
}

// peerVersion names the peer.
func peerVersion() string {
	v, _, _ := sqlite3.Version()
	return v
}
