package main

import (
	"fmt"
	"html"
	"math"
	"os"
	"strconv"
	"strings"
)

// This file draws the ratios to C SQLite: one line for each workload, one dot
// for each engine with its least and greatest round, on a scale of powers of
// two. Further to the right is better, for times and sizes too.

// plotted are the engines with a dot, by their class in the style.
var plotted = []struct{ engine, class, title string }{
	{walnutName, "walnut", "Walnut"}, {pagesName, "pages", "Walnut, pages without SQL"},
	{moderncName, "modernc", "modernc"}, {ncrucesName, "ncruces", "ncruces"}, {bboltName, "bbolt", "bbolt"}, {"raw", "raw", "the disk alone"},
}

const plotStyle = `
    .paper { fill: #ffffff; stroke: #d9d3ca; }
    .grid  { stroke: #e7e1d8; stroke-width: 1; }
    .one   { stroke: #5d5146; stroke-width: 1.6; }
    .name  { font: 600 13px system-ui, "Segoe UI", Helvetica, "DejaVu Sans", sans-serif; fill: #2b2118; }
    .say   { font: 12px system-ui, "Segoe UI", Helvetica, "DejaVu Sans", sans-serif; fill: #5d5146; }
    .mid   { text-anchor: middle; }
    .end   { text-anchor: end; }
    .walnut { fill: #8a5a24; stroke: #8a5a24; } .pages { fill: #c98d3c; stroke: #c98d3c; } .modernc { fill: #3f7ca8; stroke: #3f7ca8; }
    .ncruces { fill: #4f8f5b; stroke: #4f8f5b; } .bbolt { fill: #9a5aa0; stroke: #9a5aa0; } .raw { fill: none; stroke: #8b8178; stroke-width: 1.6; }
    @media (prefers-color-scheme: dark) {
      .paper { fill: #17130f; stroke: #3b332b; }
      .grid  { stroke: #2b241d; }
      .one   { stroke: #c2b5a6; }
      .name  { fill: #f3ebe1; }
      .say   { fill: #c2b5a6; }
      .walnut { fill: #e0a25a; stroke: #e0a25a; } .pages { fill: #f2cf98; stroke: #f2cf98; } .modernc { fill: #77b2dc; stroke: #77b2dc; }
      .ncruces { fill: #86c492; stroke: #86c492; } .bbolt { fill: #c995ce; stroke: #c995ce; } .raw { stroke: #a79b8f; }
    }
`

// writePlot writes the plot as an SVG file.
func writePlot(file string, r report) error {
	if r.SQLite == "" {
		return fmt.Errorf("%s: there is no plot of ratios without C SQLite", file)
	}
	return os.WriteFile(file, []byte(plot(r)), 0o644)
}

// dot is a ratio to C SQLite of which more is better.
type dot struct {
	class             string
	median, low, high float64
}

// dots of one metric of a workload.
func dots(w *workloadReport, m metric) []dot {
	var list []dot
	for _, p := range plotted {
		q := w.value(p.engine, m.Name).Ratio
		if q == nil || q.Min <= 0 {
			continue
		}
		d := dot{p.class, q.Median, q.Min, q.Max}
		if m.Lower {
			d = dot{p.class, 1 / q.Median, 1 / q.Max, 1 / q.Min}
		}
		list = append(list, d)
	}
	return list
}

func plot(r report) string {
	const left, right, top, row, width = 190.0, 30.0, 70.0, 26.0, 820.0
	type line struct {
		label string
		dots  []dot
	}
	var lines []line
	low, high := 0.5, 2.0
	for i := range r.Workloads {
		w := &r.Workloads[i]
		for k, m := range w.Metrics {
			d := dots(w, m)
			if m.NoRatio || len(d) == 0 || strings.Contains(m.Name, "p99") || k > 0 && m.Name == "time" {
				continue // time is speed once more
			}
			label := w.Name
			if k > 0 || w.Name == "mixed" {
				label += ", " + m.Name
			}
			lines = append(lines, line{label, d})
			for _, x := range d {
				low, high = min(low, x.median), max(high, x.median)
			}
		}
	}
	from, to := math.Floor(math.Log2(low)), math.Ceil(math.Log2(high))
	x := func(v float64) float64 {
		l := min(max(math.Log2(v), from), to)
		return left + (l-from)/(to-from)*(width-left-right)
	}
	height := top + row*float64(len(lines)) + 30
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" width="%g" height="%g" role="img" aria-labelledby="title desc">`+"\n", width, height, width, height)
	fmt.Fprintf(&b, "  <title id=\"title\">Speed compared with C SQLite</title>\n  <desc id=\"desc\">For each workload the ratio to C SQLite in the same round, median, least and greatest, on a scale of powers of two. %s.</desc>\n",
		html.EscapeString(r.head()))
	fmt.Fprintf(&b, "  <style>%s  </style>\n  <rect class=\"paper\" x=\"0.5\" y=\"0.5\" width=\"%g\" height=\"%g\" rx=\"12\"/>\n", plotStyle, width-1, height-1)
	at := 20.0
	for _, p := range plotted {
		fmt.Fprintf(&b, "  <circle class=\"%s\" cx=\"%.1f\" cy=\"22\" r=\"5\"/><text class=\"say\" x=\"%.1f\" y=\"26\">%s</text>\n", p.class, at, at+10, p.title)
		at += 40 + 7*float64(len(p.title))
	}
	for e := from; e <= to; e++ {
		class, v := "grid", math.Exp2(e)
		if e == 0 {
			class = "one"
		}
		fmt.Fprintf(&b, "  <path class=\"%s\" d=\"M%.1f %g V%g\"/><text class=\"say mid\" x=\"%.1f\" y=\"%g\">%s×</text>\n",
			class, x(v), top-12, height-26, x(v), top-20, strconv.FormatFloat(v, 'g', 4, 64))
	}
	for i, l := range lines {
		y := top + row*float64(i) + row/2
		fmt.Fprintf(&b, "  <text class=\"name end\" x=\"%g\" y=\"%.1f\">%s</text>\n", left-14, y+4, html.EscapeString(l.label))
		for k := len(l.dots) - 1; k >= 0; k-- { // Walnut's on top
			d := l.dots[k]
			fmt.Fprintf(&b, "  <g class=\"%s\"><path d=\"M%.1f %.1f H%.1f\" stroke-width=\"2\" opacity=\"0.6\"/><circle cx=\"%.1f\" cy=\"%.1f\" r=\"5\"/></g>\n",
				d.class, x(d.low), y, x(d.high), x(d.median), y)
		}
	}
	fmt.Fprintf(&b, "  <text class=\"say\" x=\"20\" y=\"%g\">C SQLite %s = 1; further right is better. %s, %d cores, %s</text>\n</svg>\n",
		height-9, html.EscapeString(r.SQLite), html.EscapeString(r.Date[:min(10, len(r.Date))]), r.CPUs, html.EscapeString(r.OS+"/"+r.Arch+", "+r.Go))
	return b.String()
}
