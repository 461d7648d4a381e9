package main

// This file draws "walnut top" as lines of plain text: no escape sequence is in
// a line before it is styled, and each is made harmless once more as it is.

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"charm.land/lipgloss/v2"

	walnutdb "github.com/walnutdb/walnut"
	"github.com/walnutdb/walnut/cmd/walnut/internal/figures"
	"github.com/walnutdb/walnut/walnutweb"
)

// pipeWidth is the width of a picture that is printed, in cells.
const pipeWidth = 100

// look is how a line is styled on a terminal.
type look int

const (
	looksPlain look = iota
	looksTitle
	looksBar
	looksNote
	looksBad
)

var styles = map[look]lipgloss.Style{
	looksTitle: lipgloss.NewStyle().Bold(true),
	looksBar:   lipgloss.NewStyle().Foreground(lipgloss.Cyan),
	looksNote:  lipgloss.NewStyle().Foreground(lipgloss.Yellow),
	looksBad:   lipgloss.NewStyle().Foreground(lipgloss.Red).Bold(true),
}

// topLine is a line of a picture.
type topLine struct {
	text string
	look look
}

// plainLines are lines as text of at most width cells.
func plainLines(lines []topLine, width int) string {
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(strings.TrimRight(clip(l.text, width), " ") + "\n")
	}
	return b.String()
}

// statusLines are the picture of a status, beside an earlier one of the same
// database for the rates; nil if there is none.
func statusLines(s, before *walnutweb.Status, width int) []topLine {
	st := &s.Stats
	l := []topLine{{text: s.Path + "  " + s.Time.Format(time.TimeOnly), look: looksTitle}}
	l = append(l, healthLines(s, width)...)
	l = append(l, topLine{})
	l = append(l, logLines(st, width)...)
	l = append(l, topLine{})
	l = append(l, rateLines(s, before)...)
	l = append(l, topLine{})
	l = append(l, readerLines(s, width)...)
	l = append(l, topLine{})
	l = append(l, writerLines(s, width)...)
	l = append(l, topLine{})
	return append(l, checkpointLines(s, width)...)
}

