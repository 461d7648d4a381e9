//go:build cgo

// This file runs the seeds, shrinks what differs and counts what was met.

package differ

import (
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	seeds = flag.Uint64("seeds", 200, "how many runs; 0: without end")
	from  = flag.Uint64("from", 1, "the first seed")
	steps = flag.Int("steps", 250, "of a run")
)

// TestSameVersion: what two versions of SQLite say may differ for good reason,
// and would have to be told apart in known_test.go.
func TestSameVersion(t *testing.T) {
	var versions [2]string
	for i, engine := range []string{ours, theirs} {
		db, err := sql.Open(engine, ":memory:")
		if err != nil {
			t.Fatal(err)
		}
		if err := db.QueryRow("SELECT sqlite_version()").Scan(&versions[i]); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if versions[0] != versions[1] {
		t.Errorf("Walnut has SQLite %s, C SQLite is %s", versions[0], versions[1])
	}
}

// asked reports whether a flag was given, whatever its value: it then wins over
// what -short would choose.
func asked(name string) (given bool) {
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	return given
}

// TestDiffer goes on after a seed that differs; it ends after the fifth.
func TestDiffer(t *testing.T) {
	count := *seeds
	if testing.Short() && !asked("seeds") {
		count = 20
	}
	begin, told := time.Now(), time.Now()
	done, all := uint64(0), tally{}
	var failed []uint64
	for ; (count == 0 || done < count) && len(failed) < 5; done++ {
		seed := *from + done
		if time.Since(told) > 10*time.Second {
			told = time.Now()
			fmt.Fprintf(os.Stderr, "%d runs, %d differ, %.0f s, next seed %d\n", done, len(failed), time.Since(begin).Seconds(), seed)
		}
		if !try(t, seed, all) {
			failed = append(failed, seed)
		}
	}
	t.Logf("%d runs of %d steps, %.0f s; seeds that differ: %v\n%s", done, *steps, time.Since(begin).Seconds(), failed, all)
	if done >= 100 && *steps >= 100 {
		all.checkSeen(t)
	}
}

// try runs a seed and reports whether both sides agreed.
func try(t *testing.T, seed uint64, all tally) bool {
	p := script(seed, *steps)
	d, err := p.run(t, all)
	replay := fmt.Sprintf("replay, in bench: go test ./differ -args -from %d -seeds 1 -steps %d", seed, *steps)
	switch {
	case errors.Is(err, errKnown):
	case err != nil:
		t.Errorf("seed %d: %v\n%s", seed, err, replay)
		return false
	case d != nil:
		p, d = shrink(t, p, d)
		t.Errorf("seed %d differs:\n%s%s\n%s", seed, p, d, replay)
		return false
	}
	return true
}

// tally counts the outcomes of steps.
type tally map[string]int

func (y tally) String() string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(y)) {
		fmt.Fprintf(&b, "%8d %s\n", y[k], k)
	}
	return b.String()
}

// checkSeen fails if the runs met too little: two engines that refuse everything
// agree too.
func (y tally) checkSeen(t *testing.T) {
	for _, what := range []string{
		"exec: ok", "exec: code 1", "exec: code 5", "exec: code 517", "exec: code 275", "exec: code 787", "exec: code 1299", "exec: code 1555",
		"exec: code 1811", "exec: code 2067", "query: ok", "prepared: ok", "start: ok", "next: ok", "quietly: ok", "cancel: interrupted",
		"interrupt: interrupted", "interrupt: ok", "beside: busy 0, all true", "beside: busy 0, log 0, copied 0",
		"beside: busy 1, all true", "beside: busy 1, all false", "pages: free", "pages: pointer maps", "pages: equal", "copies: ok", "exchange: ok", "take over: ok",
	} {
		if y[what] == 0 {
			t.Errorf("no step had the outcome %q", what)
		}
	}
}

func (p *plan) String() string {
	var b strings.Builder
	for _, q := range p.create {
		fmt.Fprintf(&b, "%s;\n", q)
	}
	fmt.Fprintf(&b, "-- each connection: %s (TxBytes %d, PoolBytes %d)\n", strings.Join(p.connect, "; "), p.txBytes, p.pool)
	for _, s := range p.steps {
		fmt.Fprintln(&b, s)
	}
	return b.String()
}

// difference is where a run differs.
type difference struct {
	at        int // the step
	walnut, c string
}

func (d *difference) String() string {
	return fmt.Sprintf("  walnut   %.2000s\n  C SQLite %.2000s", d.walnut, d.c)
}

// shrink leaves out steps and statements, many at once at first, as long as the
// run differs.
func shrink(t *testing.T, p *plan, d *difference) (*plan, *difference) {
	deadline := time.Now().Add(time.Minute)
	best := *p
	best.steps = p.steps[:d.at+1]
	again := func(q plan) bool {
		if time.Now().After(deadline) {
			return false
		}
		got, err := q.run(t, tally{})
		if err != nil || got == nil {
			return false
		}
		q.steps = q.steps[:min(got.at+1, len(q.steps))]
		best, d = q, got
		return true
	}
	for n := (len(best.steps) + 1) / 2; n > 0; n /= 2 {
		for i := 0; i+n <= len(best.steps); {
			q := best
			q.steps = slices.Delete(slices.Clone(best.steps), i, i+n)
			if !again(q) {
				i += n
			}
		}
	}
	for i := len(best.create) - 1; i >= 0; i-- {
		if !strings.HasPrefix(best.create[i], "CREATE") || best.create[i] == "CREATE TABLE b.u(k)" {
			continue // without a table, b has a page size in C SQLite only: another difference
		}
		q := best
		q.create = slices.Delete(slices.Clone(best.create), i, i+1)
		again(q)
	}
	for i := len(best.connect) - 1; i >= 0; i-- {
		q := best
		q.connect = slices.Delete(slices.Clone(best.connect), i, i+1)
		again(q)
	}
	return &best, d
}

