package tailsampling

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	otelcomponent "go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"

	"collector/pkg/component"
)

// verdict is what a policy, or all of them, say of a trace.
type verdict string

// The verdicts, as the label decision in Alloy's metrics has them; it has the inverted ones
// as their plain ones.
const (
	sampled            verdict = "sampled"
	notSampled         verdict = "not_sampled"
	dropped            verdict = "dropped" // whatever the other policies say
	invertedSampled    verdict = "inverted_sampled"
	invertedNotSampled verdict = "inverted_not_sampled" // whatever the other policies say, but for dropped
)

// plain is the verdict without how it came about.
func (v verdict) plain() verdict {
	switch v {
	case invertedSampled:
		return sampled
	case invertedNotSampled:
		return notSampled
	}
	return v
}

// whole is a trace of which decision_wait has passed.
type whole struct {
	id    traceID
	spans int64
	ptrace.Traces
	now time.Time
}

// evaluator is a policy's verdict on a trace. Policies are as those of the Collector's
// tail_sampling processor, which the tests compare them with. That processor decides in a
// goroutine of its own, which a panic of a condition ends with the whole program, and
// knows neither what its outputs accept nor what it has not decided at its end.
type evaluator func(ctx context.Context, t *whole) (verdict, error)

// named is a policy of the configuration.
type named struct {
	name     string
	evaluate evaluator
}

// quiet is for policies that are only checked.
func quiet() otelcomponent.TelemetrySettings {
	return otelcomponent.TelemetrySettings{Logger: zap.NewNop()}
}

// newPolicies makes the policies, those that drop first.
func newPolicies(configs []Policy, set otelcomponent.TelemetrySettings) ([]named, error) {
	var dropping, policies []named
	var errs []error
	names := map[string]bool{}
	for i := range configs {
		c := &configs[i]
		at := component.Block("policy", i)
		switch {
		case c.Rule.Name == "":
			errs = append(errs, component.At(at+"/name", errors.New("it is empty")))
		case names[c.Rule.Name]:
			errs = append(errs, component.At(at+"/name", fmt.Errorf("%q is defined more than once", c.Rule.Name)))
		}
		names[c.Rule.Name] = true
		evaluate, err := c.evaluator(set)
		if err != nil {
			errs = append(errs, component.At(at, err))
			continue
		}
		if c.Rule.Type == "drop" {
			dropping = append(dropping, named{c.Rule.Name, evaluate})
		} else {
			policies = append(policies, named{c.Rule.Name, evaluate})
		}
	}
	return slices.Concat(dropping, policies), errors.Join(errs...)
}

func (p *Policy) evaluator(set otelcomponent.TelemetrySettings) (evaluator, error) {
	switch p.Rule.Type {
	case "composite":
		return p.Composite.evaluator(set)
	case "and":
		return p.And.evaluator(set)
	case "drop":
		return func(context.Context, *whole) (verdict, error) { return dropped, nil }, nil
	}
	return p.Rule.evaluator(set)
}

// evaluator samples what all policies sample.
func (a *And) evaluator(set otelcomponent.TelemetrySettings) (evaluator, error) {
	var all []evaluator
	var errs []error
	for i := range a.Policies {
		e, err := a.Policies[i].Rule.evaluator(set)
		all, errs = append(all, e), append(errs, component.At("and/"+component.Block("and_sub_policy", i), err))
	}
	return func(ctx context.Context, t *whole) (verdict, error) {
		for _, evaluate := range all {
			v, err := evaluate(ctx, t)
			if err != nil || v.plain() == notSampled {
				return notSampled, err
			}
		}
		return sampled, nil
	}, errors.Join(errs...)
}

// share is a policy of a Composite.
type share struct {
	evaluate evaluator
	limit    int64 // spans in a second
	spans    int64 // sampled in this second
}

// evaluator samples what the first policy samples that does not say no, up to its share
// of spans in each second.
func (c *Composite) evaluator(set otelcomponent.TelemetrySettings) (evaluator, error) {
	limits := map[string]int64{}
	for _, r := range c.Rates {
		limits[r.Policy] = int64(float64(c.SpansPerSecond) / float64(len(c.Policies)))
		if r.Percent > 0 {
			limits[r.Policy] = int64(float64(r.Percent) / 100 * float64(c.SpansPerSecond))
		}
	}
	var shares []*share
	var errs []error
	for i := range c.Policies {
		sub := &c.Policies[i]
		made := sub.Rule.evaluator
		if sub.Rule.Type == "and" {
			made = sub.And.evaluator
		}
		e, err := made(set)
		errs = append(errs, component.At("composite/"+component.Block("composite_sub_policy", i), err))
		shares = append(shares, &share{evaluate: e, limit: min(limits[sub.Rule.Name], c.SpansPerSecond)})
	}
	var second int64
	return func(ctx context.Context, t *whole) (verdict, error) {
		if now := t.now.Unix(); now != second {
			second = now
			for _, s := range shares {
				s.spans = 0
			}
		}
		for _, s := range shares {
			v, err := s.evaluate(ctx, t)
			if err != nil {
				return notSampled, err
			}
			if v.plain() != sampled {
				continue
			}
			if s.spans+t.spans > s.limit {
				return notSampled, nil
			}
			s.spans += t.spans
			return sampled, nil
		}
		return notSampled, nil
	}, errors.Join(errs...)
}

// decide is the verdict of all policies. opinion is called with that of each.
func decide(ctx context.Context, policies []named, t *whole, opinion func(of int, v verdict, err error)) verdict {
	said := map[verdict]bool{}
	for i, p := range policies {
		v, err := safely(ctx, p.evaluate, t)
		opinion(i, v, err)
		if err != nil {
			continue
		}
		said[v] = true
		if v == dropped {
			break
		}
	}
	switch {
	case said[dropped]:
		return dropped
	case said[invertedNotSampled]:
		return notSampled
	case said[sampled], said[invertedSampled] && !said[notSampled]:
		return sampled
	}
	return notSampled
}

// safely has a panic of a policy be its error.
func safely(ctx context.Context, evaluate evaluator, t *whole) (v verdict, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			v, err = notSampled, fmt.Errorf("it panicked: %v", cause)
		}
	}()
	return evaluate(ctx, t)
}
