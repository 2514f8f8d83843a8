package tailsampling

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"collector/pkg/component"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/processor/ottl"
)

// Config is the configuration of otelcol.processor.tail_sampling.
type Config struct {
	Policies                []Policy          `alloy:"policy,block"`
	DecisionWait            time.Duration     `alloy:"decision_wait,attr,optional"`
	NumTraces               uint64            `alloy:"num_traces,attr,optional"`
	BlockOnOverflow         bool              `alloy:"block_on_overflow,attr,optional"`
	ExpectedNewTracesPerSec uint64            `alloy:"expected_new_traces_per_sec,attr,optional"`
	DecisionCache           map[string]int    `alloy:"decision_cache,attr,optional"`
	Output                  flow.Output       `alloy:"output,block"`
	DebugMetrics            flow.DebugMetrics `alloy:"debug_metrics,block,optional"`
}

// What decision_cache has: how many decisions are remembered beside num_traces.
const (
	sampledCache    = "sampled_cache_size"
	notSampledCache = "non_sampled_cache_size"
)

// Policy is a block policy.
type Policy struct {
	Rule      Rule      `alloy:",squash"`
	Composite Composite `alloy:"composite,block,optional"`
	And       And       `alloy:"and,block,optional"`
}

// Rule is what policies and those that they consist of have in common.
type Rule struct {
	Name             string           `alloy:"name,attr"`
	Type             string           `alloy:"type,attr"`
	Latency          Latency          `alloy:"latency,block,optional"`
	NumericAttribute NumericAttribute `alloy:"numeric_attribute,block,optional"`
	Probabilistic    Probabilistic    `alloy:"probabilistic,block,optional"`
	StatusCode       StatusCode       `alloy:"status_code,block,optional"`
	StringAttribute  StringAttribute  `alloy:"string_attribute,block,optional"`
	RateLimiting     RateLimiting     `alloy:"rate_limiting,block,optional"`
	SpanCount        SpanCount        `alloy:"span_count,block,optional"`
	BooleanAttribute BooleanAttribute `alloy:"boolean_attribute,block,optional"`
	Condition        Condition        `alloy:"ottl_condition,block,optional"`
	TraceState       TraceState       `alloy:"trace_state,block,optional"`
}

// Latency is the block latency: from the first start to the last end.
type Latency struct {
	Threshold int64 `alloy:"threshold_ms,attr"`
	Upper     int64 `alloy:"upper_threshold_ms,attr,optional"` // 0: no limit
}

// NumericAttribute is the block numeric_attribute. A limit of 0 is none, unless both are.
type NumericAttribute struct {
	Key    string `alloy:"key,attr"`
	Min    int64  `alloy:"min_value,attr"`
	Max    int64  `alloy:"max_value,attr"`
	Invert bool   `alloy:"invert_match,attr,optional"`
}

// Probabilistic is the block probabilistic.
type Probabilistic struct {
	Salt       string  `alloy:"hash_salt,attr,optional"`
	Percentage float64 `alloy:"sampling_percentage,attr"`
}

// StatusCode is the block status_code.
type StatusCode struct {
	Codes []string `alloy:"status_codes,attr"`
}

// StringAttribute is the block string_attribute.
type StringAttribute struct {
	Key       string   `alloy:"key,attr"`
	Values    []string `alloy:"values,attr"`
	Regex     bool     `alloy:"enabled_regex_matching,attr,optional"`
	CacheSize int      `alloy:"cache_max_size,attr,optional"`
	Invert    bool     `alloy:"invert_match,attr,optional"`
}

// RateLimiting is the block rate_limiting.
type RateLimiting struct {
	SpansPerSecond int64 `alloy:"spans_per_second,attr"`
}

// SpanCount is the block span_count.
type SpanCount struct {
	Min int32 `alloy:"min_spans,attr"`
	Max int32 `alloy:"max_spans,attr,optional"` // 0: no limit
}

// BooleanAttribute is the block boolean_attribute.
type BooleanAttribute struct {
	Key    string `alloy:"key,attr"`
	Value  bool   `alloy:"value,attr"`
	Invert bool   `alloy:"invert_match,attr,optional"`
}

