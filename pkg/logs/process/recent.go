package process

import (
	"math"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/durable"
	"collector/pkg/pipeline"
)

const (
	// recentFor is how long the last call of a stream is remembered: by then, the source
	// has recorded that it was accepted.
	recentFor = 5 * time.Second
	// armedFor is how long a repeated call is expected.
	armedFor = time.Hour
)

// recentCalls are the last calls of streams of which entries are held. A source whose
// call failed, or that was killed before it recorded that its call was accepted, sends
// the same entries again, perhaps split differently and followed by others. As the
// journal has them, they must not be taken twice.
type recentCalls struct {
	calls   map[string]*recentCall // by the labels' bytes
	key     []byte                 // reused
	scratch []byte                 // reused
}

type recentCall struct {
	labels labels.Labels
	marks  []mark
	at     time.Time
	again  []mark // of marks, those that may be sent again, in the same order
	latest int64  // the time of the latest of again
}

func (c *recentCall) arm() {
	c.again, c.latest = slices.Clone(c.marks), math.MinInt64
	for _, m := range c.again {
		c.latest = max(c.latest, m.time)
	}
}

// returns reports whether an entry came before.
func (c *recentCall) returns(m mark) bool {
	return m.time <= c.latest && slices.Contains(c.again, m)
}

// mark is what distinguishes an entry of a stream from others.
type mark struct {
	time int64
	size uint32
	sum  uint32 // CRC-32C of the line
}

// call is what is new in the entries of a stream.
type call struct {
	arrival
	goesOn   bool // it also has entries of the last call, so that both may be sent again
	repeated []mark
}

func newRecentCalls() *recentCalls { return &recentCalls{calls: make(map[string]*recentCall)} }

func (r *recentCalls) get(stream labels.Labels) *recentCall {
	r.key = stream.Bytes(r.key)
	return r.calls[string(r.key)]
}

func (r *recentCalls) mark(e *pipeline.Entry) mark {
	r.scratch = append(r.scratch[:0], e.Line...)
	return mark{time: e.Time.UnixNano(), size: uint32(len(e.Line)), sum: durable.Checksum(0, r.scratch)}
}

func (r *recentCalls) armed(stream labels.Labels) bool {
	if len(r.calls) == 0 {
		return false
	}
	c := r.get(stream)
	return c != nil && len(c.again) > 0
}

// match finds out what of a came before. It changes nothing.
func (r *recentCalls) match(a *arrival) call {
	c := r.get(a.labels)
	if c == nil || len(c.again) == 0 {
		return call{arrival: *a}
	}
	out := call{arrival: arrival{labels: a.labels}}
	for i := range a.entries {
		if m := r.mark(&a.entries[i]); c.returns(m) {
			out.repeated = append(out.repeated, m)
			continue
		}
		out.entries = append(out.entries, a.entries[i])
		if a.from != nil {
			out.from = append(out.from, a.from[i])
		}
	}
	out.goesOn = len(out.repeated) > 0
	return out
}

// add records that a call was taken. What is left of the call before may come
// again in the next one, but not when there is nothing of it in this one.
func (r *recentCalls) add(c *call, now time.Time) {
	old := r.get(c.labels)
	if old == nil {
		old = &recentCall{labels: c.labels}
		r.calls[string(r.key)] = old
	}
	old.at = now
	if !c.goesOn {
		old.marks, old.again = old.marks[:0], nil
	}
	old.again = slices.DeleteFunc(old.again, func(m mark) bool { return slices.Contains(c.repeated, m) })
	for i := range c.entries {
		old.marks = append(old.marks, r.mark(&c.entries[i]))
	}
}

// arm records that the last call of a stream will be repeated.
func (r *recentCalls) arm(stream labels.Labels) {
	if c := r.get(stream); c != nil {
		c.arm()
	}
}

func (r *recentCalls) armAll() {
	for _, c := range r.calls {
		c.arm()
	}
}

func (r *recentCalls) none() bool { return len(r.calls) == 0 }

// expire forgets the calls that will not be repeated.
func (r *recentCalls) expire(now time.Time) {
	for key, c := range r.calls {
		if age := now.Sub(c.at); age > armedFor || age > recentFor && len(c.again) == 0 {
			delete(r.calls, key)
		}
	}
}

// snapshot appends the records that restore r.
func (r *recentCalls) snapshot(buf []byte, onlyArmed bool) []byte {
	for _, c := range r.calls {
		if len(c.again) > 0 || !onlyArmed {
			buf = appendRecent(buf, c.labels, c.marks)
		}
	}
	return buf
}

func (r *recentCalls) restore(stream labels.Labels, marks []mark, now time.Time) {
	r.key = stream.Bytes(r.key)
	r.calls[string(r.key)] = &recentCall{labels: stream, marks: marks, at: now}
}
