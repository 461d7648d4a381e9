//go:build !cgo

package main

// peers are the engines that Walnut is compared with: none without cgo.
func peers() []engine { return nil }

// peerVersion names the peer: there is none.
func peerVersion() string { return "" }
