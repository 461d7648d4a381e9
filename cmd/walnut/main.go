// Command walnut runs SQL on a Walnut database, looks at its files, checks,
// checkpoints and copies it, and tortures the engine. One file here per command.
//
// Exit status: 0 fine, 1 error, 2 damage found.
package main

import "os"

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
