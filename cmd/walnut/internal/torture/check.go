package torture

// This file asks a database whether it holds together.

import (
	"context"
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// checker runs queries on a database file; each gives its rows.
type checker interface {
	name() string
	query(ctx context.Context, path string, queries []string) ([][][]string, error)
}

// findings is what a database says.
type findings struct {
	last    ledger   // the last commit of each worker
	present ledger   // how many of the commits in the ledger are there
	torn    []string // contradictions
}

// contradictions are queries that give a row for each transaction that is
// there by halves. The first column says what is wrong.
var contradictions = []string{
	partCount("part_a"), partCount("part_b"),
	orphans("part_a"), orphans("part_b"),
	wrongPayload("part_a"), wrongPayload("part_b"),
	`SELECT 'versions ' || min(version) || ' to ' || max(version) || ' in one transaction', worker, seq FROM
	   (SELECT worker, seq, version FROM part_a UNION ALL SELECT worker, seq, version FROM part_b)
	   GROUP BY worker, seq HAVING min(version) <> max(version)`,
	`SELECT 'counter says ' || coalesce(c.value, 'nothing') || ', the last transaction is', m.worker, m.seq FROM
	   (SELECT worker, max(seq) AS seq FROM commits WHERE kind <> 'single' GROUP BY worker) m
	   LEFT JOIN counters c ON c.worker = m.worker WHERE c.value IS NOT m.seq`,
	`SELECT 'counter without a transaction', worker, value FROM counters WHERE worker NOT IN (SELECT worker FROM commits)`,
	fmt.Sprintf(`SELECT 'account ' || id || ' has ' || balance || ', its moves say ' || expected, '', '' FROM
	   (SELECT id, balance, %d - coalesce((SELECT sum(amount) FROM commits WHERE src = id), 0)
	                           + coalesce((SELECT sum(amount) FROM commits WHERE dst = id), 0) AS expected FROM accounts)
	   WHERE balance <> expected`, openingCash),
	fmt.Sprintf(`SELECT 'the accounts hold ' || sum(balance) || ', %d in number', '', '' FROM accounts HAVING sum(balance) <> %d OR count(*) <> %d`,
		accounts, accounts*openingCash, accounts),
	`SELECT 'commits missing before the last: ' || count(*) || ' there', worker, max(seq) FROM commits
	   GROUP BY worker HAVING count(*) <> max(seq) OR min(seq) <> 1`,
	// Rows of commits are numbered in the order in which they were committed,
	// and none is ever removed.
	`SELECT 'not the first of all commits: ' || count(*) || ' are there, the last is number ' || max(rowid), '', '' FROM commits
	   HAVING count(*) <> max(rowid)`,
}

func partCount(table string) string {
	return fmt.Sprintf(`SELECT count(p.i) || ' of ' || c.n || ' rows in %s', c.worker, c.seq
	   FROM commits c LEFT JOIN %s p ON p.worker = c.worker AND p.seq = c.seq
	   GROUP BY c.worker, c.seq HAVING count(p.i) <> c.n`, table, table)
}

func orphans(table string) string {
	return fmt.Sprintf(`SELECT count(*) || ' rows in %s of a transaction that is not there', worker, seq FROM %s p
	   WHERE NOT EXISTS (SELECT 1 FROM commits c WHERE c.worker = p.worker AND c.seq = p.seq) GROUP BY worker, seq`, table, table)
}

func wrongPayload(table string) string {
	return fmt.Sprintf(`SELECT 'wrong text in %s', worker, seq FROM %s
	   WHERE substr(payload, 1, length(worker || '/' || seq || '/' || i || '/')) <> worker || '/' || seq || '/' || i || '/'`, table, table)
}

// examine asks a database everything. known is what must be in it.
func examine(ctx context.Context, c checker, path string, known ledger) (findings, error) {
	f := findings{last: ledger{}, present: ledger{}}
	answers, err := c.query(ctx, path, []string{
		`PRAGMA integrity_check`,
		`SELECT count(*) FROM sqlite_master WHERE name IN ('commits', 'part_a', 'part_b', 'accounts', 'counters')`,
	})
	if err != nil {
		return f, err
	}
	if got := flatten(answers[0]); got != "ok" {
		f.torn = append(f.torn, "integrity_check: "+got)
	}
	switch n := flatten(answers[1]); n {
	case "0": // killed before the tables were committed
		return f, nil
	case strconv.Itoa(tables):
	default:
		f.torn = append(f.torn, fmt.Sprintf("%s of %d tables are there", n, tables))
		return f, nil
	}
	answers, err = c.query(ctx, path, append([]string{
		`SELECT worker, max(seq) FROM commits GROUP BY worker`, presentQuery(known),
	}, contradictions...))
	if err != nil {
		return f, err
	}
	for i, into := range []ledger{f.last, f.present} {
		if err := into.fill(answers[i]); err != nil {
			return f, err
		}
	}
	for _, rows := range answers[2:] {
		for _, row := range rows {
			f.torn = append(f.torn, describe(row))
		}
	}
	return f, nil
}

// presentQuery counts, for each worker in known, those of its commits that are
// there.
func presentQuery(known ledger) string {
	var parts []string
	for w, seq := range known {
		parts = append(parts, fmt.Sprintf(`SELECT %d, count(*) FROM commits WHERE worker = %d AND seq BETWEEN 1 AND %d`, w, w, seq))
	}
	if len(parts) == 0 {
		return `SELECT 0, 0 WHERE 0`
	}
	sort.Strings(parts) // the same query in the same state
	return strings.Join(parts, " UNION ALL ")
}

// fill reads rows of a worker and a number.
func (l ledger) fill(rows [][]string) error {
	for _, row := range rows {
		if len(row) != 2 {
			return fmt.Errorf("unexpected answer %q", row)
		}
		w, err1 := strconv.Atoi(row[0])
		n, err2 := strconv.Atoi(row[1])
		if err1 != nil || err2 != nil {
			return fmt.Errorf("unexpected answer %q", row)
		}
		l[w] = n
	}
	return nil
}

// describe is one row of a contradiction.
func describe(row []string) string {
	if len(row) == 3 && row[1] != "" {
		return fmt.Sprintf("worker %s, transaction %s: %s", row[1], row[2], row[0])
	}
	return strings.TrimSpace(strings.Join(row, " "))
}

func flatten(rows [][]string) string {
	var lines []string
	for _, r := range rows {
		lines = append(lines, strings.Join(r, "|"))
	}
	return strings.Join(lines, "; ")
}
