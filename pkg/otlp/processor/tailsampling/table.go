package tailsampling

import (
	"container/list"
	"encoding/binary"
	"fmt"
	"time"

	"collector/pkg/pipeline"
)

// held is a trace, from its first span until it is forgotten.
type held struct {
	id      traceID
	arrived time.Time
	refs    []ref // its spans that are neither forwarded nor dropped
	spans   int64 // of refs, while the trace is undecided
	verdict verdict
	decided time.Time
	place   *list.Element // in undecided or decided; nil: it is being decided
}

// released is spans of a sampled trace that came after its decision.
type released struct {
	id   traceID
	refs []ref
}

// table is the traces that are remembered, and in which order they came. The decisions
// beyond are in two caches, which know a trace by the half of its id that is random in
// all of its versions.
type table struct {
	limit      uint64
	wait       time.Duration
	block      bool
	traces     map[traceID]*held
	undecided  list.List // of *held, the oldest first
	decided    list.List // of *held, the oldest first
	sampled    *recent[uint64, struct{}]
	notSampled *recent[uint64, struct{}]
}

func newTable(c Config) *table {
	return &table{
		limit: c.NumTraces, wait: c.DecisionWait, block: c.BlockOnOverflow, traces: map[traceID]*held{},
		sampled:    newRecent[uint64, struct{}](c.DecisionCache[sampledCache]),
		notSampled: newRecent[uint64, struct{}](c.DecisionCache[notSampledCache]),
	}
}

func half(id traceID) uint64 { return binary.LittleEndian.Uint64(id[8:]) }

// known returns what was decided of a trace, "" if nothing was. cached reports that only
// a cache knows it.
func (t *table) known(id traceID) (v verdict, cached bool) {
	if h := t.traces[id]; h != nil {
		return h.verdict, false
	}
	if _, ok := t.sampled.get(half(id)); ok {
		return sampled, true
	}
	if _, ok := t.notSampled.get(half(id)); ok {
		return notSampled, true
	}
	return "", false
}

// room reports, as an error, that a request cannot be held which has so many new traces.
// To make room, decided traces are forgotten; then, unless senders are to wait, the
// oldest undecided ones. One that is due is never dropped: it waits only because the
// outputs accept nothing.
func (t *table) room(added int, now time.Time) error {
	missing := len(t.traces) + added - int(min(t.limit, uint64(1<<62))) - t.decided.Len()
	e := t.undecided.Front()
	if missing <= 0 || e == nil {
		return nil
	}
	if t.block {
		return fmt.Errorf("hold spans: %d traces wait for their decision, as many as num_traces: %w", t.undecided.Len(), pipeline.ErrFull)
	}
	if h := e.Value.(*held); t.due(h, now) {
		return fmt.Errorf("hold spans: outputs accept nothing, and %d traces wait for them or for their decision, as many as num_traces: %w", t.undecided.Len(), pipeline.ErrFull)
	}
	return nil
}

func (t *table) due(h *held, now time.Time) bool { return now.Sub(h.arrived) >= t.wait }

// makeRoom makes room for a new trace. It returns those that are forgotten for it.
func (t *table) makeRoom() (forgotten []*held) {
	for uint64(len(t.traces)) >= t.limit {
		e := t.decided.Front()
		if e == nil {
			e = t.undecided.Front()
		}
		if e == nil {
			break
		}
		forgotten = append(forgotten, e.Value.(*held))
		t.forget(e.Value.(*held))
	}
	return forgotten
}

// insert adds a new trace.
func (t *table) insert(id traceID, now time.Time) *held {
	h := &held{id: id, arrived: now}
	h.place = t.undecided.PushBack(h)
	t.traces[id] = h
	return h
}

func (t *table) forget(h *held) {
	if h.verdict == "" {
		t.undecided.Remove(h.place)
	} else {
		t.decided.Remove(h.place)
	}
	delete(t.traces, h.id)
}

// next takes the oldest undecided trace out of the order if it is due, or at the end.
func (t *table) next(now time.Time, end bool) *held {
	e := t.undecided.Front()
	if e == nil || !end && !t.due(e.Value.(*held), now) {
		return nil
	}
	h := t.undecided.Remove(e).(*held)
	h.place = nil
	return h
}

// decide notes what was decided of a trace that next returned. It returns the refs that
// were added since, and whether a cache remembers the trace from now on.
func (t *table) decide(h *held, v verdict, refs int, now time.Time) (rest []ref, cached bool) {
	rest = h.refs[refs:]
	h.refs, h.verdict, h.decided = nil, v, now
	cache := t.sampled
	if v != sampled {
		cache = t.notSampled
	}
	cache.put(half(h.id), struct{}{})
	if cache.size > 0 {
		delete(t.traces, h.id)
		return rest, true
	}
	h.place = t.decided.PushBack(h)
	return rest, false
}
