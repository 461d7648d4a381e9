package main

// This file is "walnut top" of a file at rest: what its log holds.

import (
	"fmt"
	"io"

	"github.com/walnutdb/walnut/cmd/walnut/internal/atrest"
	"github.com/walnutdb/walnut/cmd/walnut/internal/figures"
	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/internal/walformat"
)

// restReport is the JSON of the command: a contract, see its help.
type restReport struct {
	*atrest.Report
	LivePages int `json:"live_pages"`
}

// topFile prints the picture of a file. Damage becomes the exit status.
func topFile(file string, asJSON bool, out, errOut io.Writer) error {
	live := map[walformat.PageNo]walformat.FrameNo{}
	bar := newProgress(errOut, "reading the log")
	p, changed, err := atrest.ReadPair(disk.OS(), file, live, bar.set)
	bar.close()
	if err != nil {
		return err
	}
	info := p.Report()
	if changed {
		info.Changed, info.Damage = true, nil // what is read in pieces proves nothing
	}
	if asJSON {
		err = writeJSON(out, restReport{info, len(live)})
	} else {
		_, err = io.WriteString(out, plainLines(restLines(p, info, len(live)), pipeWidth))
	}
	if err != nil || len(info.Damage) == 0 {
		return err
	}
	for _, d := range info.Damage {
		fmt.Fprintf(errOut, "walnut: damage: %s\n", d)
	}
	return statusError(exitDamage)
}

// restLines are the picture.
func restLines(p *atrest.Pair, info *atrest.Report, live int) []topLine {
	l := []topLine{
		{text: p.Name, look: looksTitle},
		{text: "At rest: this is what the files hold. Readers, writers and how much of the log is"},
		{text: "copied are known to the process that has it open: give the URL of its page."},
		{},
		{text: fmt.Sprintf("database  %s in %s pages of %s, journal mode %s",
			figures.Bytes(p.DBSize()), figures.Thousands(uint64(info.PageCount)), figures.Bytes(int64(info.PageSize)), info.JournalMode)},
	}
	if info.Changed {
		l = append(l, topLine{text: "It changed each time it was read: it is in use, and the values may not fit together.", look: looksNote})
	}
	if info.Log == nil {
		return append(l, topLine{text: "log       none"})
	}
	log := info.Log
	l = append(l, topLine{text: fmt.Sprintf("log       %s, room for %s frames", figures.Bytes(log.Bytes), figures.Thousands(uint64(log.FramesInFile)))})
	if log.FramesInFile > 0 {
		const width = pipeWidth - 10
		used := int(uint64(log.CommittedFrames) * width / uint64(log.FramesInFile))
		alive := int(uint64(live) * width / uint64(log.FramesInFile))
		l = append(l, topLine{text: "          " + cells(alive, '█') + cells(used-alive, '▓') + cells(width-used, '·'), look: looksBar})
	}
	return append(l,
		topLine{text: fmt.Sprintf("          █ %s live pages, of ▓ %s committed frames in %s transactions", figures.Thousands(uint64(live)), figures.Thousands(uint64(log.CommittedFrames)), figures.Thousands(uint64(log.Transactions)))},
		topLine{text: fmt.Sprintf("          · %s frames behind the last commit: old, unfinished, or room", figures.Thousands(uint64(log.IgnoredFrames)))},
		topLine{text: "          backfilled: unknown, the files do not tell it"})
}
