package tailsampling

import (
	"context"
	"errors"
	"hash/fnv"
	"math"
	"math/big"
	"regexp"
	"slices"

	otelcomponent "go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/trace"

	"collector/pkg/component"
)

// ruleTypes are the types of policies that consist of no others.
const ruleTypes = "always_sample, latency, numeric_attribute, probabilistic, status_code, string_attribute, rate_limiting, span_count, boolean_attribute, ottl_condition or trace_state"

func (r *Rule) evaluator(set otelcomponent.TelemetrySettings) (evaluator, error) {
	switch r.Type {
	case "always_sample":
		return func(context.Context, *whole) (verdict, error) { return sampled, nil }, nil
	case "latency":
		return r.Latency.evaluator(), nil
	case "numeric_attribute":
		return r.NumericAttribute.evaluator(), nil
	case "probabilistic":
		return r.Probabilistic.evaluator()
	case "status_code":
		return r.StatusCode.evaluator()
	case "string_attribute":
		return r.StringAttribute.evaluator()
	case "rate_limiting":
		return r.RateLimiting.evaluator(), nil
	case "span_count":
		return r.SpanCount.evaluator(), nil
	case "boolean_attribute":
		b := r.BooleanAttribute
		return attribute(b.Key, false, func(v pcommon.Value, _ bool) bool { return v.Bool() == b.Value }), nil
	case "ottl_condition":
		return r.Condition.evaluator(set)
	case "trace_state":
		return r.TraceState.evaluator(), nil
	}
	return nil, component.At("type", unknown(r.Type, ruleTypes+"; a policy itself may also be and or composite"))
}

// when is sampled if it is so.
func when(so bool) verdict {
	if so {
		return sampled
	}
	return notSampled
}

// anySpan samples traces that have a span of which f is true. f is called for the spans
// in order, until it is.
func anySpan(f func(span ptrace.Span) bool, td ptrace.Traces) verdict {
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				if f(span) {
					return sampled
				}
			}
		}
	}
	return notSampled
}

// attribute samples traces that have, in a resource or in a span, an attribute that
// matches; or, inverted, those that have none.
func attribute(key string, invert bool, matches func(v pcommon.Value, ofSpan bool) bool) evaluator {
	has := func(td ptrace.Traces) bool {
		for _, rs := range td.ResourceSpans().All() {
			if v, ok := rs.Resource().Attributes().Get(key); ok && matches(v, false) {
				return true
			}
		}
		return anySpan(func(span ptrace.Span) bool {
			v, ok := span.Attributes().Get(key)
			return ok && matches(v, true)
		}, td) == sampled
	}
	return func(_ context.Context, t *whole) (verdict, error) {
		switch {
		case !invert:
			return when(has(t.Traces)), nil
		case has(t.Traces):
			return invertedNotSampled, nil
		}
		return invertedSampled, nil
	}
}

func (l Latency) evaluator() evaluator {
	return func(_ context.Context, t *whole) (verdict, error) {
		var first, last pcommon.Timestamp
		return anySpan(func(span ptrace.Span) bool {
			if first == 0 || span.StartTimestamp() < first {
				first = span.StartTimestamp()
			}
			last = max(last, span.EndTimestamp())
			took := last.AsTime().Sub(first.AsTime()).Milliseconds()
			if l.Upper == 0 {
				return took >= l.Threshold
			}
			return l.Threshold < took && took <= l.Upper
		}, t.Traces), nil
	}
}

func (n NumericAttribute) evaluator() evaluator {
	least, most := n.Min, n.Max
	if least == 0 && most != 0 {
		least = math.MinInt64
	}
	if most == 0 && n.Min != 0 {
		most = math.MaxInt64
	}
	return attribute(n.Key, n.Invert, func(v pcommon.Value, _ bool) bool { return least <= v.Int() && v.Int() <= most })
}

// longestKnown is how long a text may be of which it is remembered whether it matches.
const longestKnown = 1 << 10