// pair is a run under way.
type pair struct {
	dir   string
	sides [2]*side // walnut, C
	apart bool     // the sides may have copied different parts of their logs
}

// run does all steps and returns the first difference, nil if there is none.
func (p *plan) run(t *testing.T, all tally) (d *difference, err error) {
	dir, err := os.MkdirTemp(t.TempDir(), "run")
	if err != nil {
		return nil, err
	}
	r := &pair{dir: dir}
	defer func() {
		for _, s := range r.sides {
			if s != nil {
				err = errors.Join(err, s.close())
			}
		}
		err = errors.Join(err, os.RemoveAll(dir))
	}()
	if d, err = r.begin(p); d != nil || err != nil {
		return d, err
	}
	for i, st := range append(p.steps[:len(p.steps):len(p.steps)], step{kind: takeover}, step{kind: exchange}) {
		if d, err = r.do(st, all); d != nil || err != nil {
			if d != nil {
				d.at = i
			}
			return d, err
		}
	}
	return nil, nil
}

// begin creates both sides' databases and opens them.
func (r *pair) begin(p *plan) (*difference, error) {
	var said [2]string
	for i, engine := range []string{ours, theirs} {
		s := &side{engine: engine, path: filepath.Join(r.dir, engine+".db"), plan: p}
		var err error
		if said[i], err = s.create(); err != nil {
			return nil, fmt.Errorf("%s: %w", engine, err)
		}
		if err := s.open(); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", engine, err), s.close())
		}
		r.sides[i] = s
	}
	if said[0] != said[1] {
		a, b := firstLine(said[0], said[1])
		return &difference{walnut: a, c: b}, nil
	}
	return nil, nil
}

// do does one step on both sides.
func (r *pair) do(st step, all tally) (d *difference, err error) {
	defer func() {
		if st.kind >= copies && d == nil && err == nil {
			all[kindNames[st.kind]+": ok"]++
		}
		if err == nil {
			r.after(st)
		}
	}()
	switch st.kind {
	case copies:
		return r.compareCopies()
	case exchange:
		return r.swap(all)
	case takeover:
		return r.takeOver()
	}
	var said [2]string
	switch st.kind {
	case interrupt:
		said = r.interruptBoth(st)
	case beside:
		said = r.besideBoth(st)
	default:
		for i, s := range r.sides {
			if said[i], err = s.do(st); err != nil {
				err = fmt.Errorf("%s: %s: %w", s.engine, st, err)
				break
			}
		}
	}
	if err != nil {
		return nil, err
	}
	if said[0] != said[1] {
		k := known(st, said[0], said[1])
		if k == nil {
			return &difference{walnut: said[0], c: said[1]}, nil
		}
		all["known: "+k.why]++
		r.apart = r.apart || k.apart
		if k.ends {
			return nil, errKnown
		}
	}
	if st.kind == beside { // the rest are rows of queries
		short, _, _ := strings.Cut(said[0], ";")
		all[kindNames[st.kind]+": "+short]++
	} else {
		all[kindNames[st.kind]+": "+outcome(said[0])]++
	}
	if busy(said[0]) {
		for _, s := range r.sides {
			s.conns[st.conn].quiet()
		}
	}
	return nil, nil
}

// outcome is the result code at the end of what a step said.
func outcome(said string) string {
	if said == interrupted {
		return said
	}
	if at := strings.LastIndex(said, "code "); at >= 0 {
		return said[at:]
	}
	return "ok"
}

func busy(said string) bool {
	return strings.HasSuffix(said, "code 5") || strings.HasSuffix(said, "code 517")
}

func (s *side) do(st step) (string, error) {
	c := s.conns[st.conn]
	switch st.kind {
	case execute:
		return c.exec(st.text), nil
	case change:
		return c.change(st.text), nil
	case query:
		return c.all(st.text), nil
	case prepared:
		return c.prepared(st.text), nil
	case start:
		if len(c.rows) == 3 {
			return "", nil
		}
		return c.start(st.text), nil
	case next:
		return c.next(st.n), nil
	case closeRows:
		return c.closeRows(st.n), nil
	case attach:
		return c.exec("ATTACH '" + s.path + "b' AS b"), nil
	case cancel:
		return c.cancel(st.n), nil
	case version:
		return c.dataVersion(), nil
	case checkpoint:
		for _, c := range s.conns {
			c.quiet()
		}
		return c.checkpoint(st.text), nil
	case reconnect:
		if err := c.end(); err != nil {
			return "", err
		}
		return "", s.connect(st.conn)
	}
	return "", errors.New("unknown step")
}
