package main

import (
	"strings"
	"testing"
)

// TestDemo runs it for a moment; package demo has the tests of what runs.
func TestDemo(t *testing.T) {
	out := must(t, "demo", "--for", "200ms")
	for _, has := range []string{"notes       http://127.0.0.1:", "/debug/walnut/\n", "/debug/pprof/\n", "notes.db\n", " commits, "} {
		if !strings.Contains(out, has) {
			t.Errorf("no %q in\n%s", has, out)
		}
	}
	for _, args := range [][]string{{"more"}, {"--for", "0s"}, {"--for", "-1s"}, {"--addr", "nowhere"}} {
		if o := walnut(t, "", append([]string{"demo"}, args...)...); o.status != exitError || o.err == "" {
			t.Errorf("%q: status %d, %q", args, o.status, o.err)
		}
	}
}
