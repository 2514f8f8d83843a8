package process

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/logs/expression"
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
	endedByFlush     = "flush"  // no line came for max_wait_time, or the program stops
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
	if _, err := expression.Compile(c.FirstLine); err != nil {
		return component.At("firstline", fmt.Errorf("%q: %w", c.FirstLine, err))
	}
	if c.MaxWaitTime <= 0 {
		return component.At("max_wait_time", fmt.Errorf("%s must be positive", c.MaxWaitTime))
	}
	return nil
}

// multiline makes one entry of the lines of a stream from one that matches on, up to the
// next that does. The entry has the time and the metadata of its first line. Lines of a
// stream before the first that matches pass through. Once one has matched, a line that
// follows a finished block begins another.
type multiline struct {
	cfg     MultilineConfig
	first   *expression.Expression
	flushed map[string]prometheus.Counter // by what ended a block
	cache   *Cache
	out     Entry // reused

	maxBlock, maxHeld, maxStreams int

	streams map[string]*block // by the labels' bytes
	key     []byte            // reused
	holding blockList         // those with lines, the one touched first in front
	idle    blockList         // those without, likewise
	lines   int               // held
	bytes   int               // held
}

// block is a stream, and what is held of it.
type block struct {
	key     string
	held    Block
	touched time.Time

	in         *blockList
	prev, next *block
}

// blockList is a list of blocks, each of which is in one list.
type blockList struct {
	front, back *block
	size        int
}

// push moves a block to the back of l.
func (l *blockList) push(b *block) {
	b.leave()
	b.in, b.prev = l, l.back
	if l.back == nil {
		l.front = b
	} else {
		l.back.next = b
	}
	l.back = b
	l.size++
}

// leave removes the block from its list, if it is in one.
func (b *block) leave() {
	if b.in == nil {
		return
	}
	if b.prev == nil {
		b.in.front = b.next
	} else {
		b.prev.next = b.next
	}
	if b.next == nil {
		b.in.back = b.prev
	} else {
		b.next.prev = b.prev
	}
	b.in.size--
	b.in, b.prev, b.next = nil, nil, nil
}

func newMultiline(cfg MultilineConfig, v *env) (*multiline, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	m := &multiline{
		cfg: cfg, first: expression.MustCompile(cfg.FirstLine), flushed: make(map[string]prometheus.Counter), cache: v.cache,
		maxBlock: maxBlockBytes, maxHeld: maxHeldBytes, maxStreams: maxKnownStreams,
		streams: make(map[string]*block),
	}
	for _, reason := range []string{endedByFirstLine, endedByLines, endedByBytes, endedByFlush, endedByMemory} {
		m.flushed[reason] = v.metrics.flushed.WithLabelValues(reason)
	}
	return m, nil
}

func (m *multiline) get(stream labels.Labels) *block {
	m.key = stream.Bytes(m.key)
	return m.streams[string(m.key)]
}

// know makes m know the stream that get has not found.
func (m *multiline) know(stream labels.Labels) *block {
	b := &block{key: string(m.key), held: Block{Labels: stream}}
	m.idle.push(b)
	m.streams[b.key] = b
	return b
}

// Holds implements Holder.
func (m *multiline) Holds(stream labels.Labels, entries []pipeline.Entry) bool {
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

// Process implements Stage.
func (m *multiline) Process(e *Entry, emit Emit) {
	first := m.first.MatchString(e.Line)
	stream := e.Labels.Held(m.cache)
	b := m.get(stream)
	if b == nil {
		if !first {
			emit(e)
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
		m.end(b, endedByFirstLine, e.Now, emit)
	case len(b.held.Text)+1+len(line) > m.maxBlock:
		m.end(b, endedByBytes, e.Now, emit)
	}
	m.hold(b, e, line)
	m.limit(b, e.Now, emit)
	m.shrink(e.Now, emit)
}

// limit ends a block that has as many lines as it may; 0 is no limit.
func (m *multiline) limit(b *block, now time.Time, emit Emit) {
	if m.cfg.MaxLines > 0 && uint64(b.held.Lines) >= m.cfg.MaxLines {
		m.end(b, endedByLines, now, emit)
	}
}

// hold adds a line to a block.
func (m *multiline) hold(b *block, e *Entry, line string) {
	h := &b.held
	before := len(h.Text)
	if h.Lines == 0 {
		h.Time, h.Metadata = e.Time, e.Metadata
		h.Extracted.copyFrom(&e.Extracted)
	} else {
		h.Text = append(h.Text, '\n')
	}
	m.holding.push(b)
	h.Text = append(h.Text, line...)
	h.Lines++
	m.lines++
	m.bytes += len(h.Text) - before
	b.touched = e.Now
}

// end emits the block of a stream, if there is one.
func (m *multiline) end(b *block, reason string, now time.Time, emit Emit) {
	h := &b.held
	if h.Lines == 0 {
		return
	}
	m.flushed[reason].Inc()
	m.lines -= h.Lines
	m.bytes -= len(h.Text)
	h.entry(&m.out, now)
	if cap(h.Text) > keptBuffer {
		h.Text = nil
	}
	if h.Extracted.reset(labels.EmptyLabels()); cap(h.Extracted.fields) > indexAbove {
		h.Extracted = Extracted{}
	}
	*h = Block{Labels: h.Labels, Text: h.Text[:0], Extracted: h.Extracted}
	m.idle.push(b)
	emit(&m.out)
}

// shrink keeps m within its bounds: the blocks touched first are ended, and the
// streams not heard of for the longest time are forgotten.
func (m *multiline) shrink(now time.Time, emit Emit) {
	for m.bytes > m.maxHeld {
		m.end(m.holding.front, endedByMemory, now, emit)
	}
	for len(m.streams) > m.maxStreams {
		if m.idle.size == 0 {
			m.end(m.holding.front, endedByMemory, now, emit)
		}
		b := m.idle.front
		b.leave()
		delete(m.streams, b.key)
	}
}

// Flush implements Holder.
func (m *multiline) Flush(stream labels.Labels, now time.Time, emit Emit) {
	if b := m.get(stream); b != nil {
		m.end(b, endedByFlush, now, emit)
	}
}

// Due implements Holder.
func (m *multiline) Due() (at time.Time, any bool) {
	if m.holding.front == nil {
		return at, false
	}
	return m.holding.front.touched.Add(m.cfg.MaxWaitTime), true
}

// Held implements Holder.
func (m *multiline) Held() (streams, lines, bytes int) { return m.holding.size, m.lines, m.bytes }

// Each implements Holder.
func (m *multiline) Each(f func(Block) bool) {
	for _, l := range []*blockList{&m.holding, &m.idle} {
		for b := l.front; b != nil; b = b.next {
			h := b.held
			h.Due = b.touched.Add(m.cfg.MaxWaitTime)
			if !f(h) {
				break
			}
		}
	}
}

// Restore implements Holder.
func (m *multiline) Restore(h Block, now time.Time, emit Emit) {
	b := m.get(h.Labels)
	if b == nil {
		b = m.know(h.Labels)
	}
	if h.Lines > 0 && b.held.Lines == 0 {
		h.entry(&m.out, now)
		m.hold(b, &m.out, string(h.Text))
		m.lines += h.Lines - 1
		b.held.Lines = h.Lines
		m.limit(b, now, emit)
	}
	m.shrink(now, emit)
}
