package main

// This file decides what "walnut info" calls damage. The rule: what a crash or
// a loss of power leaves behind in the ordinary way is none.

import (
	"fmt"
	"strings"

	"github.com/walnutdb/walnut/internal/walformat"
)

// extensionSlack is by how many bytes a commit's size may outrun the database
// file and all frames before SQLite calls the log corrupt.
const extensionSlack = 65536

// finding is one thing that is wrong.
type finding struct {
	where string // which part of which file
	what  string // a sentence that can stand alone
	lost  string // what is not there, or cannot be used, because of it
	brief string // what is wrong, beside where; "" for what
}

// beside is the sentence for those who have said where.
func (f *finding) beside() string {
	if f.brief != "" {
		return f.brief
	}
	return f.what
}

// The places that findings name.
const (
	inDatabase  = "database file"
	inLog       = "log"
	inLogHeader = "log header"
)

const cannotOpen = "the database cannot be opened"

// damage says what is wrong with a pair.
func (p *pair) damage(header walformat.DBHeader, headerErr error) []finding {
	return append(p.databaseDamage(header, headerErr), p.logDamage()...)
}

// databaseDamage judges the database file, as the log continues it.
func (p *pair) databaseDamage(header walformat.DBHeader, headerErr error) []finding {
	committed := p.scan.Committed > 0
	empty := p.stamp.dbSize < 2 // SQLite takes a file of one byte for empty
	switch {
	case empty && committed:
		const empty = "empty beside a log with %d transactions; SQLite would delete that log"
		return []finding{{
			where: inDatabase,
			what:  fmt.Sprintf("the database file is "+empty, p.scan.Transactions),
			brief: fmt.Sprintf(empty, p.scan.Transactions),
			lost:  "all pages that the log does not have",
		}}
	case empty:
	case headerErr != nil && p.page1At != 0:
		return []finding{{
			where: fmt.Sprintf("frame %d (page 1)", p.page1At),
			what:  fmt.Sprintf("page 1 in frame %d of the log: %v", p.page1At, headerErr),
			brief: headerErr.Error(),
			lost:  cannotOpen,
		}}
	case headerErr != nil:
		return []finding{{
			where: inDatabase + ", page 1",
			what:  fmt.Sprintf("database file: %v", headerErr),
			brief: headerErr.Error(),
			lost:  cannotOpen,
		}}
	default:
		return p.sizeDamage(header)
	}
	return nil
}

// sizeDamage compares the sizes that the header, the log and the file tell.
func (p *pair) sizeDamage(header walformat.DBHeader) []finding {
	var d []finding
	outside := p.pagesOutside(header.PageSize)
	tooLarge := header.SizeValid() && header.SizeInPages > outside
	missing := fmt.Sprintf("pages %d to %d", outside+1, header.SizeInPages)
	if outside+1 == header.SizeInPages {
		missing = fmt.Sprintf("page %d", header.SizeInPages)
	}
	if p.scan.Committed == 0 {
		if tooLarge {
			cut := fmt.Sprintf("cut: %d of %d pages", outside, header.SizeInPages)
			d = append(d, finding{where: inDatabase, what: "the database file is " + cut, brief: cut, lost: missing})
		}
		return d
	}
	log := &p.scan.Header
	commit := fmt.Sprintf("frame %d, a commit", p.scan.Committed)
	if header.PageSize != log.PageSize {
		d = append(d, finding{
			where: inLog,
			what:  fmt.Sprintf("pages of %d bytes in the database, of %d in the log", header.PageSize, log.PageSize),
			lost:  "pages in the log fit none of the database",
		})
	}
	if tooLarge {
		d = append(d, finding{
			where: commit,
			what:  fmt.Sprintf("the last commit of the log says %d pages, the header on page 1 %d", outside, header.SizeInPages),
			lost:  missing,
		})
	}
	if p.impossible(outside) {
		d = append(d, finding{
			where: commit,
			what:  fmt.Sprintf("the last commit of the log says %d pages, more than were ever written", outside),
			lost:  "the log cannot be checkpointed",
		})
	}
	return d
}

// impossible reports whether a database of that many pages is more than was ever
// written, if the log has commits: SQLite's own rule when it checkpoints.
func (p *pair) impossible(pages uint32) bool {
	if p.scan.Committed == 0 {
		return false
	}
	size := int64(p.scan.Header.PageSize)
	return int64(pages)*size > p.stamp.dbSize+extensionSlack+int64(p.scan.Committed)*size
}

// logDamage judges the log by itself.
func (p *pair) logDamage() []finding {
	switch {
	case p.log == nil:
	case p.scanErr != nil:
		return []finding{{
			where: inLogHeader,
			what:  fmt.Sprintf("the log cannot be read: %s", p.scan.HeaderProblem),
			brief: p.scan.HeaderProblem,
			lost:  cannotOpen,
		}}
	case !p.scan.HasHeader:
		// A log is created, or grown ahead, with its header still to come. But a
		// header is written in one sector: half of one, or frames after none,
		// no crash explains.
		if len(p.logHead) > walformat.HeaderSize && !zeros(p.logHead) {
			return []finding{{
				where: inLogHeader,
				what:  fmt.Sprintf("the log's header is damaged, so that the log counts as empty: %s", p.scan.HeaderProblem),
				brief: "damaged, so that the log counts as empty: " + p.scan.HeaderProblem,
				lost:  fmt.Sprintf("whatever the %d bytes of the log held", p.stamp.logSize),
			}}
		}
	case p.later.first != 0:
		return []finding{p.gap()}
	}
	return nil
}

// gap is the finding that commits follow the end of the log. Only the loss of
// power before a sync could explain it too.
func (p *pair) gap() finding {
	f := finding{
		where: fmt.Sprintf("frame %d", p.scan.Intact+1),
		what: fmt.Sprintf("the log stops (%s), yet frame %d is a good commit of the same generation: "+
			"what lies between is damaged, unless power was lost before it was synced", p.scan.StopReason, p.later.first),
		lost: p.lostCommits(),
	}
	f.brief = strings.TrimPrefix(p.scan.StopReason, f.where+": ") + "; good commits follow: it is damaged, unless power was lost before it was synced"
	if p.later.page != 0 {
		f.where += fmt.Sprintf(" (page %d)", p.later.page)
	}
	return f
}

// lostCommits tells of the transactions after the frame where the log stops.
func (p *pair) lostCommits() string {
	const follow = "from frame %d on %s not counted (%s frames up to %d follow)"
	first, n := p.scan.Committed+1, p.later.transactions
	switch {
	case p.later.atLeast:
		return fmt.Sprintf("the transactions, %d or more, "+follow, n, first, "are", "their", p.later.last)
	case n == 1:
		return fmt.Sprintf("the transaction "+follow, first, "is", "its", p.later.last)
	}
	return fmt.Sprintf("the %d transactions "+follow, n, first, "are", "their", p.later.last)
}

func zeros(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}
