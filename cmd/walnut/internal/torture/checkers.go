package torture

// This file is who checks: Walnut through its driver, and the sqlite3 command.

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// walnutChecker asks through the driver, in this process.
type walnutChecker struct{}

func (walnutChecker) name() string { return "walnut" }

func (walnutChecker) query(ctx context.Context, path string, queries []string) (answers [][][]string, err error) {
	db, err := openDB(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	for _, q := range queries {
		rows, err := queryAll(ctx, db, q)
		if err != nil {
			return nil, fmt.Errorf("%w in %s", err, q)
		}
		answers = append(answers, rows)
	}
	return answers, nil
}

func queryAll(ctx context.Context, db *sql.DB, q string) ([][]string, error) {
	rows, err := db.QueryContext(ctx, q)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	cols, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var all [][]string
	for rows.Next() {
		values, ptrs := make([]sql.NullString, len(cols)), make([]any, len(cols))
		for i := range values {
			ptrs[i] = &values[i]
		}
		if err := rows.Scan(ptrs...); err != nil {
			return nil, err
		}
		row := make([]string, len(cols))
		for i, v := range values {
			row[i] = v.String
		}
		all = append(all, row)
	}
	return all, rows.Err()
}

// sqlite3Checker asks the sqlite3 command, in a process of its own.
type sqlite3Checker struct{ command string }

func (sqlite3Checker) name() string { return "sqlite3" }

// endOfAnswer is a line between two answers.
const endOfAnswer = "--end of answer--"

func (s sqlite3Checker) query(ctx context.Context, path string, queries []string) ([][][]string, error) {
	var script, out, errOut bytes.Buffer
	for _, q := range queries {
		fmt.Fprintf(&script, "%s;\nSELECT '%s';\n", q, endOfAnswer)
	}
	cmd := exec.CommandContext(ctx, s.command, "-batch", "-bail", "-noheader", "-list", path)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = &script, &out, &errOut
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("sqlite3: %w: %s", err, strings.TrimSpace(errOut.String()))
	}
	var answers [][][]string
	var rows [][]string
	for line := range strings.Lines(out.String()) {
		line = strings.TrimRight(line, "\r\n")
		if line == endOfAnswer {
			answers, rows = append(answers, rows), nil
			continue
		}
		rows = append(rows, strings.Split(line, "|"))
	}
	if len(answers) != len(queries) {
		return nil, fmt.Errorf("sqlite3 answered %d of %d queries: %s", len(answers), len(queries), strings.TrimSpace(errOut.String()))
	}
	return answers, nil
}
