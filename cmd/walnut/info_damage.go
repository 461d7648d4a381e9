package main

// This file decides what "walnut info" calls damage. The rule: what a crash or
// a loss of power leaves behind in the ordinary way is none.

import (
	"fmt"

	"github.com/walnutdb/walnut/internal/walformat"
)

// extensionSlack is by how many bytes a commit's size may outrun the database
// file and all frames before SQLite calls the log corrupt.
const extensionSlack = 65536

// damage says what is wrong with a pair.
func (p *pair) damage(header walformat.DBHeader, headerErr error) []string {
	var d []string
	add := func(format string, args ...any) { d = append(d, fmt.Sprintf(format, args...)) }
	committed := p.scan.Committed > 0
	empty := p.stamp.dbSize < 2 // SQLite takes a file of one byte for empty
	switch {
	case empty && committed:
		add("the database file is empty beside a log with %d transactions; SQLite would delete that log", p.scan.Transactions)
	case empty:
	case headerErr != nil && p.page1At != 0:
		add("page 1 in frame %d of the log: %v", p.page1At, headerErr)
	case headerErr != nil:
		add("database file: %v", headerErr)
	default:
		d = append(d, p.sizeDamage(header)...)
	}
	return append(d, p.logDamage()...)
}

// sizeDamage compares the sizes that the header, the log and the file tell.
func (p *pair) sizeDamage(header walformat.DBHeader) []string {
	var d []string
	add := func(format string, args ...any) { d = append(d, fmt.Sprintf(format, args...)) }
	outside := p.pagesOutside(header.PageSize)
	tooLarge := header.SizeValid() && header.SizeInPages > outside
	if p.scan.Committed == 0 {
		if tooLarge {
			add("the database file is cut: %d of %d pages", outside, header.SizeInPages)
		}
		return d
	}
	log := &p.scan.Header
	if header.PageSize != log.PageSize {
		add("pages of %d bytes in the database, of %d in the log", header.PageSize, log.PageSize)
	}
	if tooLarge {
		add("the last commit of the log says %d pages, the header on page 1 %d", outside, header.SizeInPages)
	}
	limit := p.stamp.dbSize + extensionSlack + int64(p.scan.Committed)*int64(log.PageSize)
	if int64(outside)*int64(log.PageSize) > limit {
		add("the last commit of the log says %d pages, more than were ever written", outside)
	}
	return d
}

// logDamage judges the log by itself.
func (p *pair) logDamage() []string {
	switch {
	case p.log == nil:
	case p.scanErr != nil:
		return []string{fmt.Sprintf("the log cannot be read: %s", p.scan.HeaderProblem)}
	case !p.scan.HasHeader:
		// A log is created, or grown ahead, with its header still to come. But a
		// header is written in one sector: half of one, or frames after none,
		// no crash explains.
		if len(p.logHead) > walformat.HeaderSize && !zeros(p.logHead) {
			return []string{fmt.Sprintf("the log's header is damaged, so that the log counts as empty: %s", p.scan.HeaderProblem)}
		}
	case p.laterGood != 0:
		// Only the loss of power before a sync could explain it too.
		return []string{fmt.Sprintf("the log stops (%s), yet frame %d is a good commit of the same generation: "+
			"what lies between is damaged, unless power was lost before it was synced", p.scan.StopReason, p.laterGood)}
	}
	return nil
}

func zeros(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}
