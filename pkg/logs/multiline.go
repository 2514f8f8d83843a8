package logs

import (
	"container/list"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/pipeline"
)

const (
	// maxBlockBytes is Loki's own default limit of a line.
	maxBlockBytes = int(256 * component.KiB)
	// maxHeldBytes bounds what one stage holds of all streams.
	maxHeldBytes = int(16 * component.MiB)
	// maxKnownStreams bounds the streams that one stage knows.
	maxKnownStreams = 4096
	// keptBuffer is the largest buffer that a stream without a block keeps.
	keptBuffer = 4 << 10
)

// What ends a block.
const (
	endedByFirstLine = "first_line" // of the next block
	endedByLines     = "max_lines"
	endedByBytes     = "max_bytes"
	endedByFlush     = "flush"  // no line came for max_wait_time, or the end of the program
	endedByMemory    = "memory" // too much is held of all streams
)

// MultilineConfig is the block stage.multiline.
type MultilineConfig struct {
	FirstLine    string        `alloy:"firstline,attr"`
	MaxLines     uint64        `alloy:"max_lines,attr,optional"`
	MaxWaitTime  time.Duration `alloy:"max_wait_time,attr,optional"`
	TrimNewlines bool          `alloy:"trim_newlines,attr,optional"`
}

// SetToDefault sets what Alloy starts from.
func (c *MultilineConfig) SetToDefault() {
	*c = MultilineConfig{MaxLines: 128, MaxWaitTime: 3 * time.Second, TrimNewlines: true}
}

// Validate reports settings that can't work.
func (c *MultilineConfig) Validate() error {
	if c.FirstLine == "" {
		return component.At("firstline", errors.New("it must not be empty"))
	}
	if _, err := regexp.Compile(c.FirstLine); err != nil {
		return component.At("firstline", fmt.Errorf("%q: %w", c.FirstLine, err))
	}
	if c.MaxWaitTime <= 0 {
		return component.At("max_wait_time", fmt.Errorf("%s must be positive", c.MaxWaitTime))
	}
	return nil
}

// multiline makes one entry of the lines of a stream from one that matches on,
// up to the next that does. The entry has the time and the metadata of its first
// line. Lines of a stream before the first that matches pass through. Once one
// has matched, a line that follows a block which was ended begins another.
type multiline struct {
	cfg     MultilineConfig
	first   *regexp.Regexp
	metrics *processMetrics

	maxBlock, maxHeld, maxStreams int

	streams map[string]*block // by the labels' bytes
	key     []byte            // reused
	holding *list.List        // of *block, those with lines, the one touched first in front
	idle    *list.List        // of *block, those without, likewise
	lines   int               // held
	bytes   int               // held
}

// block is a stream, and what is held of it.
type block struct {
	key     string
	at      *list.Element
	held    heldBlock
	touched time.Time
}

func newMultiline(cfg MultilineConfig, m *processMetrics) (*multiline, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &multiline{
		cfg: cfg, first: regexp.MustCompile(cfg.FirstLine), metrics: m,
		maxBlock: maxBlockBytes, maxHeld: maxHeldBytes, maxStreams: maxKnownStreams,
		streams: make(map[string]*block), holding: list.New(), idle: list.New(),
	}, nil
}

func (m *multiline) get(stream labels.Labels) *block {
	m.key = stream.Bytes(m.key)
	return m.streams[string(m.key)]
}

// know makes m know the stream that get has not found.
func (m *multiline) know(stream labels.Labels) *block {
	b := &block{key: string(m.key), held: heldBlock{labels: stream}}
	b.at = m.idle.PushBack(b)
	m.streams[b.key] = b
	return b
}

func (m *multiline) holds(stream labels.Labels, entries []pipeline.Entry) bool {
	if len(m.streams) > 0 && m.get(stream) != nil {
		return true
	}
	for i := range entries {
		if m.first.MatchString(entries[i].Line) {
			return true
		}
	}
	return false
}

