//go:build !cgo

package main

// peers are the engines that need cgo: none without it.
func peers() []sqlEngine { return nil }

// peerVersion names the peer: there is none.
func peerVersion() string { return "" }
