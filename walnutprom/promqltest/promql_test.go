package promqltest

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"github.com/walnutdb/walnut"
	"github.com/walnutdb/walnut/disk/faultdisk"
	"github.com/walnutdb/walnut/walnutprom"
)

var ctx = context.Background()

type rule struct {
	Alert, Expr, For    string
	Labels, Annotations map[string]string
}

func alerts(t *testing.T) (list []rule) {
	t.Helper()
	var file struct{ Groups []struct{ Rules []rule } }
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "alerts.yml"))
	if err == nil {
		err = yaml.Unmarshal(b, &file)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		list = append(list, g.Rules...)
	}
	if len(list) == 0 {
		t.Fatal("there are no alerts")
	}
	return list
}

type target struct{ Title, Expr, LegendFormat string }

// targets are the expressions of the dashboard, with its variables put in.
func targets(t *testing.T) (list []target) {
	t.Helper()
	var board struct {
		Panels []struct {
			Title   string
			Targets []target
		}
	}
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "grafana.json"))
	if err == nil {
		err = json.Unmarshal(b, &board)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range board.Panels {
		for _, x := range p.Targets {
			x.Title = p.Title
			x.Expr = strings.NewReplacer("$__rate_interval", "1m", "$database", ".*").Replace(x.Expr)
			list = append(list, x)
		}
	}
	if len(list) == 0 {
		t.Fatal("there are no panels")
	}
	return list
}

var (
	promQL = parser.NewParser(parser.Options{})
	engine = promql.NewEngine(promql.EngineOpts{MaxSamples: 1e6, Timeout: time.Minute, Parser: promQL})
)

// evaluate is what an expression says at the time of the last scrape.
func (s *store) evaluate(t *testing.T, expr string) promql.Vector {
	t.Helper()
	q, err := engine.NewInstantQuery(ctx, s, nil, expr, s.now.Add(-every))
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	defer q.Close()
	r := q.Exec(ctx)
	v, err := r.Vector()
	if err != nil || len(r.Warnings.AsErrors()) > 0 {
		t.Fatalf("%s: %v, %v", expr, err, r.Warnings)
	}
	return append(promql.Vector(nil), v...)
}

// labelsOf is the labels that a series of the name has; nil if there is none.
func (s *store) labelsOf(name string) (list []string) {
	for _, l := range s.labels {
		if l.Get("__name__") == name {
			for name := range l.Map() {
				list = append(list, name)
			}
			return list
		}
	}
	return nil
}

// check looks at the metrics and labels that an expression names, and at what its
// functions are used on.
func (s *store) check(t *testing.T, expr string) {
	t.Helper()
	e, err := promQL.ParseExpr(expr)
	if err != nil {
		t.Errorf("%s: %v", expr, err)
		return
	}
	if e.Type() != parser.ValueTypeVector {
		t.Errorf("%s is a %s", expr, e.Type())
	}
	var all []string
	parser.Inspect(e, func(n parser.Node, path []parser.Node) error {
		v, ok := n.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		has := s.labelsOf(v.Name)
		if has == nil {
			t.Errorf("%s: nothing is called %s", expr, v.Name)
		}
		all = append(all, has...)
		for _, m := range v.LabelMatchers {
			if !slices.Contains(has, m.Name) {
				t.Errorf("%s: %s has no label %s", expr, v.Name, m.Name)
			}
		}
		family, counts := s.families[v.Name], false
		if family == nil || family.GetType() == dto.MetricType_COUNTER {
			counts = true // a part of a histogram
		}
		var function string
		for _, p := range path {
			if c, ok := p.(*parser.Call); ok && c.Func.Name != "histogram_quantile" {
				function = c.Func.Name
			}
		}
		if counts != (function == "rate" || function == "increase") {
			t.Errorf("%s: %s is used with %q", expr, v.Name, function)
		}
		return nil
	})
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		if a, ok := n.(*parser.AggregateExpr); ok {
			for _, l := range a.Grouping {
				if !slices.Contains(all, l) {
					t.Errorf("%s: nothing has the label %s", expr, l)
				}
			}
		}
		return nil
	})
}

