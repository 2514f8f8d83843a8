package process

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"collector/pkg/component"
	"collector/pkg/pipeline"

	"github.com/oschwald/maxminddb-golang"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
)

// Emit takes an entry that comes out of a stage.
type Emit func(*Entry)

// Stage is a step of loki.process. It emits the results of an entry, which it may change,
// before it returns; it emits nothing to drop it. Calls are made one after the other.
type Stage interface {
	Process(e *Entry, emit Emit)
}

// Holder is a stage that holds entries back. What it does depends on nothing but its
// calls, so that they can be replayed; it may use Entry.Now to decide what is due, but
// not what comes out.
type Holder interface {
	Stage
	// Holds reports whether Process would hold back one of the entries of a stream,
	// or has held back some of it. It changes nothing.
	Holds(stream labels.Labels, entries []pipeline.Entry) bool
	// Flush emits what is held of a stream.
	Flush(stream labels.Labels, now time.Time, emit Emit)
	// Due is when the first stream has to be flushed.
	Due() (at time.Time, any bool)
	// Each calls f for each stream: first those of which a block is held, in
	// the order in which they were touched, then the others, likewise. It goes
	// on to the others when f returns false.
	Each(f func(Block) bool)
	// Held counts what is held.
	Held() (streams, lines, bytes int)
	// Restore sets what is held of a stream.
	Restore(b Block, now time.Time, emit Emit)
}

// Block is what a Holder holds of a stream. A block of no lines says that the
// stage knows the stream.
type Block struct {
	Labels    labels.Labels
	Time      time.Time
	Metadata  labels.Labels
	Extracted Extracted
	Lines     int
	Text      []byte
	Due       time.Time // not stored
}

// entry makes e the entry that b becomes.
func (b *Block) entry(e *Entry, now time.Time) {
	e.Labels.reset(b.Labels)
	e.Extracted.copyFrom(&b.Extracted)
	e.Time, e.Line, e.Metadata, e.Now = b.Time, string(b.Text), b.Metadata, now
}

// container is a stage with stages inside.
type container interface {
	Stage
	// within are the stages inside.
	within() []Stage
	// connect returns where an entry that the stage applies to enters the inner stages.
	connect(inside Emit)
}

// env is what stages have of the component.
type env struct {
	logger    *slog.Logger
	metrics   *metrics
	registry  prometheus.Registerer
	cache     *Cache
	customs   map[string]*customMetric     // by name
	databases map[string]*maxminddb.Reader // by path
	// ctx is the context of the call in progress, for stages that wait; nil while what a
	// journal holds is replayed.
	ctx context.Context
	// err, set by a stage, makes the call fail: the entries will be sent again.
	err error
}

func newEnv(o component.Options, m *metrics) *env {
	return &env{
		logger: o.Logger, metrics: m, registry: o.Metrics, cache: new(Cache),
		customs: make(map[string]*customMetric), databases: make(map[string]*maxminddb.Reader),
	}
}

// database reads a database; stages of one component share it.
func (v *env) database(path string) (*maxminddb.Reader, error) {
	if db, ok := v.databases[path]; ok {
		return db, nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, component.At("db", fmt.Errorf("read the database: %w", err))
	}
	db, err := maxminddb.FromBytes(content)
	if err != nil {
		return nil, component.At("db", fmt.Errorf("%s is not a database in MaxMind's format: %w", path, err))
	}
	v.databases[path] = db
	return db, nil
}

// held is a Holder and the stages after it.
type held struct {
	Holder
	next Emit
}

// chain is the stages of one component, connected:
//
//	before ──▶ (journal) ──▶ first Holder, and all after it ──▶ out
//
// Without a Holder, all stages are before.
type chain struct {
	first   Emit // of before
	rest    Emit
	holders []held // in the order of the configuration, those inside others too

	direct bool // nothing is before the first Holder
	plain  bool // there are only stages that leave alone what they don't hold
	// only reports whether the only Holder is concerned; nil if there are several,
	// or if that depends on other stages.
	only func(stream labels.Labels, entries []pipeline.Entry) bool
}

// newChain connects stages: what comes out of those before the first Holder goes
// to middle, and what comes out of the others to out.
func newChain(stages []Stage, middle, out Emit) *chain {
	c := &chain{}
	at := slices.IndexFunc(stages, holds)
	if at < 0 {
		at = len(stages)
	}
	c.rest = c.connect(stages[at:], out)
	slices.Reverse(c.holders)
	c.first = c.connect(stages[:at], middle)
	c.direct = at == 0
	c.plain = !slices.ContainsFunc(stages, func(s Stage) bool {
		_, ok := s.(*multiline)
		return !ok
	})
	if len(c.holders) == 1 {
		c.only = concern(stages[at])
	}
	return c
}

