package spanlogs

import (
	"slices"
	"strconv"
	"strings"

	"github.com/go-logfmt/logfmt"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Kinds of lines: what the attribute logs_instance_tag says.
const (
	ofSpan    = "span"
	ofRoot    = "root"
	ofProcess = "process"
	ofEvent   = "event"
)

// logs are the lines of spans. Records that hold nothing are not made.
func (c *Config) logs(td ptrace.Traces) plog.Logs {
	out := plog.NewLogs()
	for _, rs := range td.ResourceSpans().All() {
		scopes := out.ResourceLogs().AppendEmpty().ScopeLogs()
		for _, ss := range rs.ScopeSpans().All() {
			c.scope(rs.Resource().Attributes(), ss.Spans(), scopes.AppendEmpty().LogRecords())
		}
	}
	return out
}

// scope writes the lines of the spans of one scope. A process is logged where its trace
// differs from the trace of the span before.
func (c *Config) scope(resource pcommon.Map, spans ptrace.SpanSlice, to plog.LogRecordSlice) {
	last := pcommon.TraceID{}
	for _, span := range spans.All() {
		if c.Processes && span.TraceID() != last {
			last = span.TraceID()
			c.record(to, ofProcess, c.process(pcommon.NewMap(), resource, span))
		}
		root := c.Roots && span.ParentSpanID().IsEmpty()
		if !c.Spans && !root && !c.Events {
			continue
		}
		pairs := c.process(c.span(span), resource, span)
		if c.Spans {
			c.record(to, ofSpan, pairs)
		}
		if root {
			c.record(to, ofRoot, pairs)
		}
		if c.Events {
			for _, event := range span.Events().All() {
				with := pcommon.NewMap()
				pairs.CopyTo(with)
				add(with, event.Attributes(), c.EventAttributes)
				c.record(to, ofEvent, with)
			}
		}
	}
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

// record appends a line. A name that logfmt has no notation for is not in it.
func (c *Config) record(to plog.LogRecordSlice, kind string, pairs pcommon.Map) {
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
	r.Body().SetStr(strings.Join(words, " "))
}
