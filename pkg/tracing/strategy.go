package tracing

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// defaultOperations are how many operations have rules of their own where the limit is
// not above zero.
const defaultOperations = 2000

// fields are the members of an object. protobuf's JSON may have them as samplingRate and
// as sampling_rate; here they are samplingrate.
type fields map[string]json.RawMessage

// UnmarshalJSON implements json.Unmarshaler.
func (f *fields) UnmarshalJSON(data []byte) error {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	if raw == nil { // null
		return nil
	}
	*f = fields{}
	for name, v := range raw {
		(*f)[strings.ToLower(strings.ReplaceAll(name, "_", ""))] = v
	}
	return nil
}

// object is a member that is an object; nil if there is none.
func (f fields) object(name string) (fields, error) {
	var inner fields
	if err := f.read(name, &inner); err != nil {
		return nil, err
	}
	return inner, nil
}

func (f fields) read(name string, to any) error {
	if f[name] == nil {
		return nil
	}
	if err := json.Unmarshal(f[name], to); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// number is a member that is a number, which may be written as a string; 0 if there is
// none.
func (f fields) number(name string) (float64, error) {
	text := strings.Trim(string(f[name]), `"`)
	if text == "" || text == "null" {
		return 0, nil
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || n != n {
		return 0, fmt.Errorf("%s: %q is not a number", name, text)
	}
	return n, nil
}

// parseStrategy makes the sampler that a Jaeger server describes. Rules for operations
// come before a probability, and that before a rate, as in Jaeger's own client.
func parseStrategy(body []byte, maxOperations int) (sdktrace.Sampler, error) {
	var answer fields
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("the answer is not a sampling strategy: %w", err)
	}
	if operations, err := answer.object("operationsampling"); err != nil || operations != nil {
		if err != nil {
			return nil, err
		}
		return parseOperations(operations, maxOperations)
	}
	if p, err := answer.object("probabilisticsampling"); err != nil || p != nil {
		rate, err2 := p.number("samplingrate")
		return sdktrace.TraceIDRatioBased(rate), errors.Join(err, err2)
	}
	if r, err := answer.object("ratelimitingsampling"); err != nil || r != nil {
		rate, err2 := r.number("maxtracespersecond")
		return newLimited(rate), errors.Join(err, err2)
	}
	return nil, errors.New("the answer has no sampling strategy")
}

func parseOperations(f fields, most int) (sdktrace.Sampler, error) {
	rate, err := f.number("defaultsamplingprobability")
	least, err2 := f.number("defaultlowerboundtracespersecond")
	var rules []fields
	if err := errors.Join(err, err2, f.read("peroperationstrategies", &rules)); err != nil {
		return nil, err
	}
	if most <= 0 {
		most = defaultOperations
	}
	s := &perOperation{by: map[string]sdktrace.Sampler{}, rate: rate, least: least, most: most}
	for _, rule := range rules {
		var name string
		p, err := rule.object("probabilisticsampling")
		rate, err2 := p.number("samplingrate")
		if err := errors.Join(err, err2, rule.read("operation", &name)); err != nil {
			return nil, fmt.Errorf("strategy of an operation: %w", err)
		}
		s.by[name] = newGuaranteed(rate, least)
	}
	return s, nil
}

// perOperation samples each operation, which is what a span is called, on its own.
type perOperation struct {
	rate, least float64 // of operations without a rule
	most        int

	mu sync.Mutex
	by map[string]sdktrace.Sampler // guarded by mu
}

func (s *perOperation) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	return s.of(p.Name).ShouldSample(p)
}

func (s *perOperation) of(operation string) sdktrace.Sampler {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := s.by[operation]
	switch {
	case own != nil:
		return own
	case len(s.by) >= s.most:
		return sdktrace.TraceIDRatioBased(s.rate)
	}
	own = newGuaranteed(s.rate, s.least)
	s.by[operation] = own
	return own
}

func (s *perOperation) Description() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprintf("by operation (%d), else %g", len(s.by), s.rate)
}

// guaranteed samples a fraction, and so many traces a second in any case.
type guaranteed struct {
	fraction sdktrace.Sampler
	least    *limited
}

func newGuaranteed(rate, least float64) *guaranteed {
	return &guaranteed{sdktrace.TraceIDRatioBased(rate), newLimited(least)}
}

func (s *guaranteed) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	result, least := s.fraction.ShouldSample(p), s.least.ShouldSample(p)
	if result.Decision == sdktrace.RecordAndSample {
		return result
	}
	return least
}

func (s *guaranteed) Description() string {
	return s.fraction.Description() + ", at least " + s.least.Description()
}

// limited samples so many traces a second.
type limited struct {
	rate, most float64
	now        func() time.Time

	mu      sync.Mutex
	balance float64   // guarded by mu
	since   time.Time // of balance; guarded by mu
}

func newLimited(rate float64) *limited {
	most := max(rate, 1)
	return &limited{rate: rate, most: most, balance: most, now: time.Now, since: time.Now()}
}

func (s *limited) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	decision := sdktrace.Drop
	if s.take() {
		decision = sdktrace.RecordAndSample
	}
	return sdktrace.SamplingResult{Decision: decision, Tracestate: trace.SpanContextFromContext(p.ParentContext).TraceState()}
}

func (s *limited) take() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	s.balance = min(s.most, s.balance+now.Sub(s.since).Seconds()*s.rate)
	s.since = now
	if s.balance < 1 {
		return false
	}
	s.balance--
	return true
}

func (s *limited) Description() string { return fmt.Sprintf("%g traces/s", s.rate) }
