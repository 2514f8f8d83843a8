package explore

import (
	"context"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"collector/pkg/pipeline"
)

// Span is a span in the window.
type Span struct {
	TraceID    string            `json:"traceId"`
	SpanID     string            `json:"spanId"`
	ParentID   string            `json:"parentId,omitempty"`
	Name       string            `json:"name"`
	Service    string            `json:"service"`
	Kind       string            `json:"kind"`
	Start      time.Time         `json:"start"`
	Duration   time.Duration     `json:"durationNs"`
	Error      bool              `json:"error"`
	Message    string            `json:"message,omitempty"` // of the status
	Attributes map[string]string `json:"attributes"`
	Resource   map[string]string `json:"resource"` // shared by the spans of a request
	Events     []SpanEvent       `json:"events"`

	// shared is the size of Resource, in one span of each trace that has it.
	shared int
}

// SpanEvent is an event of a span, such as an exception.
type SpanEvent struct {
	Time       time.Time         `json:"time"`
	Name       string            `json:"name"`
	Attributes map[string]string `json:"attributes"`
}

// size is about what s takes in memory.
func (s *Span) size() int {
	n := 400 + s.shared + len(s.Name) + len(s.Message) + mapSize(s.Attributes)
	for _, e := range s.Events {
		n += 100 + len(e.Name) + mapSize(e.Attributes)
	}
	return n
}

// mapSize is about what m takes in memory.
func mapSize(m map[string]string) (n int) {
	for name, v := range m {
		n += len(name) + len(v) + 32
	}
	return n
}

type trace struct {
	id    string
	first time.Time // when its first span came
	spans []Span
	bytes int
}

// maxSpans is how many spans are kept of a trace.
const maxSpans = 2000

// traceStore holds traces in the order in which their first spans came.
type traceStore struct {
	limit, bytes int
	byID         map[string]*trace
	order        []*trace
	skipped      uint64
}

func newTraceStore(limit int) *traceStore {
	return &traceStore{limit: limit, byID: map[string]*trace{}}
}

func (s *traceStore) add(span Span, now time.Time) {
	t := s.byID[span.TraceID]
	if t == nil {
		t = &trace{id: span.TraceID, first: now}
		s.byID[span.TraceID] = t
		s.order = append(s.order, t)
	}
	if len(t.spans) >= maxSpans {
		s.skipped++
		return
	}
	size := span.size()
	t.spans = append(t.spans, span)
	t.bytes += size
	s.bytes += size
	for s.bytes > s.limit && len(s.order) > 0 {
		s.drop()
	}
}

// drop drops the oldest trace.
func (s *traceStore) drop() {
	t := s.order[0]
	s.order[0] = nil
	s.order = s.order[1:]
	delete(s.byID, t.id)
	s.bytes -= t.bytes
}

func (s *traceStore) forget(before time.Time) {
	for len(s.order) > 0 && s.order[0].first.Before(before) {
		s.drop()
	}
}

func (s *traceStore) stats() Stats {
	st := Stats{Items: len(s.order), Bytes: s.bytes, Skipped: s.skipped}
	if len(s.order) > 0 {
		st.Oldest = s.order[0].first
	}
	return st
}

// keepSpans reads a request of spans.
func (w *Window) keepSpans(request pipeline.Decoded) {
	now := time.Now()
	for _, rs := range request.Traces.ResourceSpans().All() {
		resource := stringMap(rs.Resource().Attributes())
		counted := map[string]bool{} // traces, in which the resource is
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				read := readSpan(span, resource)
				if !counted[read.TraceID] {
					counted[read.TraceID], read.shared = true, mapSize(resource)
				}
				w.traces.add(read, now)
			}
		}
	}
}

func readSpan(span ptrace.Span, resource map[string]string) Span {
	start := span.StartTimestamp().AsTime()
	read := Span{
		TraceID: span.TraceID().String(), SpanID: span.SpanID().String(), ParentID: span.ParentSpanID().String(),
		Name: span.Name(), Service: resource["service.name"], Kind: strings.ToLower(span.Kind().String()),
		Start: start, Duration: max(0, span.EndTimestamp().AsTime().Sub(start)),
		Error: span.Status().Code() == ptrace.StatusCodeError, Message: span.Status().Message(),
		Attributes: stringMap(span.Attributes()), Resource: resource, Events: []SpanEvent{},
	}
	for _, e := range span.Events().All() {
		read.Events = append(read.Events, SpanEvent{e.Timestamp().AsTime(), e.Name(), stringMap(e.Attributes())})
	}
	return read
}

