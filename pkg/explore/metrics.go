package explore

import (
	"cmp"
	"context"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
)

// Point is a value at a time in milliseconds since the epoch.
type Point struct {
	T int64   `json:"t"`
	V float64 `json:"v"`
}

const (
	pointSize = 16
	// seriesOverhead is about what a series takes besides its points and labels.
	seriesOverhead = 600
	// maxPoints is how many points are kept of a series: 30 min at 5 s.
	maxPoints = 360
)

type series struct {
	labels labels.Labels
	points []Point   // in the order in which they came
	size   int       // without the points
	came   time.Time // when the last point came
}

// maxAhead is how far a point may be in the future: one further ahead would
// never grow old.
const maxAhead = time.Hour

// metricStore holds series by the hash of their labels.
type metricStore struct {
	limit, bytes int
	series       map[uint64]*series
	byName       map[string]map[uint64]*series
	skipped      uint64
}

func newMetricStore(limit int) *metricStore {
	return &metricStore{limit: limit, series: map[uint64]*series{}, byName: map[string]map[uint64]*series{}}
}

// add keeps a point. Of a new series it does so only while there is room: the
// series that are there stay whole.
func (s *metricStore) add(lset labels.Labels, p Point) {
	now := time.Now()
	hash := lset.Hash()
	known := s.series[hash]
	if known == nil && value.IsStaleNaN(p.V) {
		return
	}
	if p.T > now.Add(maxAhead).UnixMilli() {
		s.skipped++
		return
	}
	if known == nil {
		known = &series{labels: lset, size: seriesOverhead + labelsSize(lset)}
		if s.bytes+known.size+pointSize > s.limit {
			s.skipped++
			return
		}
		s.series[hash] = known
		s.bytes += known.size
		name := lset.Get(labels.MetricName)
		if s.byName[name] == nil {
			s.byName[name] = map[uint64]*series{}
		}
		s.byName[name][hash] = known
	}
	known.came = now
	if len(known.points) >= maxPoints || s.bytes+pointSize > s.limit && len(known.points) > 0 {
		copy(known.points, known.points[1:])
		known.points[len(known.points)-1] = p
		return
	}
	known.points = append(known.points, p)
	s.bytes += pointSize
}

func (s *metricStore) forget(t time.Time) {
	ahead := time.Now().Add(maxAhead).UnixMilli()
	for hash, known := range s.series {
		// What came before the clock was set back would never grow old.
		points := len(known.points)
		known.points = slices.DeleteFunc(known.points, func(p Point) bool { return p.T > ahead })
		s.bytes -= (points - len(known.points)) * pointSize
		n := 0
		for n < len(known.points) && (known.points[n].T < t.UnixMilli() || known.came.Before(t)) {
			n++
		}
		known.points = slices.Delete(known.points, 0, n)
		s.bytes -= n * pointSize
		if len(known.points) > 0 {
			continue
		}
		delete(s.series, hash)
		s.bytes -= known.size
		name := known.labels.Get(labels.MetricName)
		delete(s.byName[name], hash)
		if len(s.byName[name]) == 0 {
			delete(s.byName, name)
		}
	}
}

func (s *metricStore) stats() Stats {
	st := Stats{Items: len(s.series), Bytes: s.bytes, Skipped: s.skipped}
	oldest := int64(0)
	for _, known := range s.series {
		if oldest == 0 || known.points[0].T < oldest {
			oldest = known.points[0].T
		}
	}
	if oldest != 0 {
		st.Oldest = time.UnixMilli(oldest)
	}
	return st
}

// MetricName is a metric and how many series it has.
type MetricName struct {
	Name   string `json:"name"`
	Series int    `json:"series"`
}

// MetricNames lists the metrics in the window by name.
func (w *Window) MetricNames(ctx context.Context) ([]MetricName, error) {
	return ask(ctx, w, func() []MetricName {
		names := []MetricName{}
		for _, name := range slices.Sorted(maps.Keys(w.metrics.byName)) {
			names = append(names, MetricName{name, len(w.metrics.byName[name])})
		}
		return names
	})
}

// MetricQuery chooses series of one metric.
type MetricQuery struct {
	Name   string
	Labels map[string]string // equal labels
	Since  time.Time         // zero: everything
	Rate   bool              // per second instead of the value, for counters
	Limit  int               // of series: 10 if it is not from 1 to 100
}

// SeriesData is the points of one series, in the order of their times.
type SeriesData struct {
	Labels labels.Labels `json:"labels"`
	Points []Point       `json:"points"`
}

// MetricResult is the series that fit, those with the highest last values first,
// as far as the limit allows.
type MetricResult struct {
	Series []SeriesData `json:"series"`
	Total  int          `json:"total"`
}

// Metrics answers q.
func (w *Window) Metrics(ctx context.Context, q MetricQuery) (MetricResult, error) {
	return ask(ctx, w, func() MetricResult { return w.metrics.query(q) })
}

func (s *metricStore) query(q MetricQuery) MetricResult {
	limit := q.Limit
	if limit < 1 || limit > 100 {
		limit = 10
	}
	type ranked struct {
		*series
		last float64
	}
	var found []ranked
	for _, known := range s.byName[q.Name] {
		fits := true
		for name, v := range q.Labels {
			fits = fits && known.labels.Get(name) == v
		}
		if fits {
			found = append(found, ranked{known, known.last(q)})
		}
	}
	slices.SortFunc(found, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(b.last, a.last), labels.Compare(a.labels, b.labels))
	})
	r := MetricResult{Series: []SeriesData{}, Total: len(found)}
	for _, known := range found[:min(limit, len(found))] {
		points := []Point{}
		for _, p := range known.points {
			if q.shows(p) {
				points = append(points, p)
			}
		}
		slices.SortStableFunc(points, func(a, b Point) int { return cmp.Compare(a.T, b.T) })
		if q.Rate {
			points = rates(points)
		}
		r.Series = append(r.Series, SeriesData{known.labels, points})
	}
	return r
}

// shows reports whether a point is part of the answer. Neither a chart nor JSON
// has a place for what is no number.
func (q *MetricQuery) shows(p Point) bool {
	return !math.IsNaN(p.V) && !math.IsInf(p.V, 0) && p.T >= q.Since.UnixMilli()
}

// last is the last value that q shows of a series, below all others if there is
// none.
func (s *series) last(q MetricQuery) float64 {
	var points []Point
	for i := len(s.points) - 1; i >= 0 && len(points) <= rateSteps; i-- {
		if q.shows(s.points[i]) {
			points = append(points, s.points[i])
		}
	}
	slices.Reverse(points)
	if q.Rate {
		points = rates(points)
	}
	if len(points) == 0 {
		return math.Inf(-1)
	}
	return points[len(points)-1].V
}

// rateSteps is over how many scrapes an increase is spread: of something that happens
// every few seconds, single scrapes would show only spikes.
const rateSteps = 5

// rates are the increases per second, each over the last rateSteps steps between
// points. A value that falls belongs to a counter that began again.
func rates(points []Point) []Point {
	out := []Point{}
	total := make([]float64, len(points)) // the increase since the first point
	for i := 1; i < len(points); i++ {
		a, b := points[i-1], points[i]
		increase := b.V - a.V
		if increase < 0 {
			increase = b.V
		}
		total[i] = total[i-1] + increase
		if b.T <= a.T {
			continue
		}
		first := max(0, i-rateSteps)
		out = append(out, Point{b.T, (total[i] - total[first]) * 1000 / float64(b.T-points[first].T)})
	}
	return out
}