// world is a database on a disk in memory, with its registry and its scrapes. It is
// used in a bubble of synctest, where an hour is a moment.
type world struct {
	*store
	t    *testing.T
	db   *walnut.DB
	disk *faultdisk.Disk
	r    *prometheus.Registry
	// sleep is the bubble's.
	sleep func(time.Duration)
}

func newWorld(t *testing.T, o walnut.Options, sleep func(time.Duration)) *world {
	t.Helper()
	w := &world{store: newStore(), t: t, sleep: sleep, disk: faultdisk.New(1), r: prometheus.NewPedanticRegistry()}
	o.FS = w.disk
	var err error
	if w.db, err = walnut.Open("app.db", &o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.db.Close() }) // some have failed
	w.r.MustRegister(walnutprom.New(w.db))
	w.commit(1)
	w.wait(every)
	return w
}

// commit changes the first n pages in one transaction.
func (w *world) commit(n int) {
	w.t.Helper()
	if err := w.try(n); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) try(n int) error {
	return w.db.Update(ctx, func(tx *walnut.Tx) error {
		for i := range n {
			p, err := tx.Write(walnut.PageNo(2 + i))
			if err != nil {
				return err
			}
			p[0]++
		}
		return nil
	})
}

// read begins a reader, which the test's end ends.
func (w *world) read(label string) {
	w.t.Helper()
	tx, err := w.db.Begin(walnut.WithLabel(ctx, label), &walnut.TxOptions{ReadOnly: true})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = tx.Rollback() })
}

// wait lets time pass, with its scrapes.
func (w *world) wait(d time.Duration) {
	w.t.Helper()
	for ; d > 0; d -= every {
		w.scrape(w.t, w.r)
		w.sleep(every)
	}
	w.scrape(w.t, w.r)
}

// state is a database as an operator may meet it, and the alerts that it is to
// raise.
type state struct {
	name    string
	options walnut.Options
	bring   func(*world)
	alerts  []string
}

const (
	frame = 4096 + 24
	mib   = 1 << 20
)

var states = []state{
	{name: "nothing is wrong", bring: func(w *world) {
		for range 20 {
			w.commit(10)
			w.wait(every)
		}
	}},
	{name: "a sync of the log failed", bring: func(w *world) {
		w.disk.Inject(faultdisk.Fault{Op: faultdisk.OpSync, Suffix: "-wal"})
		if w.try(1) == nil {
			w.t.Error("the sync did not fail")
		}
		w.wait(every)
	}, alerts: []string{"WalnutLogFailed"}},
	{name: "one transaction is larger than the limit", options: walnut.Options{MaxLogSize: 64 * frame, AutoCheckpoint: -1}, bring: func(w *world) {
		w.commit(100)
		w.wait(every)
	}, alerts: []string{"WalnutLogAboveLimit"}},
	{name: "there is no limit", options: walnut.Options{MaxLogSize: -1, AutoCheckpoint: -1}, bring: func(w *world) {
		w.commit(100)
		w.wait(every)
	}},
	{name: "a reader holds the log", options: walnut.Options{MaxLogSize: -1}, bring: func(w *world) {
		w.read("stays")
		for range 10 {
			w.commit(500)
		}
		w.wait(2 * time.Minute)
	}, alerts: []string{"WalnutReaderHoldsLog"}},
	{name: "a young reader holds the log", options: walnut.Options{MaxLogSize: -1}, bring: func(w *world) {
		w.read("young")
		for range 10 {
			w.commit(500)
		}
		w.wait(every)
	}},
	{name: "an old reader holds little", options: walnut.Options{MaxLogSize: -1}, bring: func(w *world) {
		w.read("old")
		w.commit(10)
		w.wait(2 * time.Minute)
	}},
	// The two maxima are of two readers.
	{name: "a young reader holds the log, and an old one was detached", options: walnut.Options{MaxLogSize: 40 * mib}, bring: func(w *world) {
		w.read("old")
		for w.db.Stats().Detached == 0 {
			w.commit(500)
			w.sleep(time.Second)
		}
		w.wait(2 * time.Minute)
		w.read("young")
		for range 10 {
			w.commit(500)
		}
		w.wait(every)
		if w.one("walnut_log_held_bytes") < 16*mib || w.one("walnut_oldest_reader_age_seconds") < 60 {
			w.t.Error("this is not the state that was meant")
		}
	}},
	{name: "a checkpoint failed", bring: func(w *world) {
		w.commit(1)
		w.disk.Inject(faultdisk.Fault{Op: faultdisk.OpSync, Suffix: ".db"})
		if _, err := w.db.Checkpoint(ctx, walnut.CheckpointPassive, nil); err == nil {
			w.t.Error("the checkpoint did not fail")
		}
		w.wait(2 * every)
	}, alerts: []string{"WalnutCheckpointErrors"}},
	{name: "syncs are slow", bring: func(w *world) {
		w.disk.Inject(faultdisk.Fault{Op: faultdisk.OpSync, Suffix: "-wal", Effect: faultdisk.Slow, Delay: time.Second, Sticky: true})
		for range 10 {
			w.commit(1)
			w.wait(every)
		}
	}, alerts: []string{"WalnutSlowSync"}},
}

