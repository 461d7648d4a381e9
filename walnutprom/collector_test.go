// The families beside the engine's own figures, and their form.

package walnutprom_test

import (
	"context"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"

	"github.com/walnutdb/walnut"
	"github.com/walnutdb/walnut/walnutprom"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// opened is a database with commits, a reader, and its registry.
func opened(t *testing.T) (*walnut.DB, *prometheus.Registry) {
	t.Helper()
	db, err := walnut.Open(filepath.Join(t.TempDir(), "app.db"), &walnut.Options{AutoCheckpoint: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	for range 10 {
		commit(t, db)
	}
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(walnutprom.New(db))
	return db, r
}

func commit(t *testing.T, db *walnut.DB) {
	t.Helper()
	err := db.Update(context.Background(), func(tx *walnut.Tx) error {
		page, err := tx.Write(1)
		if err == nil {
			page[4000]++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// gather is all families by name.
func gather(t *testing.T, r *prometheus.Registry) map[string]*dto.MetricFamily {
	t.Helper()
	list, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	families := map[string]*dto.MetricFamily{}
	for _, f := range list {
		families[f.GetName()] = f
	}
	return families
}

func TestForm(t *testing.T) {
	_, r := opened(t)
	problems, err := testutil.GatherAndLint(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	for name, f := range gather(t, r) {
		if !strings.HasPrefix(name, "walnut_") || !strings.HasSuffix(f.GetHelp(), ".") {
			t.Errorf("%s: %q", name, f.GetHelp())
		}
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if labels["database"] != "app.db" || len(labels) != 1 && name != "walnut_readers" {
				t.Errorf("%s has the labels %v", name, labels)
			}
		}
	}
}

func TestValues(t *testing.T) {
	ctx := context.Background()
	db, r := opened(t)
	tx, err := db.Begin(walnut.WithLabel(ctx, "a reader"), &walnut.TxOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	commit(t, db)
	if _, err := db.Checkpoint(ctx, walnut.CheckpointPassive, nil); err != nil {
		t.Fatal(err)
	}
	s, readers := db.Stats(), db.Readers()
	families := gather(t, r)
	one := func(name string) float64 {
		m := families["walnut_"+name].GetMetric()
		if len(m) != 1 {
			t.Fatalf("walnut_%s: %v", name, m)
		}
		return m[0].GetGauge().GetValue() + m[0].GetCounter().GetValue()
	}
	for name, want := range map[string]float64{
		"log_size_bytes": float64(s.LogBytes), "log_limit_bytes": float64(s.LimitFrames) * float64(s.FrameBytes),
		"log_frames": float64(s.LogFrames), "log_frame_size_bytes": 4120, "log_backfilled_frames": float64(s.Backfilled),
		"log_safe_frames": float64(s.SafeFrame), "log_blocked": 0, "log_failed": 0, "log_restarts_total": float64(s.Restarts),
		"commits_total": 11, "log_written_frames_total": float64(s.FramesWritten), "log_written_bytes_total": float64(s.BytesAppended),
		"log_held_bytes": float64(readers[0].LogBytes), "detached_readers_total": 0, "writer_queue_length": 0,
		"open_transactions": 1, "checkpoints_total": float64(s.Checkpoints), "checkpoint_errors_total": 0,
		"checkpoint_pages_total": float64(s.PagesBackfilled), "database_written_bytes_total": float64(s.DatabaseBytes),
		"database_size_bytes": 4096, "side_file_bytes": 0, "side_file_pages": 0,
		"pool_hits_total": float64(s.PoolHits), "pool_misses_total": float64(s.PoolMisses),
	} {
		if got := one(name); got != want {
			t.Errorf("walnut_%s is %v, not %v", name, got, want)
		}
	}
	if s.Backfilled == 0 || readers[0].LogBytes == 0 || one("oldest_reader_age_seconds") < readers[0].Age.Seconds() ||
		one("log_holder_age_seconds") != one("oldest_reader_age_seconds") {
		t.Errorf("%+v, %+v", s, readers)
	}
	for name, want := range map[string]walnut.Histogram{"group_size": s.GroupSizes, "log_sync_duration_seconds": s.LogSyncTime,
		"database_sync_duration_seconds": s.DatabaseSyncTime, "checkpoint_duration_seconds": s.CheckpointTime} {
		h, unit := families["walnut_"+name].GetMetric()[0].GetHistogram(), 1.0
		if strings.HasSuffix(name, "_seconds") {
			unit = 1e-9
		}
		if h.GetSampleCount() != want.Count || want.Count == 0 || math.Abs(h.GetSampleSum()-float64(want.Sum)*unit) > unit {
			t.Errorf("walnut_%s: %v, not %+v", name, h, want)
		}
		// The largest value is not above the first bound that has all.
		for _, b := range h.GetBucket() {
			if b.GetCumulativeCount() == want.Count {
				if float64(want.Max)*unit > b.GetUpperBound() {
					t.Errorf("walnut_%s: the bucket of %v has all, but one is %v", name, b.GetUpperBound(), want.Max)
				}
				break
			}
		}
	}
	states := map[string]float64{}
	for _, m := range families["walnut_readers"].GetMetric() {
		for _, l := range m.GetLabel() {
			if l.GetName() == "state" {
				states[l.GetValue()] = m.GetGauge().GetValue()
			}
		}
	}
	if len(states) != 3 || states["log"] != 1 || states["file"] != 0 || states["detached"] != 0 {
		t.Errorf("readers: %v", states)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
}

// TestNames: two databases with their own names in one registry; a closed one can
// still be scraped.
func TestNames(t *testing.T) {
	db, r := opened(t)
	if err := r.Register(walnutprom.New(db)); err == nil {
		t.Error("the same name twice was taken")
	}
	if err := r.Register(walnutprom.New(db, walnutprom.WithName("other"))); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if n := len(gather(t, r)["walnut_commits_total"].GetMetric()); n != 2 {
		t.Errorf("%d databases", n)
	}
}