func (m *multiline) take(stream labels.Labels, e pipeline.Entry, now time.Time, emit emitter) {
	first := m.first.MatchString(e.Line)
	b := m.get(stream)
	if b == nil {
		if !first {
			emit(stream, e)
			return
		}
		b = m.know(stream)
	}
	line := e.Line
	if m.cfg.TrimNewlines {
		line = strings.TrimRight(line, "\r\n")
	}
	switch {
	case first:
		m.end(b, endedByFirstLine, emit)
	case len(b.held.text)+1+len(line) > m.maxBlock:
		m.end(b, endedByBytes, emit)
	}
	m.hold(b, e, line, now)
	m.limit(b, emit)
	m.shrink(emit)
}

// limit ends a block that has as many lines as it may; 0 is no limit.
func (m *multiline) limit(b *block, emit emitter) {
	if m.cfg.MaxLines > 0 && uint64(b.held.lines) >= m.cfg.MaxLines {
		m.end(b, endedByLines, emit)
	}
}

// hold adds a line to a block.
func (m *multiline) hold(b *block, e pipeline.Entry, line string, now time.Time) {
	h := &b.held
	before := len(h.text)
	if h.lines == 0 {
		h.time, h.metadata = e.Time, e.Metadata
		m.move(b, m.idle, m.holding)
	} else {
		h.text = append(h.text, '\n')
		m.holding.MoveToBack(b.at)
	}
	h.text = append(h.text, line...)
	h.lines++
	m.lines++
	m.bytes += len(h.text) - before
	b.touched = now
}

func (m *multiline) move(b *block, from, to *list.List) {
	from.Remove(b.at)
	b.at = to.PushBack(b)
}

// end emits the block of a stream, if there is one.
func (m *multiline) end(b *block, reason string, emit emitter) {
	h := &b.held
	if h.lines == 0 {
		return
	}
	m.metrics.flushed.WithLabelValues(reason).Inc()
	m.lines -= h.lines
	m.bytes -= len(h.text)
	e := pipeline.Entry{Time: h.time, Line: string(h.text), Metadata: h.metadata}
	if cap(h.text) > keptBuffer {
		h.text = nil
	}
	*h = heldBlock{labels: h.labels, text: h.text[:0]}
	m.move(b, m.holding, m.idle)
	emit(h.labels, e)
}

// shrink keeps m within its bounds: the blocks touched first are ended, and the
// streams not heard of for the longest time are forgotten.
func (m *multiline) shrink(emit emitter) {
	for m.bytes > m.maxHeld {
		m.end(m.holding.Front().Value.(*block), endedByMemory, emit)
	}
	for len(m.streams) > m.maxStreams {
		if m.idle.Len() == 0 {
			m.end(m.holding.Front().Value.(*block), endedByMemory, emit)
		}
		b := m.idle.Remove(m.idle.Front()).(*block)
		delete(m.streams, b.key)
	}
}

func (m *multiline) flush(stream labels.Labels, emit emitter) {
	if b := m.get(stream); b != nil {
		m.end(b, endedByFlush, emit)
	}
}

func (m *multiline) due() (at time.Time, any bool) {
	front := m.holding.Front()
	if front == nil {
		return at, false
	}
	return front.Value.(*block).touched.Add(m.cfg.MaxWaitTime), true
}

func (m *multiline) held() (streams, lines, bytes int) { return m.holding.Len(), m.lines, m.bytes }

func (m *multiline) each(f func(heldBlock) bool) {
	for _, l := range []*list.List{m.holding, m.idle} {
		for at := l.Front(); at != nil; at = at.Next() {
			b := at.Value.(*block)
			h := b.held
			h.due = b.touched.Add(m.cfg.MaxWaitTime)
			if !f(h) {
				break
			}
		}
	}
}

func (m *multiline) restore(h heldBlock, now time.Time, emit emitter) {
	b := m.get(h.labels)
	if b == nil {
		b = m.know(h.labels)
	}
	if h.lines > 0 && b.held.lines == 0 {
		m.hold(b, pipeline.Entry{Time: h.time, Metadata: h.metadata}, string(h.text), now)
		m.lines += h.lines - 1
		b.held.lines = h.lines
		m.limit(b, emit)
	}
	m.shrink(emit)
}
