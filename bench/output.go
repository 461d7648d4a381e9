package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
)

// figure prints a number with three digits that count.
func figure(x float64) string {
	switch a := math.Abs(x); {
	case x == 0:
		return "0"
	case a >= 1000:
		s, out := strconv.FormatFloat(x, 'f', 0, 64), ""
		for len(s) > 3 {
			s, out = s[:len(s)-3], ","+s[len(s)-3:]+out
		}
		return s + out
	case a >= 100:
		return strconv.FormatFloat(x, 'f', 0, 64)
	case a >= 10:
		return strconv.FormatFloat(x, 'f', 1, 64)
	}
	return strconv.FormatFloat(x, 'g', 3, 64)
}

func times(x float64) string { return fmt.Sprintf("%.2f", x) }

// head tells when, where and with what the figures were taken.
func (r *report) head() string {
	peer := "C SQLite " + r.SQLite
	if r.SQLite == "" {
		peer = "built without cgo: no C SQLite to compare with"
	}
	return fmt.Sprintf("%s, %s, %s/%s, %d cores, %s; %d rounds of %gs, interleaved",
		r.Date, r.Go, r.OS, r.Arch, r.CPUs, peer, r.Rounds, r.Seconds)
}

// writeTable prints the report for people.
func writeTable(out io.Writer, r report) error {
	fmt.Fprintln(out, r.head())
	for _, w := range r.Workloads {
		fmt.Fprintf(out, "\n%s: %s\n", w.Name, w.Title)
		t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
		main := w.Metrics[0]
		line := []string{"engine", main.Unit, "min", "max", "× sqlite", "min", "max"}
		if w.Limit != "" {
			line = append(line, "× "+w.Limit)
		}
		for _, m := range w.Metrics[1:] {
			line = append(line, m.Name+" "+m.Unit)
			if !m.NoRatio {
				line = append(line, "× sqlite")
			}
		}
		fmt.Fprintln(t, strings.Join(line, "\t")+"\t")
		for _, x := range w.Results {
			v := x.Values[main.Name]
			line := []string{x.Engine, figure(v.Median), figure(v.Min), figure(v.Max)}
			line = append(line, v.Ratio.cells()...)
			if w.Limit != "" {
				line = append(line, v.OfLimit.cells()[0])
			}
			for _, m := range w.Metrics[1:] {
				s, there := x.Values[m.Name]
				if there {
					line = append(line, figure(s.Median))
				} else {
					line = append(line, "-")
				}
				if !m.NoRatio {
					line = append(line, s.Ratio.cells()[0])
				}
			}
			fmt.Fprintln(t, strings.Join(line, "\t")+"\t")
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(out, "\nMedians of the rounds, with the least and the greatest. Ratios are taken within a\nround; more is better where the figure is a rate, less where it is a time or a size.")
	return err
}

// cells are median, least and greatest.
func (r *ratio) cells() []string {
	if r == nil {
		return []string{"-", "-", "-"}
	}
	return []string{times(r.Median), times(r.Min), times(r.Max)}
}

// columnsOf the table for documents: engines by their names, and how they are
// called there.
var columnsOf = []struct{ engine, title string }{
	{walnutName, "Walnut"}, {peerName, "C SQLite"}, {moderncName, "modernc"}, {ncrucesName, "ncruces"}, {pagesName, "Walnut, pages"}, {bboltName, "bbolt"},
}

// writeMarkdown prints the table of a document: a row for each metric that is
// compared.
func writeMarkdown(out io.Writer, r report) error {
	var b strings.Builder
	b.WriteString("| workload | unit |")
	rule := "\n| --- | --- |"
	for _, c := range columnsOf {
		b.WriteString(" " + c.title + " |")
		rule += " ---: |"
		if c.engine == walnutName {
			b.WriteString(" × C SQLite |")
			rule += " ---: |"
		}
	}
	b.WriteString(" the limit |" + rule + " ---: |\n")
	for _, w := range r.Workloads {
		for k, m := range w.Metrics {
			if k > 0 && m.NoRatio || !w.knows() {
				continue
			}
			name := w.Name
			if k > 0 {
				name += ", " + m.Name
			}
			fmt.Fprintf(&b, "| %s | %s |", name, m.Unit)
			for _, c := range columnsOf {
				v := w.value(c.engine, m.Name)
				b.WriteString(" " + v.markdown() + " |")
				if c.engine == walnutName {
					b.WriteString(" " + v.Ratio.markdown() + " |")
				}
			}
			limit := spread{}
			if k == 0 && w.Limit != bboltName {
				limit = w.value(w.Limit, m.Name)
			}
			b.WriteString(" " + limit.markdown() + " |\n")
		}
	}
	for _, w := range r.Workloads {
		if w.knows() {
			continue
		}
		var list []string
		for _, x := range w.Results {
			list = append(list, x.Engine+" "+figure(x.Values[w.Metrics[0].Name].Median))
		}
		fmt.Fprintf(&b, "\n%s (%s): %s.\n", w.Title, w.Metrics[0].Unit, strings.Join(list, ", "))
	}
	b.WriteString("\nMedians; in brackets the least and the greatest of the rounds. " + r.head() + ".\n")
	_, err := io.WriteString(out, b.String())
	return err
}

// knows reports whether the workload's engines are columns of the table.
func (w *workloadReport) knows() bool {
	for _, c := range columnsOf {
		if w.value(c.engine, w.Metrics[0].Name).Rounds != nil {
			return true
		}
	}
	return false
}

func (w *workloadReport) value(engine, metric string) spread {
	for _, x := range w.Results {
		if x.Engine == engine {
			return x.Values[metric]
		}
	}
	return spread{}
}

func (s spread) markdown() string {
	if s.Rounds == nil {
		return ""
	}
	return figure(s.Median)
}

func (r *ratio) markdown() string {
	if r == nil {
		return ""
	}
	return fmt.Sprintf("%s [%s–%s]", times(r.Median), times(r.Min), times(r.Max))
}

// The table stands between these lines of a document.
const (
	fillBegin = "<!-- figures: written by bench -fill -->\n"
	fillEnd   = "<!-- /figures -->\n"
)

// fill puts the table into a document, between its two lines.
func fill(file string, r report) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, ok := bytes.Cut(text, []byte(fillBegin))
	_, after, ok2 := bytes.Cut(rest, []byte(fillEnd))
	if !ok || !ok2 {
		return fmt.Errorf("%s has not got the lines %q and %q, between which the table goes", file, strings.TrimSpace(fillBegin), strings.TrimSpace(fillEnd))
	}
	var b bytes.Buffer
	b.Write(before)
	b.WriteString(fillBegin)
	if err := writeMarkdown(&b, r); err != nil {
		return err
	}
	b.WriteString(fillEnd)
	b.Write(after)
	return os.WriteFile(file, b.Bytes(), 0o644)
}

// writeJSON writes the report for scripts.
func writeJSON(file string, r report) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o644)
}

// readJSON reads what writeJSON wrote.
func readJSON(file string) (r report, err error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return r, fmt.Errorf("%s: %w", file, err)
	}
	return r, nil
}