// one is the value of a metric.
func (w *world) one(name string) float64 {
	w.t.Helper()
	v := w.evaluate(w.t, name)
	if len(v) != 1 {
		w.t.Fatalf("%s: %v", name, v)
	}
	return v[0].F
}

// TestAlertsInStates: each alert is raised in its state, and no other is.
func TestAlertsInStates(t *testing.T) {
	rules, raised := alerts(t), map[string]bool{}
	for _, st := range states {
		t.Run(st.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, st.options, time.Sleep)
				st.bring(w)
				for _, r := range rules {
					v := w.evaluate(t, r.Expr)
					if want := slices.Contains(st.alerts, r.Alert); want != (len(v) == 1) {
						t.Errorf("%s: %v", r.Alert, v)
					}
					for _, x := range v {
						raised[r.Alert] = true
						if x.Metric.Get("database") != "app.db" || x.Metric.Get("instance") == "" || x.Metric.Get("job") == "" {
							t.Errorf("%s does not say where: %v", r.Alert, x.Metric)
						}
					}
				}
			})
		})
	}
	for _, r := range rules {
		if !raised[r.Alert] {
			t.Errorf("no state raises %s", r.Alert)
		}
		if _, err := model.ParseDuration(r.For); r.For != "" && err != nil {
			t.Errorf("%s: %v", r.Alert, err)
		}
	}
}

var legendLabel = regexp.MustCompile(`\{\{\s*(\w+)\s*\}\}`)

// TestExpressions: all parse, name metrics and labels that there are, and those of
// the dashboard show something, one line for each legend.
func TestExpressions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, walnut.Options{MaxLogSize: 64 * frame}, time.Sleep)
		for range 20 {
			w.commit(10)
			w.wait(every)
		}
		for _, r := range alerts(t) {
			w.check(t, r.Expr)
		}
		for _, x := range targets(t) {
			w.check(t, x.Expr)
			v := w.evaluate(t, x.Expr)
			if len(v) == 0 {
				t.Errorf("%s shows nothing: %s", x.Title, x.Expr)
			}
			seen := map[string]bool{}
			for _, point := range v {
				legend := legendLabel.ReplaceAllStringFunc(x.LegendFormat, func(l string) string {
					name := legendLabel.FindStringSubmatch(l)[1]
					if !point.Metric.Has(name) {
						t.Errorf("%s: no label %s in %v", x.Title, name, point.Metric)
					}
					return point.Metric.Get(name)
				})
				if seen[legend] {
					t.Errorf("%s: two lines are called %s", x.Title, legend)
				}
				seen[legend] = true
			}
		}
	})
}
