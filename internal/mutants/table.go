package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// outcome is what became of a mutant, in words.
func (r *result) outcome() string {
	switch {
	case r.err != nil:
		return "NOT RUN: " + r.err.Error()
	case r.killer == "":
		return "SURVIVED"
	case r.by != "":
		return "killed by " + r.killer + ", " + r.by
	}
	return "killed by " + r.killer
}

// table is the end of a run.
type table struct {
	results []result
	rules   []rule
	// all mutants are in it, so that what has none is to be told.
	all bool
}

// sorted has the results with those that were not killed last.
func (t *table) sorted() []result {
	list := slices.Clone(t.results)
	slices.SortStableFunc(list, func(a, b result) int { return rankOf(a) - rankOf(b) })
	return list
}

func rankOf(r result) int {
	if r.err == nil && r.killer != "" {
		return 0
	}
	return 1
}

// bad counts the mutants that were not killed.
func (t *table) bad() (n int) {
	for _, r := range t.results {
		n += rankOf(r)
	}
	return n
}

// rulesOf words the rules that m breaks.
func (t *table) rulesOf(m *mutant) string {
	var list []string
	for _, id := range m.rules {
		i := slices.IndexFunc(t.rules, func(r rule) bool { return r.id == id })
		if i < 0 {
			list = append(list, id)
			continue
		}
		list = append(list, t.rules[i].section()+": "+t.rules[i].text)
	}
	return strings.Join(list, "; ")
}

// summary is the last line.
func (t *table) summary() string {
	var seconds float64
	for _, r := range t.results {
		seconds += r.seconds
	}
	return fmt.Sprintf("%d mutants, %d killed, %d not; %.0f s", len(t.results), len(t.results)-t.bad(), t.bad(), seconds)
}

// print writes the table for a terminal.
func (t *table) print(w io.Writer) {
	tab := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(tab, "MUTANT\tRULE\tOUTCOME\tSECONDS")
	for _, r := range t.sorted() {
		_, _ = fmt.Fprintf(tab, "%s\t%s\t%s\t%.0f\n", r.m.name, strings.Join(r.m.rules, ", "), r.outcome(), r.seconds)
	}
	_ = tab.Flush()
	if t.all {
		for _, r := range t.rules {
			if r.without != "" {
				_, _ = fmt.Fprintf(w, "no mutant: %s (%s)\n", r.text, r.without)
			}
		}
	}
	_, _ = fmt.Fprintln(w, t.summary())
}

// markdown is the table for a document.
func (t *table) markdown() string {
	var b strings.Builder
	b.WriteString("| mutant | promise | rule of the design | killed by | s |\n| --- | --- | --- | --- | --- |\n")
	for _, r := range t.sorted() {
		out := strings.TrimPrefix(r.outcome(), "killed by ")
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %.0f |\n", r.m.name, cell(r.m.promise), cell(t.rulesOf(r.m)), cell(out), r.seconds)
	}
	if t.all {
		b.WriteString("\n| rule of the design | why it has no mutant |\n| --- | --- |\n")
		for _, r := range t.rules {
			if r.without != "" {
				fmt.Fprintf(&b, "| %s: %s | %s |\n", r.section(), cell(r.text), cell(r.without))
			}
		}
	}
	b.WriteString("\n" + t.summary() + "\n")
	return b.String()
}

func cell(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "|", "\\|"), "\n", " ")
}