// healthLines are what the page says first. A page that is older than this command
// may say nothing of the kind.
func healthLines(s *walnutweb.Status, width int) (l []topLine) {
	st, text, k := &s.Stats, s.Health, looksBad
	switch {
	case text != "" && s.Level == "ok":
		k = looksPlain
	case text != "" && s.Level == "note":
		k = looksNote
	case text != "":
	case s.Failed != "":
		text = "The log has failed and refuses writes: " + s.Failed
	case st.LimitFrames > 0 && st.LogFrames >= st.LimitFrames:
		text = "The log is at its limit: writers are held, and readers that stay are detached."
	case st.CheckpointErrors > 0:
		text = fmt.Sprintf("%d checkpoints have failed.", st.CheckpointErrors)
	default:
		return nil
	}
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && lipgloss.Width(line)+1+lipgloss.Width(word) > width {
			l, line = append(l, topLine{line, k}), ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return append(l, topLine{line, k})
}

// cells is n times c; none if n is negative.
func cells(n int, c rune) string { return strings.Repeat(string(c), max(0, n)) }

// logLines are the log as a bar, with the read marks below it.
func logLines(st *walnutdb.Stats, width int) []topLine {
	width = max(10, width)
	all := max(uint64(st.LogFrames), uint64(st.LimitFrames), 1)
	at := func(f walnutdb.FrameNo) int { return int(min(uint64(f), all) * uint64(width) / all) }
	safe := max(st.SafeFrame, st.Backfilled)
	if st.Blocked {
		safe = st.Backfilled
	}
	copied, ready, end := at(st.Backfilled), at(safe), at(st.LogFrames)
	bar := cells(copied, '█') + cells(ready-copied, '▓') + cells(end-ready, '░') + cells(width-end, '·')
	marks := []rune(strings.Repeat(" ", width))
	var held []string
	for i, m := range st.Marks {
		if m.Readers == 0 {
			continue
		}
		marks[min(at(m.Frame), width-1)] = rune('0' + i)
		held = append(held, fmt.Sprintf("%d: frame %s, %s", i, figures.Thousands(uint64(m.Frame)), count(m.Readers, "reader")))
	}
	limit := "no limit"
	if st.LimitFrames > 0 {
		limit = fmt.Sprintf("limit %s (%s)", figures.Thousands(uint64(st.LimitFrames)), figures.Bytes(int64(st.LimitFrames)*int64(st.FrameBytes)))
	}
	l := []topLine{
		{text: fmt.Sprintf("Log  %s frames (%s), %s, generation %d, file %s", figures.Thousands(uint64(st.LogFrames)),
			figures.Bytes(int64(st.LogFrames)*int64(st.FrameBytes)), limit, st.Generation, figures.Bytes(st.LogBytes)), look: looksTitle},
		{text: bar, look: looksBar},
		{text: string(marks)},
		{text: fmt.Sprintf("█ copied %s   ▓ safe %s   ░ kept %s   marks %s", figures.Thousands(uint64(st.Backfilled)), figures.Thousands(uint64(safe)),
			figures.Thousands(uint64(st.LogFrames-min(safe, st.LogFrames))), orNone(strings.Join(held, "; ")))},
	}
	if st.Blocked {
		l = append(l, topLine{"A reader of the database file keeps everything from being copied.", looksNote})
	}
	if st.SideBytes > 0 || st.ReadersDetached > 0 {
		l = append(l, topLine{text: fmt.Sprintf("%s detached, with %s in a side file", count(st.ReadersDetached, "reader"), figures.Bytes(st.SideBytes))})
	}
	return l
}

// rateLines are commits and syncs.
func rateLines(s, before *walnutweb.Status) []topLine {
	st, old := &s.Stats, walnutdb.Stats{}
	var passed time.Duration
	// A count that went back is one of another process.
	if before != nil && before.Stats.Commits <= st.Commits && before.Stats.LogSyncs <= st.LogSyncs && before.Stats.Groups <= st.Groups {
		old, passed = before.Stats, s.Time.Sub(before.Time)
	}
	rate := func(now, then uint64) string {
		if passed <= 0 || now < then {
			return "–/s"
		}
		return fmt.Sprintf("%.1f/s", float64(now-then)/passed.Seconds())
	}
	group := "–"
	if n := st.Groups - old.Groups; n > 0 {
		group = fmt.Sprintf("%.1f", float64(st.Commits-old.Commits)/float64(n))
	}
	syncs := between(st.LogSyncTime, old.LogSyncTime)
	line := func(name, rate string, total uint64, rest string) topLine {
		return topLine{text: fmt.Sprintf("%-8s %12s  %12s in all   %s", name, rate, figures.Thousands(total), rest)}
	}
	return []topLine{
		line("commits", rate(st.Commits, old.Commits), st.Commits, fmt.Sprintf("group size %s, largest %d", group, st.MaxGroup)),
		line("syncs", rate(st.LogSyncs, old.LogSyncs), st.LogSyncs, fmt.Sprintf("p50 %s, p99 %s", quantileText(syncs, 0.5), quantileText(syncs, 0.99))),
	}
}

// between is what was counted between two states of a histogram; all of it if
// that is nothing.
func between(now, then walnutdb.Histogram) walnutdb.Histogram {
	if now.Count <= then.Count {
		return now
	}
	d := now
	d.Count -= then.Count
	for i, n := range then.Buckets {
		d.Buckets[i] -= min(n, d.Buckets[i])
	}
	return d
}

// quantileText is the bound below which the share q of durations lies.
func quantileText(h walnutdb.Histogram, q float64) string {
	if h.Count == 0 {
		return "–"
	}
	rest := uint64(q * float64(h.Count))
	for i, n := range h.Buckets {
		if n > rest {
			return "≤ " + ageText(min(walnutdb.DurationBound(i), time.Duration(h.Max)))
		}
		rest -= n
	}
	return "≤ " + ageText(time.Duration(h.Max))
}

// nameOf is a label, the statement, or both.
func nameOf(label, sql string) string {
	switch {
	case label == "" && sql == "":
		return "(no label)"
	case label == "":
		return sql
	case sql == "":
		return label
	}
	return label + ": " + sql
}

func readerLines(s *walnutweb.Status, width int) []topLine {
	l := []topLine{{text: fmt.Sprintf("Readers  %d", len(s.Readers)), look: looksTitle}}
	const row = "%9s  %10s  %-8s  %s"
	if len(s.Readers) > 0 {
		l = append(l, topLine{text: fmt.Sprintf(row, "age", "log held", "mark", "who")})
	}
	list := slices.Clone(s.Readers)
	slices.SortStableFunc(list, func(a, b walnutdb.ReaderInfo) int { return int(min(max(b.Age-a.Age, -1), 1)) })
	for _, r := range list {
		age, mark, k := ageText(r.Age), fmt.Sprint(r.Mark), looksPlain
		if r.AtLeast {
			age = "≥ " + age
		}
		switch {
		case r.Detached:
			mark, k = "detached", looksNote
		case r.InFile:
			mark = "file"
		}
		l = append(l, topLine{fit(fmt.Sprintf(row, age, figures.Bytes(r.LogBytes), mark, nameOf(r.Label, r.SQL)), width), k})
	}
	return l
}

func writerLines(s *walnutweb.Status, width int) []topLine {
	l := []topLine{{text: fmt.Sprintf("Writers  %d, %d in the queue", len(s.Writers), s.Stats.QueuedWriters), look: looksTitle}}
	for _, w := range s.Writers {
		state := "writes"
		switch {
		case w.Waiting:
			state = "waits"
		case w.Held:
			state = "held"
		case w.Maintenance:
			state = "works"
		}
		l = append(l, topLine{text: fit(fmt.Sprintf("%9s  %-10s  %s", ageText(w.Age), state, nameOf(w.Label, w.SQL)), width)})
	}
	return l
}

// mostCheckpoints is how many of the last are shown.
const mostCheckpoints = 5

func checkpointLines(s *walnutweb.Status, width int) []topLine {
	l := []topLine{{text: fmt.Sprintf("Checkpoints  %s, %s failed", figures.Thousands(s.Stats.Checkpoints), figures.Thousands(s.Stats.CheckpointErrors)), look: looksTitle}}
	list := slices.Clone(s.Checkpoints)
	slices.Reverse(list)
	for _, c := range list[:min(len(list), mostCheckpoints)] {
		rest, k := "", looksPlain
		switch {
		case c.Err != "":
			rest, k = "failed: "+c.Err, looksBad
		case c.WaitedFor != "":
			rest, k = "waited for "+c.WaitedFor, looksNote
		}
		mode := c.Mode
		if c.Auto {
			mode += ", auto"
		}
		text := fmt.Sprintf("%9s ago  took %9s  %-15s  %s pages, %s of %s frames", ageText(c.Ago), ageText(c.Duration), mode,
			figures.Thousands(uint64(c.Pages)), figures.Thousands(uint64(c.Backfilled)), figures.Thousands(uint64(c.LogFrames)))
		switch { // the reason is what one looks for: it gets a line of its own before it is cut
		case rest == "":
		case lipgloss.Width(text+"  "+rest) <= width:
			text += "  " + rest
		default:
			l = append(l, topLine{fit(text, width), k})
			text = cells(15, ' ') + rest
		}
		l = append(l, topLine{fit(text, width), k})
	}
	return l
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// count is a number of things.
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// ageText is a duration for people: three digits say enough.
func ageText(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < time.Second:
		return d.Round(100 * time.Microsecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
