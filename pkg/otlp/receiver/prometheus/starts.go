package prometheus

import (
	"encoding/binary"
	"hash/maphash"
	"sync"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// starts are when series began: the time of the first point that was seen, or of the
// first one since the series was reset.
type starts struct {
	seed maphash.Seed
	max  int // series

	mu    sync.Mutex
	known map[uint64]*start // by the hash of what distinguishes series; guarded by mu
}

// start is what is remembered of a series.
type start struct {
	at         pcommon.Timestamp
	count, sum float64 // of the last point
	seen       bool    // since the last call of forget
}

const (
	// memoryShare is the part of the program's memory limit that starts may take, at about
	// startCost bytes each, and maxStarts how many there may be: some 100 MB.
	memoryShare = 16
	startCost   = 100
	maxStarts   = 1 << 20
)

// newStarts remembers what there is room for under the memory limit, in bytes.
func newStarts(limit int64) *starts {
	return &starts{
		seed: maphash.MakeSeed(), max: int(min(maxStarts, limit/memoryShare/startCost)),
		known: make(map[uint64]*start),
	}
}

func (s *starts) size() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.known)
}

// forget removes the series that were not seen since the last call.
func (s *starts) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, st := range s.known {
		if !st.seen {
			delete(s.known, key)
		}
		st.seen = false
	}
}

// point is a data point of a type that has a start.
type point interface {
	Attributes() pcommon.Map
	Flags() pmetric.DataPointFlags
	StartTimestamp() pcommon.Timestamp
	SetStartTimestamp(pcommon.Timestamp)
}

// set gives each point the start of its series.
func (s *starts) set(md pmetric.Metrics) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var h maphash.Hash
	h.SetSeed(s.seed)
	for _, rm := range md.ResourceMetrics().All() {
		h.Reset()
		for _, name := range []string{"service.name", "service.instance.id"} {
			v, _ := rm.Resource().Attributes().Get(name)
			writeText(&h, v.AsString())
		}
		of := h.Sum64()
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				s.metric(&h, of, m)
			}
		}
	}
}

func (s *starts) metric(h *maphash.Hash, of uint64, m pmetric.Metric) {
	one := func(dp point, count, sum float64, optional bool) {
		h.Reset()
		var number [8]byte
		binary.BigEndian.PutUint64(number[:], of)
		_, _ = h.Write(number[:])
		_ = h.WriteByte(byte(m.Type()))
		writeText(h, m.Name())
		for name, v := range dp.Attributes().All() {
			writeText(h, name)
			writeText(h, v.Str())
		}
		s.point(h.Sum64(), dp, count, sum, optional)
	}
	switch m.Type() {
	case pmetric.MetricTypeSum:
		for _, dp := range m.Sum().DataPoints().All() {
			one(dp, dp.DoubleValue(), 0, false)
		}
	case pmetric.MetricTypeHistogram:
		for _, dp := range m.Histogram().DataPoints().All() {
			one(dp, float64(dp.Count()), dp.Sum(), false)
		}
	case pmetric.MetricTypeExponentialHistogram:
		for _, dp := range m.ExponentialHistogram().DataPoints().All() {
			one(dp, float64(dp.Count()), dp.Sum(), false)
		}
	case pmetric.MetricTypeSummary:
		for _, dp := range m.Summary().DataPoints().All() {
			one(dp, float64(dp.Count()), dp.Sum(), true)
		}
	}
}

// point gives a point the start of its series. A value that falls means a reset; where
// values are optional, 0 means none.
func (s *starts) point(key uint64, dp point, count, sum float64, optional bool) {
	st := s.known[key]
	if st == nil && len(s.known) >= s.max {
		return // it starts with each of its points
	}
	if st == nil {
		s.known[key] = &start{at: dp.StartTimestamp(), count: count, sum: sum, seen: true}
		return
	}
	st.seen = true
	if dp.Flags().NoRecordedValue() {
		dp.SetStartTimestamp(st.at)
		return
	}
	falls := func(now, before float64) bool { return now < before && (!optional || now != 0 && before != 0) }
	if falls(count, st.count) || falls(sum, st.sum) {
		st.at = dp.StartTimestamp()
	} else {
		dp.SetStartTimestamp(st.at)
	}
	st.count, st.sum = count, sum
}

func writeText(h *maphash.Hash, text string) {
	_, _ = h.WriteString(text)
	_ = h.WriteByte(0xff) // which no text has
}