func (s StringAttribute) evaluator() (evaluator, error) {
	matches := func(text string) bool { return text != "" && slices.Contains(s.Values, text) }
	if s.Regex {
		var expressions []*regexp.Regexp
		for _, value := range s.Values {
			e, err := regexp.Compile(value)
			if err != nil {
				return nil, component.At("string_attribute/values", err)
			}
			expressions = append(expressions, e)
		}
		size := s.CacheSize
		if size <= 0 {
			size = 128
		}
		known := newRecent[string, bool](size)
		matches = func(text string) bool {
			matched, ok := known.get(text)
			if ok {
				return matched
			}
			matched = slices.ContainsFunc(expressions, func(e *regexp.Regexp) bool { return e.MatchString(text) })
			if len(text) <= longestKnown {
				known.put(text, matched)
			}
			return matched
		}
	}
	return attribute(s.Key, s.Invert, func(v pcommon.Value, ofSpan bool) bool {
		return (v.Str() != "" || !ofSpan) && matches(v.Str())
	}), nil
}

// evaluator samples a share of all trace ids, by their FNV-1a hash.
func (p Probabilistic) evaluator() (evaluator, error) {
	if math.IsNaN(p.Percentage) {
		return nil, component.At("probabilistic/sampling_percentage", errors.New("it is not a number"))
	}
	salt := p.Salt
	if salt == "" {
		salt = "default-hash-seed"
	}
	all := new(big.Float).SetInt(new(big.Int).SetUint64(math.MaxUint64))
	limit, _ := all.Mul(all, big.NewFloat(p.Percentage/100)).Uint64()
	return func(_ context.Context, t *whole) (verdict, error) {
		h := fnv.New64a()
		h.Write([]byte(salt))
		h.Write(t.id[:])
		return when(h.Sum64() <= limit), nil
	}, nil
}

func (s StatusCode) evaluator() (evaluator, error) {
	if len(s.Codes) == 0 {
		return nil, component.At("status_code/status_codes", errors.New("it is empty: use OK, ERROR or UNSET"))
	}
	known := map[string]ptrace.StatusCode{"OK": ptrace.StatusCodeOk, "ERROR": ptrace.StatusCodeError, "UNSET": ptrace.StatusCodeUnset}
	var codes []ptrace.StatusCode
	for _, name := range s.Codes {
		code, ok := known[name]
		if !ok {
			return nil, component.At("status_code/status_codes", unknown(name, "OK, ERROR or UNSET"))
		}
		codes = append(codes, code)
	}
	return func(_ context.Context, t *whole) (verdict, error) {
		return anySpan(func(span ptrace.Span) bool { return slices.Contains(codes, span.Status().Code()) }, t.Traces), nil
	}, nil
}

// evaluator samples traces until, in a second, they have as many spans.
func (r RateLimiting) evaluator() evaluator {
	var second, spans int64
	return func(_ context.Context, t *whole) (verdict, error) {
		if now := t.now.Unix(); now != second {
			second, spans = now, 0
		}
		if spans+t.spans >= r.SpansPerSecond {
			return notSampled, nil
		}
		spans += t.spans
		return sampled, nil
	}
}

func (s SpanCount) evaluator() evaluator {
	return func(_ context.Context, t *whole) (verdict, error) {
		return when(t.spans >= int64(s.Min) && (s.Max == 0 || t.spans <= int64(s.Max))), nil
	}
}

func (s TraceState) evaluator() evaluator {
	const longest = 256 // of a key and its value, with what is between them
	return func(_ context.Context, t *whole) (verdict, error) {
		return anySpan(func(span ptrace.Span) bool {
			state, err := trace.ParseTraceState(span.TraceState().AsRaw())
			if err != nil {
				return false
			}
			value := state.Get(s.Key)
			return value != "" && len(s.Key)+len(value) < longest && slices.Contains(s.Values, value)
		}, t.Traces), nil
	}
}
