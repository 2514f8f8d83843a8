package spanlogs

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/go-logfmt/logfmt"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"collector/pkg/pipeline"
)

// Kinds of lines: what the attribute logs_instance_tag says.
const (
	ofSpan    = "span"
	ofRoot    = "root"
	ofProcess = "process"
	ofEvent   = "event"
)

const (
	// largest bounds the lines of a request, in bytes: each line of an event repeats what
	// its span says.
	largest = 16 << 20
	// lineCost and pairCost are what a line and a pair take besides their text.
	lineCost, pairCost = 200, 32
)

// errTooLarge rejects a request for its lines.
var errTooLarge = pipeline.Permanent(errors.New("the log lines of the spans would be larger than 16 MiB: send smaller batches, or log fewer attributes"))

// writer writes the lines of a request.
type writer struct {
	*Config
	room int // bytes
}

// logs are the lines of spans. Records that hold nothing are not made.
func (c *Config) logs(td ptrace.Traces) (plog.Logs, error) {
	w := &writer{c, largest}
	out := plog.NewLogs()
	for _, rs := range td.ResourceSpans().All() {
		scopes := out.ResourceLogs().AppendEmpty().ScopeLogs()
		for _, ss := range rs.ScopeSpans().All() {
			if err := w.scope(rs.Resource().Attributes(), ss.Spans(), scopes.AppendEmpty().LogRecords()); err != nil {
				return out, err
			}
		}
	}
	return out, nil
}

// scope writes the lines of the spans of one scope. A process is logged if its trace
// differs from the previous span's.
func (c *writer) scope(resource pcommon.Map, spans ptrace.SpanSlice, to plog.LogRecordSlice) error {
	last := pcommon.TraceID{}
	for _, span := range spans.All() {
		if c.Processes && span.TraceID() != last {
			last = span.TraceID()
			if err := c.record(to, ofProcess, c.process(pcommon.NewMap(), resource, span)); err != nil {
				return err
			}
		}
		if err := c.lines(resource, span, to); err != nil {
			return err
		}
	}
	return nil
}

// lines writes the lines of a span, and of its events.
func (c *writer) lines(resource pcommon.Map, span ptrace.Span, to plog.LogRecordSlice) error {
	root := c.Roots && span.ParentSpanID().IsEmpty()
	if !c.Spans && !root && !c.Events {
		return nil
	}
	pairs := c.process(c.span(span), resource, span)
	if c.Spans {
		if err := c.record(to, ofSpan, pairs); err != nil {
			return err
		}
	}
	if root {
		if err := c.record(to, ofRoot, pairs); err != nil {
			return err
		}
	}
	if !c.Events {
		return nil
	}
	for _, event := range span.Events().All() {
		with := pcommon.NewMap()
		pairs.CopyTo(with)
		add(with, event.Attributes(), c.EventAttributes)
		if err := c.record(to, ofEvent, with); err != nil {
			return err
		}
	}
	return nil
}

// span is what a line says of a span itself.
func (c *Config) span(span ptrace.Span) pcommon.Map {
	pairs := pcommon.NewMap()
	pairs.PutStr(c.Overrides.SpanNameKey, span.Name())
	pairs.PutStr(c.Overrides.DurationKey, strconv.FormatInt(int64(span.EndTimestamp()-span.StartTimestamp()), 10)+"ns")
	if code := span.Status().Code(); code != ptrace.StatusCodeUnset {
		pairs.PutStr(c.Overrides.StatusKey, code.String())
	}
	add(pairs, span.Attributes(), c.SpanAttributes)
	return pairs
}

// process adds to pairs what a line says of the process and the trace.
func (c *Config) process(pairs, resource pcommon.Map, span ptrace.Span) pcommon.Map {
	service := ""
	if v, ok := resource.Get("service.name"); ok {
		service = v.Str()
	}
	pairs.PutStr(c.Overrides.ServiceKey, service)
	add(pairs, resource, c.ProcessAttributes)
	pairs.PutStr(c.Overrides.TraceIDKey, span.TraceID().String())
	return pairs
}

// add copies those of the names that from has.
func add(pairs, from pcommon.Map, names []string) {
	for _, name := range names {
		if v, ok := from.Get(name); ok {
			v.CopyTo(pairs.PutEmpty(name))
		}
	}
}

// record appends a line. Names that logfmt can't express are omitted.
func (c *writer) record(to plog.LogRecordSlice, kind string, pairs pcommon.Map) error {
	expected := lineCost
	for name, v := range pairs.All() {
		size := pairCost + len(name) + sizeOf(v)
		if expected += size; slices.Contains(c.Labels, name) {
			expected += size
		}
	}
	if c.room -= expected; c.room < 0 {
		return errTooLarge
	}
	r := to.AppendEmpty()
	r.Attributes().PutStr(c.Overrides.LogsTag, kind)
	var words []string
	for name, v := range pairs.All() {
		if slices.Contains(c.Labels, name) {
			v.CopyTo(r.Attributes().PutEmpty(name))
		}
		if word, err := logfmt.MarshalKeyvals(name, v.AsRaw()); err == nil && len(word) > 0 {
			words = append(words, string(word))
		}
	}
	line := strings.Join(words, " ")
	r.Body().SetStr(line)
	if c.room -= max(0, len(line)-expected); c.room < 0 { // by what is quoted
		return errTooLarge
	}
	return nil
}

// sizeOf is the size of the text in a value, about.
func sizeOf(v pcommon.Value) (n int) {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		return len(v.Str())
	case pcommon.ValueTypeBytes:
		return v.Bytes().Len()
	case pcommon.ValueTypeMap:
		for name, v := range v.Map().All() {
			n += pairCost + len(name) + sizeOf(v)
		}
	case pcommon.ValueTypeSlice:
		for _, v := range v.Slice().All() {
			n += pairCost + sizeOf(v)
		}
	}
	return n
}
