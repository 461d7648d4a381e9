package main

// This file prints named values: a table on a terminal, lines in a pipe.

import (
	"encoding/json"
	"fmt"
	"io"
)

// field is a name and a value for people.
type field struct{ name, value string }

func writeFields(out io.Writer, fields []field) error {
	if !isTerminal(out) {
		for _, f := range fields {
			if _, err := fmt.Fprintf(out, "%s: %s\n", f.name, f.value); err != nil {
				return err
			}
		}
		return nil
	}
	rows := make([][]string, len(fields))
	for i, f := range fields {
		rows[i] = []string{cell(f.name), cell(f.value)}
	}
	return writeTable(out, nil, rows)
}

// writeJSON prints v for scripts, and for people who look over their shoulder.
func writeJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
