//go:build unix

package main

// This file keeps a closed standard output from ending the process.

import (
	"os/signal"
	"syscall"
)

func ignoreBrokenPipe() { signal.Ignore(syscall.SIGPIPE) }
