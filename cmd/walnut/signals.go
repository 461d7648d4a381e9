package main

// This file ends a command on Ctrl-C in order: what it does is cancelled, and
// files are closed.

import (
	"context"
	"os"
	"os/signal"
)

func untilInterrupt(ctx context.Context) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(ctx, os.Interrupt)
}
