// What Prometheus would have stored: scrapes of one registry, kept in memory.

package promqltest

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

// sample is a number at a time, in milliseconds.
type sample struct {
	t int64
	f float64
}

func (s sample) T() int64                    { return s.t }
func (sample) ST() int64                     { return 0 }
func (s sample) F() float64                  { return s.f }
func (sample) H() *histogram.Histogram       { return nil }
func (sample) FH() *histogram.FloatHistogram { return nil }
func (sample) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (s sample) Copy() chunks.Sample         { return s }

// store has the series by their labels. It is a storage.Queryable.
type store struct {
	storage.MockQuerier
	labels  map[string]labels.Labels
	samples map[string][]chunks.Sample
	// families are those of the last scrape, by name.
	families map[string]*dto.MetricFamily
	now      time.Time
}

// every is the time between two scrapes.
const every = 15 * time.Second

func newStore() *store {
	return &store{labels: map[string]labels.Labels{}, samples: map[string][]chunks.Sample{}, now: time.Unix(1e9, 0)}
}

// scrape reads the registry, and moves the store's time on after it.
func (s *store) scrape(t *testing.T, r *prometheus.Registry) {
	t.Helper()
	list, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	s.families = map[string]*dto.MetricFamily{}
	for _, f := range list {
		s.families[f.GetName()] = f
		for _, m := range f.GetMetric() {
			if h := m.GetHistogram(); h != nil {
				for _, b := range h.GetBucket() {
					s.add(f.GetName()+"_bucket", m, float64(b.GetCumulativeCount()), "le", strconv.FormatFloat(b.GetUpperBound(), 'g', -1, 64))
				}
				s.add(f.GetName()+"_bucket", m, float64(h.GetSampleCount()), "le", "+Inf")
				s.add(f.GetName()+"_count", m, float64(h.GetSampleCount()))
				s.add(f.GetName()+"_sum", m, h.GetSampleSum())
			} else {
				s.add(f.GetName(), m, m.GetGauge().GetValue()+m.GetCounter().GetValue())
			}
		}
	}
	s.now = s.now.Add(every)
}

func (s *store) add(name string, m *dto.Metric, v float64, more ...string) {
	pairs := append([]string{"__name__", name, "job", "app", "instance", "host:80"}, more...)
	for _, l := range m.GetLabel() {
		pairs = append(pairs, l.GetName(), l.GetValue())
	}
	l := labels.FromStrings(pairs...)
	s.labels[l.String()] = l
	s.samples[l.String()] = append(s.samples[l.String()], sample{s.now.UnixMilli(), v})
}

// Querier implements storage.Queryable.
func (s *store) Querier(_, _ int64) (storage.Querier, error) { return s, nil }

// Select implements storage.Querier.
func (s *store) Select(_ context.Context, _ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	var list []storage.Series
	for key, l := range s.labels {
		all := true
		for _, m := range matchers {
			all = all && m.Matches(l.Get(m.Name))
		}
		if all {
			list = append(list, storage.NewListSeries(l, s.samples[key]))
		}
	}
	return &series{list: list}
}

// series is a storage.SeriesSet.
type series struct {
	list []storage.Series
	at   int
}

func (s *series) Next() bool                      { s.at++; return s.at <= len(s.list) }
func (s *series) At() storage.Series              { return s.list[s.at-1] }
func (*series) Err() error                        { return nil }
func (*series) Warnings() annotations.Annotations { return nil }
