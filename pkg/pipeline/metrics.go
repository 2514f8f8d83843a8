package pipeline

import (
	"sync"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
)

// Metrics is a batch of samples, usually one scrape of one target.
type Metrics struct {
	Samples    []Sample
	Histograms []HistogramSample
	Exemplars  []Exemplar
	Metadata   []Metadata
	// Origin is the target that was scraped; nil: there is none. Components on the way
	// leave it as it is.
	Origin *Origin
}

// Origin is what is known of a scraped target beyond its samples.
type Origin struct {
	Job, Instance string
	Scheme        string // of its URL
	// Describe returns what the target says of a metric family, for components that must
	// know what a sample is; ok is false if it says nothing, or if the scrape must not
	// say so. It may be called until the batch has been written.
	Describe func(family string) (m Metadata, ok bool)
}

// Items is the number by which a batch is accounted: float samples and
// histogram samples. Exemplars and metadata ride along uncounted.
func (m Metrics) Items() int { return len(m.Samples) + len(m.Histograms) }

// Sample is a float value of a series. T is in milliseconds since the epoch.
type Sample struct {
	Series *Series
	T      int64
	V      float64
}

// HistogramSample is a native histogram of a series: exactly one of H and FH
// is set. T is in milliseconds since the epoch.
type HistogramSample struct {
	Series *Series
	T      int64
	H      *histogram.Histogram
	FH     *histogram.FloatHistogram
}

// Exemplar belongs to a series.
type Exemplar struct {
	Series   *Series
	Exemplar exemplar.Exemplar
}

// Metadata describes a metric family.
type Metadata struct {
	Family string
	Type   model.MetricType
	Help   string
	Unit   string
}

// Series is an immutable label set with a place for what sinks derive from it.
// A producer that sends the same series again and again (a scrape loop) sends
// the same *Series, so that what is derived (the encoded labels, a relabeled
// series) is made once.
type Series struct {
	Labels labels.Labels

	mu      sync.Mutex
	derived []derivation // guarded by mu; short: one per sink
}

type derivation struct {
	owner any
	value any
}

// NewSeries makes a series of lset.
func NewSeries(lset labels.Labels) *Series { return &Series{Labels: lset} }

// Derived returns what derive made of the series for owner, calling derive the
// first time. owner is the sink, by identity: what a sink that no longer exists derived
// goes when the series does.
func (s *Series) Derived(owner any, derive func(labels.Labels) any) any {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.derived {
		if s.derived[i].owner == owner {
			return s.derived[i].value
		}
	}
	v := derive(s.Labels)
	s.derived = append(s.derived, derivation{owner, v})
	return v
}

// Forget removes value, if that is what was derived of the series for owner, so
// that it is derived again the next time.
func (s *Series) Forget(owner, value any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.derived {
		if d := &s.derived[i]; d.owner == owner && d.value == value {
			last := len(s.derived) - 1
			s.derived[i], s.derived[last] = s.derived[last], derivation{}
			s.derived = s.derived[:last]
			return
		}
	}
}
