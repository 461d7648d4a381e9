package main

import "testing"

// The answers are those of the sqlite3 command 3.40.1.
func TestQuoteReal(t *testing.T) {
	tenth := 0.1 // a variable: constants are exact
	for _, c := range []struct {
		x    float64
		want string
	}{
		{0, "0.0"}, {1.5, "1.5"}, {-2, "-2.0"}, {100000, "100000.0"}, {1e15, "1.0e+15"}, {123456789012345, "123456789012345.0"},
		{tenth + 0.2, "3.00000000000000044408e-01"},
		{-3.1989773242583474e-08, "-3.19897732425834740782e-08"},
		{1e-5, "1.0e-05"}, {0.0001, "0.0001"},
	} {
		if got := quoteReal(c.x); got != c.want {
			t.Errorf("quote(%v) = %s, want %s", c.x, got, c.want)
		}
	}
}
