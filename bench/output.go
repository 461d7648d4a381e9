package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"
	"time"
)

// writeTable prints the report for people.
func writeTable(out io.Writer, r report) error {
	peer := "C SQLite " + r.SQLite
	if r.SQLite == "" {
		peer = "built without cgo: no C SQLite to compare with"
	}
	fmt.Fprintf(out, "%s, %s, %s/%s, %d cores, %s\n", r.Date, r.Go, r.OS, r.Arch, r.CPUs, peer)
	fmt.Fprintf(out, "one-row transactions at synchronous=FULL; %d rounds of %gs, interleaved\n\n", r.Rounds, r.Seconds)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "writers\tengine\tcommits/s\tmin\tmax\t× SQLite\tmin\tmax\tp50\tp99\tlongest\tleast of a writer\tgot nothing\t")
	for i, x := range r.Results {
		if i > 0 && r.Results[i-1].Writers != x.Writers {
			fmt.Fprintln(w, "\t\t\t\t\t\t\t\t\t\t\t\t\t")
		}
		ratio := "-\t-\t-"
		if x.Ratio > 0 {
			ratio = fmt.Sprintf("%.2f\t%.2f\t%.2f", x.Ratio, x.RatioMin, x.RatioMax)
		}
		fmt.Fprintf(w, "%d\t%s\t%.0f\t%.0f\t%.0f\t%s\t%s\t%s\t%s\t%d\t%d\t\n", x.Writers, x.Engine,
			x.Median, x.Min, x.Max, ratio, duration(x.P50), duration(x.P99), duration(x.Longest), x.LeastOfAWriter, x.Starved)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(out, "\nraw: one goroutine, whatever the number of writers. × SQLite: median, least and\n"+
		"greatest of the rounds. longest: the longest wait, also of a commit that was\nstill waiting at the end. Writers are compared within one round.")
	return err
}

// writeMarkdown prints the table of the README.
func writeMarkdown(out io.Writer, r report) error {
	cell := map[string]string{}
	var writers []int
	for _, x := range r.Results {
		if !slices.Contains(writers, x.Writers) {
			writers = append(writers, x.Writers)
		}
		text := fmt.Sprintf("%.0f [%.0f–%.0f]", x.Median, x.Min, x.Max)
		if x.Engine == walnutEngine.name {
			text += fmt.Sprintf(" | %.2f [%.2f–%.2f] | %d | %s", x.Ratio, x.RatioMin, x.RatioMax, x.LeastOfAWriter, duration(x.P99))
		} else if x.Engine == peerName {
			text += fmt.Sprintf(" | %d of %d | %s", x.Starved, x.Writers, duration(x.P99))
		}
		cell[fmt.Sprint(x.Writers, x.Engine)] = text
	}
	b := "| writers | disk alone | Walnut | × C SQLite | least of a writer | p99 | C SQLite | writers with nothing | p99 |\n" +
		"| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"
	for _, n := range writers {
		b += fmt.Sprintf("| %d | %s | %s | %s |\n", n, cell[fmt.Sprint(n, rawEngine.name)],
			cell[fmt.Sprint(n, walnutEngine.name)], cell[fmt.Sprint(n, peerName)])
	}
	_, err := io.WriteString(out, b)
	return err
}

// duration prints microseconds with three digits.
func duration(us float64) string {
	d := time.Duration(us * float64(time.Microsecond))
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%dµs", d.Microseconds())
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.2fms", d.Seconds()*1e3)
	}
	return fmt.Sprintf("%.0fms", d.Seconds()*1e3)
}

// writeJSON writes the report for scripts.
func writeJSON(file string, r report) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o644)
}