// concern returns what reports whether the Holder that s is, or that is the first
// of the stages inside it, is concerned by entries; nil if that can't be told.
func concern(s Stage) func(stream labels.Labels, entries []pipeline.Entry) bool {
	switch of := s.(type) {
	case *match:
		if within := concern(of.stages[0]); within != nil {
			return func(stream labels.Labels, entries []pipeline.Entry) bool {
				if !of.selector.stream(stream.Get) {
					return false
				}
				for i := range entries {
					if of.selector.line(entries[i].Line) && within(stream, entries[i:i+1]) {
						return true
					}
				}
				return false
			}
		}
	case Holder:
		return of.Holds
	}
	return nil
}

// holds reports whether a stage, or one inside it, holds entries back.
func holds(s Stage) bool {
	if c, ok := s.(container); ok {
		return slices.ContainsFunc(c.within(), holds)
	}
	_, ok := s.(Holder)
	return ok
}

// connect goes from the last stage to the first, and so lists the Holders.
func (c *chain) connect(stages []Stage, next Emit) Emit {
	for _, s := range slices.Backward(stages) {
		after := next
		switch of := s.(type) {
		case container:
			of.connect(c.connect(of.within(), after))
		case Holder:
			c.holders = append(c.holders, held{of, after})
		}
		next = func(e *Entry) { s.Process(e, after) }
	}
	return next
}

// concerns reports whether a stream is affected by what is held; true if that is not
// known before its entries have passed the stages in between.
func (c *chain) concerns(stream labels.Labels, entries []pipeline.Entry) bool {
	switch {
	case len(entries) == 0:
		return false
	case c.only != nil:
		return c.only(stream, entries)
	case !c.plain:
		return len(c.holders) > 0
	}
	for i := range c.holders {
		if c.holders[i].Holds(stream, entries) {
			return true
		}
	}
	return false
}

func (c *chain) due() (at time.Time, any bool) {
	for i := range c.holders {
		if d, ok := c.holders[i].Due(); ok && (!any || d.Before(at)) {
			at, any = d, true
		}
	}
	return at, any
}

// flush makes a Holder emit what it holds of a stream. One that the configuration
// no longer has holds nothing.
func (c *chain) flush(holder int, stream labels.Labels, now time.Time) {
	if holder < len(c.holders) {
		h := &c.holders[holder]
		h.Flush(stream, now, h.next)
	}
}

// expired lists the streams that a Holder has to flush, first what comes first.
func (c *chain) expired(holder int, now time.Time) (out []labels.Labels) {
	c.holders[holder].Each(func(b Block) bool {
		if b.Lines == 0 || b.Due.IsZero() || b.Due.After(now) {
			return false
		}
		out = append(out, b.Labels)
		return true
	})
	return out
}

// blocks lists every stream of which a Holder holds a block, but for those that
// are never due: they are kept.
func (c *chain) blocks(holder int) (out []labels.Labels) {
	c.holders[holder].Each(func(b Block) bool {
		if b.Lines > 0 && !b.Due.IsZero() {
			out = append(out, b.Labels)
		}
		return b.Lines > 0
	})
	return out
}

// snapshot appends the records that restore what is held.
func (c *chain) snapshot(buf []byte) []byte {
	for i := range c.holders {
		c.holders[i].Each(func(b Block) bool {
			buf = appendHeld(buf, i, b)
			return true
		})
	}
	return buf
}

// streams appends the records that restore the streams that blocks lists, without
// their blocks.
func (c *chain) streams(buf []byte) []byte {
	for i := range c.holders {
		for _, stream := range c.blocks(i) {
			buf = appendHeld(buf, i, Block{Labels: stream})
		}
	}
	return buf
}

// kept appends the records that restore the blocks that are never due.
func (c *chain) kept(buf []byte) []byte {
	for i := range c.holders {
		c.holders[i].Each(func(b Block) bool {
			if b.Lines > 0 && b.Due.IsZero() {
				buf = appendHeld(buf, i, b)
			}
			return b.Lines > 0
		})
	}
	return buf
}

// held counts what is held.
func (c *chain) held() (streams, lines, bytes int) {
	for i := range c.holders {
		n, l, b := c.holders[i].Held()
		streams, lines, bytes = streams+n, lines+l, bytes+b
	}
	return streams, lines, bytes
}
