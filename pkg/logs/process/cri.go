package process

import (
	"container/list"
	"errors"
	"slices"
	"strings"
	"time"

	"collector/pkg/component"
	"collector/pkg/pipeline"

	"github.com/prometheus/prometheus/model/labels"
)

// CRIConfig is the block stage.cri.
type CRIConfig struct {
	MaxPartialLines            int    `alloy:"max_partial_lines,attr,optional"`
	MaxPartialLineSize         uint64 `alloy:"max_partial_line_size,attr,optional"`
	MaxPartialLineSizeTruncate bool   `alloy:"max_partial_line_size_truncate,attr,optional"`
}

// SetToDefault sets what Alloy starts from.
func (c *CRIConfig) SetToDefault() { *c = CRIConfig{MaxPartialLines: 100} }

// Validate reports settings that can't work.
func (c *CRIConfig) Validate() error {
	if c.MaxPartialLines <= 0 {
		return component.At("max_partial_lines", errors.New("it must be positive"))
	}
	return nil
}

// cri reads the log format of Kubernetes' container runtimes, and puts the parts of lines
// together: those marked P, up to the one marked F. When parts of too many streams are
// held, they come out as they are. What is held waits for its rest as long as necessary,
// across restarts too.
type cri struct {
	cfg   CRIConfig
	cache *Cache
	read  Emit // reads an entry and gives it to join
	emit  Emit // of the call in progress
	out   Entry

	parts map[string]*list.Element // of *Block, by the labels' bytes
	order *list.List               // the one that began first in front
	key   []byte                   // reused
	lines int                      // held
	bytes int                      // held
}

func newCRI(c CRIConfig, v *env) (Stage, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	stages, err := newStages([]StageConfig{
		{Labels: &LabelsConfig{Values: map[string]*string{"stream": nil}}},
		{Timestamp: &TimestampConfig{Source: "time", Format: "RFC3339Nano"}},
		{Output: &OutputConfig{Source: "content"}},
		{Output: &OutputConfig{Source: "tags"}},
	}, v)
	if err != nil {
		return nil, err
	}
	s := &cri{cfg: c, cache: v.cache, parts: make(map[string]*list.Element), order: list.New()}
	s.read = (&chain{}).connect(append([]Stage{criLine{}}, stages...), s.join)
	return s, nil
}

// criLine extracts what is in a line that has the format
//
//	2026-01-02T03:04:05.678901234Z stdout F text
type criLine struct{}

func (criLine) Process(e *Entry, emit Emit) {
	time, rest, ok := criWord(e.Line)
	stream, rest, _ := strings.Cut(rest, " ")
	flags, text, more := criWord(rest)
	if ok && more && (stream == "stdout" || stream == "stderr") {
		e.Extracted.Set("time", Text(time))
		e.Extracted.Set("stream", Text(stream))
		e.Extracted.Set("flags", Text(flags))
		e.Extracted.Set("content", Text(text))
	}
	emit(e)
}

// criWord cuts text after a word and a space.
func criWord(text string) (word, rest string, ok bool) {
	i := strings.IndexAny(text, " \t\n\f\r")
	if i <= 0 || text[i] != ' ' {
		return "", "", false
	}
	return text[:i], text[i+1:], true
}

// Holds implements Holder. The labels are those from before the line is read, so
// that while anything is held, any line may belong to it.
func (s *cri) Holds(_ labels.Labels, entries []pipeline.Entry) bool {
	return len(s.parts) > 0 || slices.ContainsFunc(entries, func(e pipeline.Entry) bool {
		_, rest, _ := strings.Cut(e.Line, " ")
		_, rest, _ = strings.Cut(rest, " ")
		return strings.HasPrefix(rest, "P ")
	})
}

// Process implements Stage.
func (s *cri) Process(e *Entry, emit Emit) {
	s.emit = emit
	e.Extracted.seed(&e.Labels)
	s.read(e)
}

func (s *cri) find(stream labels.Labels) *list.Element {
	s.key = stream.Bytes(s.key)
	return s.parts[string(s.key)]
}

// join takes an entry that has been read.
func (s *cri) join(e *Entry) {
	stream := e.Labels.Held(s.cache)
	flags, _ := e.Extracted.Text("flags")
	partial := flags == "P"
	if partial && len(s.parts) >= s.cfg.MaxPartialLines {
		s.release(e.Now)
	}
	at := s.find(stream)
	if partial {
		s.hold(at, stream, e)
		return
	}
	if at != nil {
		b := s.remove(at)
		e.Line = s.limit(string(b.Text) + e.Line)
	}
	s.emit(e)
}

// hold adds a part to what is held. As in Alloy, the time is the last part's.
func (s *cri) hold(at *list.Element, stream labels.Labels, e *Entry) {
	if at == nil {
		at = s.insert(&Block{Labels: stream})
	}
	b := at.Value.(*Block)
	before := len(b.Text)
	b.Text = append(b.Text, e.Line...)
	if text := s.limit(string(b.Text)); len(text) < len(b.Text) {
		b.Text = b.Text[:len(text)]
	}
	b.Time, b.Metadata, b.Extracted = e.Time, e.Metadata, e.Extracted.Clone()
	b.Lines++
	s.lines++
	s.bytes += len(b.Text) - before
	for s.bytes > maxHeldBytes {
		s.remove(s.order.Front()).entry(&s.out, e.Now)
		s.emit(&s.out)
	}
}

func (s *cri) limit(line string) string {
	if s.cfg.MaxPartialLineSizeTruncate && uint64(len(line)) > s.cfg.MaxPartialLineSize {
		return line[:s.cfg.MaxPartialLineSize]
	}
	return line
}

func (s *cri) insert(b *Block) *list.Element {
	at := s.order.PushBack(b)
	s.parts[string(b.Labels.Bytes(nil))] = at
	return at
}

func (s *cri) remove(at *list.Element) *Block {
	b := s.order.Remove(at).(*Block)
	s.key = b.Labels.Bytes(s.key)
	delete(s.parts, string(s.key))
	s.lines -= b.Lines
	s.bytes -= len(b.Text)
	return b
}

// release emits all that is held, as it is.
func (s *cri) release(now time.Time) {
	for s.order.Len() > 0 {
		s.remove(s.order.Front()).entry(&s.out, now)
		s.emit(&s.out)
	}
}

// Flush implements Holder.
func (s *cri) Flush(stream labels.Labels, now time.Time, emit Emit) {
	if at := s.find(stream); at != nil {
		s.remove(at).entry(&s.out, now)
		emit(&s.out)
	}
}

// Due implements Holder: never.
func (s *cri) Due() (at time.Time, any bool) { return at, false }

// Each implements Holder.
func (s *cri) Each(f func(Block) bool) {
	for at := s.order.Front(); at != nil; at = at.Next() {
		if !f(*at.Value.(*Block)) {
			return
		}
	}
}

// Held implements Holder.
func (s *cri) Held() (streams, lines, bytes int) { return s.order.Len(), s.lines, s.bytes }

// Restore implements Holder.
func (s *cri) Restore(b Block, _ time.Time, _ Emit) {
	if b.Lines == 0 || s.find(b.Labels) != nil {
		return
	}
	s.insert(&b)
	s.lines += b.Lines
	s.bytes += len(b.Text)
}