// TraceQuery chooses traces. What is empty lets everything pass.
type TraceQuery struct {
	Service     string // of any of its spans
	Text        string // a substring of a span's name or of the trace's id, whatever the case
	MinDuration time.Duration
	Errors      bool // only those with an error
	Limit       int  // 50 if it is not from 1 to 500
}

// TraceInfo is a trace as far as the window has it.
type TraceInfo struct {
	TraceID  string        `json:"traceId"`
	Root     string        `json:"root"` // the name of its first span without a parent here
	Service  string        `json:"service"`
	Start    time.Time     `json:"start"`
	Duration time.Duration `json:"durationNs"`
	Spans    int           `json:"spans"`
	Errors   int           `json:"errors"`
}

// Traces lists the traces that fit q, the newest first.
func (w *Window) Traces(ctx context.Context, q TraceQuery) ([]TraceInfo, error) {
	return ask(ctx, w, func() []TraceInfo { return w.traces.query(q) })
}

func (s *traceStore) query(q TraceQuery) []TraceInfo {
	limit := q.Limit
	if limit < 1 || limit > 500 {
		limit = 50
	}
	q.Text = strings.ToLower(q.Text)
	found := []TraceInfo{}
	for i := len(s.order) - 1; i >= 0 && len(found) < limit; i-- {
		t := s.order[i]
		info := t.info()
		if q.Errors && info.Errors == 0 || info.Duration < q.MinDuration || !q.matches(t) {
			continue
		}
		found = append(found, info)
	}
	return found
}

func (q *TraceQuery) matches(t *trace) bool {
	service, text := q.Service == "", q.Text == "" || t.id == q.Text
	for i := range t.spans {
		service = service || t.spans[i].Service == q.Service
		text = text || strings.Contains(strings.ToLower(t.spans[i].Name), q.Text)
	}
	return service && text
}

func (t *trace) info() TraceInfo {
	ids := make(map[string]bool, len(t.spans))
	for i := range t.spans {
		ids[t.spans[i].SpanID] = true
	}
	info := TraceInfo{TraceID: t.id, Spans: len(t.spans), Start: t.spans[0].Start}
	end := t.spans[0].Start
	var root *Span
	for i := range t.spans {
		span := &t.spans[i]
		if span.Error {
			info.Errors++
		}
		if span.Start.Before(info.Start) {
			info.Start = span.Start
		}
		if e := span.Start.Add(span.Duration); e.After(end) {
			end = e
		}
		if !ids[span.ParentID] && (root == nil || span.Start.Before(root.Start)) {
			root = span
		}
	}
	if root != nil { // a cycle of parents has none
		info.Root, info.Service = root.Name, root.Service
	}
	info.Duration = end.Sub(info.Start)
	return info
}

// Trace is a whole trace.
type Trace struct {
	TraceInfo
	// Tree is its spans, each after its parent, the children by their start;
	// Depth is 0 for those without a parent in the window.
	Tree []SpanAt `json:"tree"`
}

// SpanAt is a span in its place in a trace.
type SpanAt struct {
	Span
	Depth  int           `json:"depth"`
	Offset time.Duration `json:"offsetNs"` // from the start of the trace
}

// Trace gives a trace by its id; ok reports whether the window has it.
func (w *Window) Trace(ctx context.Context, id string) (found Trace, ok bool, err error) {
	id = strings.ToLower(id)
	known, err := ask(ctx, w, func() *Trace {
		t := w.traces.byID[id]
		if t == nil {
			return nil
		}
		tree := t.tree()
		return &tree
	})
	if known == nil {
		return found, false, err
	}
	return *known, true, nil
}

func (t *trace) tree() Trace {
	out := Trace{TraceInfo: t.info(), Tree: []SpanAt{}}
	spans := slices.Clone(t.spans)
	slices.SortStableFunc(spans, func(a, b Span) int { return a.Start.Compare(b.Start) })
	children := map[string][]int{}
	ids := map[string]bool{}
	for i := range spans {
		ids[spans[i].SpanID] = true
	}
	var roots []int
	for i := range spans {
		if parent := spans[i].ParentID; ids[parent] && parent != spans[i].SpanID {
			children[parent] = append(children[parent], i)
		} else {
			roots = append(roots, i)
		}
	}
	placed := make([]bool, len(spans))
	var place func(i, depth int)
	place = func(i, depth int) {
		if placed[i] {
			return // an id that appears twice, or a cycle
		}
		placed[i] = true
		out.Tree = append(out.Tree, SpanAt{spans[i], depth, spans[i].Start.Sub(out.Start)})
		for _, child := range children[spans[i].SpanID] {
			place(child, depth+1)
		}
	}
	for _, root := range roots {
		place(root, 0)
	}
	for i := range spans {
		place(i, 0) // what only a cycle leads to
	}
	return out
}