// Condition is the block ottl_condition.
type Condition struct {
	ErrorMode ottl.ErrorMode `alloy:"error_mode,attr"`
	Span      []string       `alloy:"span,attr,optional"`
	SpanEvent []string       `alloy:"spanevent,attr,optional"`
}

// TraceState is the block trace_state.
type TraceState struct {
	Key    string   `alloy:"key,attr"`
	Values []string `alloy:"values,attr"`
}

// And is the block and.
type And struct {
	Policies []SubPolicy `alloy:"and_sub_policy,block"`
}

// SubPolicy is a policy of an And.
type SubPolicy struct {
	Rule Rule `alloy:",squash"`
}

// Composite is the block composite.
type Composite struct {
	SpansPerSecond int64                `alloy:"max_total_spans_per_second,attr"`
	Order          []string             `alloy:"policy_order,attr"`
	Policies       []CompositeSubPolicy `alloy:"composite_sub_policy,block,optional"`
	Rates          []Rate               `alloy:"rate_allocation,block,optional"`
}

// CompositeSubPolicy is a policy of a Composite.
type CompositeSubPolicy struct {
	Rule Rule `alloy:",squash"`
	And  And  `alloy:"and,block,optional"`
}

// Rate is the block rate_allocation.
type Rate struct {
	Policy  string `alloy:"policy,attr"`
	Percent int64  `alloy:"percent,attr"`
}

// SetToDefault sets the defaults.
func (c *Config) SetToDefault() {
	*c = Config{DecisionWait: 30 * time.Second, NumTraces: 50000}
	c.DebugMetrics.SetToDefault()
}

// Validate rejects what cannot work.
func (c *Config) Validate() error {
	var errs []error
	if c.DecisionWait < time.Millisecond {
		errs = append(errs, component.At("decision_wait", errors.New("it must be at least 1ms")))
	}
	if c.NumTraces == 0 {
		errs = append(errs, component.At("num_traces", errors.New("it must be more than 0")))
	}
	for _, name := range slices.Sorted(maps.Keys(c.DecisionCache)) {
		switch {
		case name != sampledCache && name != notSampledCache:
			errs = append(errs, component.At("decision_cache", unknown(name, sampledCache+" or "+notSampledCache)))
		case c.DecisionCache[name] < 0:
			errs = append(errs, component.At("decision_cache", fmt.Errorf("%s cannot be negative", name)))
		}
	}
	_, err := newPolicies(c.Policies, quiet())
	return errors.Join(append(errs, err)...)
}

// warn warns of what has no effect.
func (c *Config) warn(o component.Options) {
	c.DebugMetrics.Warn(o)
	if c.ExpectedNewTracesPerSec != 0 {
		o.Warn("expected_new_traces_per_sec", "the space for traces grows as they come")
	}
	for i, p := range c.Policies {
		at := component.Block("policy", i) + "/"
		rules := map[string]Rule{at: p.Rule}
		for j, sub := range p.And.Policies {
			rules[at+"and/"+component.Block("and_sub_policy", j)+"/"] = sub.Rule
		}
		for j, sub := range p.Composite.Policies {
			of := at + "composite/" + component.Block("composite_sub_policy", j) + "/"
			rules[of] = sub.Rule
			for k, inner := range sub.And.Policies {
				rules[of+"and/"+component.Block("and_sub_policy", k)+"/"] = inner.Rule
			}
		}
		for at, rule := range rules {
			if rule.BooleanAttribute.Invert {
				o.Warn(at+"boolean_attribute/invert_match", "it has no effect, as in Alloy 1.12: use the other value")
			}
		}
		if len(p.Composite.Order) > 0 && !p.Composite.inOrder() {
			o.Warn(at+"composite/policy_order", "it has no effect, as in Alloy 1.12: policies are evaluated as the blocks are written")
		}
	}
}

// inOrder reports whether the policies are written in the order that is asked for.
func (c *Composite) inOrder() bool {
	for i, name := range c.Order {
		if i >= len(c.Policies) || c.Policies[i].Rule.Name != name {
			return false
		}
	}
	return true
}

// unknown is the error about a value that an argument does not have.
func unknown(value, known string) error { return fmt.Errorf("%q is not known: use %s", value, known) }
