package main

// This file makes text of others fit for a terminal. A label, a statement or a
// file's name may hold escape sequences, which would move the cursor, change
// the title or answer in the user's name; and characters that show a line in
// another order than it is written.

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"charm.land/lipgloss/v2"
)

// harmless is s on one line: white space is a space, and what is not printed,
// is no UTF-8 or only changes how the rest is shown is U+FFFD.
func harmless(s string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c == '\n', c == '\t', c == '\r', unicode.Is(unicode.Z, c):
			return ' '
		case c == utf8.RuneError, !unicode.IsGraphic(c):
			return unicode.ReplacementChar
		}
		return c
	}, s)
}

// fit is s, made harmless, in exactly n cells: cut with an ellipsis, or filled
// with spaces.
func fit(s string, n int) string {
	s = clip(s, n)
	return s + strings.Repeat(" ", max(0, n-lipgloss.Width(s)))
}

// clip is s, made harmless, in at most n cells.
func clip(s string, n int) string {
	s = harmless(s)
	if lipgloss.Width(s) <= n {
		return s
	}
	// A cell holds a bounded number of runes, so a long text is not measured as
	// a whole for each rune that is taken away.
	r := []rune(s)
	r = r[:min(len(r), max(n, 0)*4)]
	for len(r) > 0 && lipgloss.Width(string(r))+1 > n {
		r = r[:len(r)-1]
	}
	if n < 1 {
		return ""
	}
	return string(r) + "…"
}
