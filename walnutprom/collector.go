// The collector: one pass over the facts for each scrape, all from the same Stats.

package walnutprom

import (
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/walnutdb/walnut"
)

// Option changes a [Collector].
type Option func(*config)

type config struct{ name string }

// WithName sets the value of the label database; without it, it is the file's
// name without its directories. Two databases in one registry need two names.
func WithName(name string) Option { return func(c *config) { c.name = name } }

// Collector is a [prometheus.Collector] of one database. It may be used
// concurrently, and after the database is closed: then its figures stand still.
type Collector struct {
	db    *walnut.DB
	facts []described
}

// described is a fact with its descriptor.
type described struct {
	fact
	desc *prometheus.Desc
}

var _ prometheus.Collector = (*Collector)(nil)

// New returns a collector for db, for [prometheus.Registerer]. Others in the
// process who have the same database open are counted with it: one collector a
// database is enough.
func New(db *walnut.DB, options ...Option) *Collector {
	c := config{name: filepath.Base(db.Path())}
	for _, o := range options {
		o(&c)
	}
	labels := prometheus.Labels{"database": c.name}
	r := &Collector{db: db}
	for _, f := range facts {
		r.facts = append(r.facts, described{f, prometheus.NewDesc("walnut_"+f.name, f.help, f.labels, labels)})
	}
	return r
}

// Describe implements [prometheus.Collector].
func (c *Collector) Describe(out chan<- *prometheus.Desc) {
	for _, f := range c.facts {
		out <- f.desc
	}
}

// Collect implements [prometheus.Collector].
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	s := take(c.db)
	for _, f := range c.facts {
		switch {
		case f.states != nil:
			for _, st := range f.states(s) {
				out <- prometheus.MustNewConstMetric(f.desc, prometheus.GaugeValue, st.value, st.state)
			}
		case f.histogram != nil:
			h, scale := f.histogram(s)
			n, buckets := scale.buckets(h)
			out <- prometheus.MustNewConstHistogram(f.desc, n, float64(h.Sum)*scale.unit, buckets)
		case f.counter != nil:
			out <- prometheus.MustNewConstMetric(f.desc, prometheus.CounterValue, float64(f.counter(s)))
		default:
			out <- prometheus.MustNewConstMetric(f.desc, prometheus.GaugeValue, f.gauge(s))
		}
	}
}

// sample is what one scrape looks at.
type sample struct {
	walnut.Stats
	// oldest is the age of the oldest reader. held is the most of the log, in bytes,
	// that one reader keeps, and holder the age of that one.
	oldest, holder time.Duration
	held           int64
}

func take(db *walnut.DB) *sample {
	s := &sample{Stats: db.Stats()}
	for _, r := range db.Readers() { // the oldest first
		s.oldest = max(s.oldest, r.Age)
		if r.LogBytes > s.held {
			s.held, s.holder = r.LogBytes, r.Age
		}
	}
	return s
}

// scale is how a histogram of the engine becomes one of Prometheus: unit is what 1
// is in the unit of the family, bound gives the bounds in it, of which those from
// first to last are shown. What is below the first is in its bucket.
type scale struct {
	unit        float64
	bound       func(i int) float64
	first, last int
}

var (
	// durations from 16 µs to 4.2 s, in seconds.
	durations = scale{unit: 1e-9, bound: func(i int) float64 { return walnut.DurationBound(i).Seconds() }, first: 4, last: 22}
	// sizes from 1 to 1024.
	sizes = scale{unit: 1, bound: func(i int) float64 { return float64(walnut.SizeBound(i)) }, first: 0, last: 10}
)

// buckets makes cumulative buckets. The count is theirs: Histogram.Count is read at
// another moment.
func (s scale) buckets(h walnut.Histogram) (n uint64, buckets map[float64]uint64) {
	buckets = make(map[float64]uint64, s.last-s.first+1)
	for i, b := range h.Buckets {
		n += b
		if s.first <= i && i <= s.last {
			buckets[s.bound(i)] = n
		}
	}
	return n, buckets
}
