package atrest

// This file decides what is damage. The rule: what a crash or
// a loss of power leaves behind in the ordinary way is none.

import (
	"fmt"
	"strings"

	"github.com/walnutdb/walnut/internal/walformat"
)

// extensionSlack is by how many bytes a commit's size may outrun the database
// file and all frames before SQLite calls the log corrupt.
const extensionSlack = 65536

// Finding is one thing that is wrong.
type Finding struct {
	Where string // which part of which file
	What  string // a sentence that can stand alone
	Lost  string // what is not there, or cannot be used, because of it
	brief string // what is wrong, beside where; "" for what
}

// Beside is the sentence for those who have said where.
func (f *Finding) Beside() string {
	if f.brief != "" {
		return f.brief
	}
	return f.What
}

// The places that findings name.
const (
	inDatabase  = "database file"
	inLog       = "log"
	inLogHeader = "log header"
)

const cannotOpen = "the database cannot be opened"

// Damage says what is wrong with a pair, of a log alone if there is no more.
func (p *Pair) Damage() []Finding {
	if p.DB == nil {
		return p.logDamage()
	}
	return p.findings(walformat.ParseDBHeader(p.page1))
}

// findings says what is wrong with a pair with that header.
func (p *Pair) findings(header walformat.DBHeader, headerErr error) []Finding {
	return append(p.databaseDamage(header, headerErr), p.logDamage()...)
}

// databaseDamage judges the database file, as the log continues it.
func (p *Pair) databaseDamage(header walformat.DBHeader, headerErr error) []Finding {
	committed := p.scan.Committed > 0
	empty := p.stamp.dbSize < 2 // SQLite takes a file of one byte for empty
	switch {
	case empty && committed:
		const empty = "empty beside a log with %d transactions; SQLite would delete that log"
		return []Finding{{
			Where: inDatabase,
			What:  fmt.Sprintf("the database file is "+empty, p.scan.Transactions),
			brief: fmt.Sprintf(empty, p.scan.Transactions),
			Lost:  "all pages that the log does not have",
		}}
	case empty:
	case headerErr != nil && p.page1At != 0:
		return []Finding{{
			Where: fmt.Sprintf("frame %d (page 1)", p.page1At),
			What:  fmt.Sprintf("page 1 in frame %d of the log: %v", p.page1At, headerErr),
			brief: headerErr.Error(),
			Lost:  cannotOpen,
		}}
	case headerErr != nil:
		return []Finding{{
			Where: inDatabase + ", page 1",
			What:  fmt.Sprintf("database file: %v", headerErr),
			brief: headerErr.Error(),
			Lost:  cannotOpen,
		}}
	default:
		return p.sizeDamage(header)
	}
	return nil
}

// sizeDamage compares the sizes that the header, the log and the file tell.
func (p *Pair) sizeDamage(header walformat.DBHeader) []Finding {
	var d []Finding
	outside := p.pagesOutside(header.PageSize)
	tooLarge := header.SizeValid() && header.SizeInPages > outside
	missing := fmt.Sprintf("pages %d to %d", outside+1, header.SizeInPages)
	if outside+1 == header.SizeInPages {
		missing = fmt.Sprintf("page %d", header.SizeInPages)
	}
	if p.scan.Committed == 0 {
		if tooLarge {
			cut := fmt.Sprintf("cut: %d of %d pages", outside, header.SizeInPages)
			d = append(d, Finding{Where: inDatabase, What: "the database file is " + cut, brief: cut, Lost: missing})
		}
		return d
	}
	log := &p.scan.Header
	commit := fmt.Sprintf("frame %d, a commit", p.scan.Committed)
	if header.PageSize != log.PageSize {
		d = append(d, Finding{
			Where: inLog,
			What:  fmt.Sprintf("pages of %d bytes in the database, of %d in the log", header.PageSize, log.PageSize),
			Lost:  "pages in the log fit none of the database",
		})
	}
	if tooLarge {
		d = append(d, Finding{
			Where: commit,
			What:  fmt.Sprintf("the last commit of the log says %d pages, the header on page 1 %d", outside, header.SizeInPages),
			Lost:  missing,
		})
	}
	if p.Impossible(outside) {
		d = append(d, Finding{
			Where: commit,
			What:  fmt.Sprintf("the last commit of the log says %d pages, more than were ever written", outside),
			Lost:  "the log cannot be checkpointed",
		})
	}
	return d
}

// Impossible reports whether a database of that many pages is more than was ever
// written, if the log has commits: SQLite's own rule when it checkpoints.
func (p *Pair) Impossible(pages uint32) bool {
	if p.scan.Committed == 0 {
		return false
	}
	size := int64(p.scan.Header.PageSize)
	return int64(pages)*size > p.stamp.dbSize+extensionSlack+int64(p.scan.Committed)*size
}

// logDamage judges the log by itself.
func (p *Pair) logDamage() []Finding {
	switch {
	case p.Log == nil:
	case p.scanErr != nil:
		return []Finding{{
			Where: inLogHeader,
			What:  fmt.Sprintf("the log cannot be read: %s", p.scan.HeaderProblem),
			brief: p.scan.HeaderProblem,
			Lost:  cannotOpen,
		}}
	case !p.scan.HasHeader:
		// A log is created, or grown ahead, with its header still to come. But a
		// header is written in one sector: half of one, or frames after none,
		// no crash explains.
		if len(p.logHead) > walformat.HeaderSize && !zeros(p.logHead) {
			return []Finding{{
				Where: inLogHeader,
				What:  fmt.Sprintf("the log's header is damaged, so that the log counts as empty: %s", p.scan.HeaderProblem),
				brief: "damaged, so that the log counts as empty: " + p.scan.HeaderProblem,
				Lost:  fmt.Sprintf("whatever the %d bytes of the log held", p.stamp.logSize),
			}}
		}
	case p.later.first != 0:
		return []Finding{p.gap()}
	}
	return nil
}

// gap is the finding that commits follow the end of the log. Only the loss of
// power before a sync could explain it too.
func (p *Pair) gap() Finding {
	f := Finding{
		Where: fmt.Sprintf("frame %d", p.scan.Intact+1),
		What: fmt.Sprintf("the log stops (%s), yet frame %d is a good commit of the same generation: "+
			"what lies between is damaged, unless power was lost before it was synced", p.scan.StopReason, p.later.first),
		Lost: p.lostCommits(),
	}
	f.brief = strings.TrimPrefix(p.scan.StopReason, f.Where+": ") + "; good commits follow: it is damaged, unless power was lost before it was synced"
	if p.later.page != 0 {
		f.Where += fmt.Sprintf(" (page %d)", p.later.page)
	}
	return f
}

// lostCommits tells of the transactions after the frame where the log stops.
func (p *Pair) lostCommits() string {
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
