package process

import (
	"errors"
	"fmt"

	"collector/pkg/component"

	"github.com/prometheus/client_golang/prometheus"
)

// MatchConfig is the block stage.match.
type MatchConfig struct {
	Selector string        `alloy:"selector,attr"`
	Stages   []StageConfig `alloy:"stage,enum,optional"`
	Action   string        `alloy:"action,attr,optional"`
	// PipelineName has no effect but on names in Alloy's own log.
	PipelineName string `alloy:"pipeline_name,attr,optional"`
	Reason       string `alloy:"drop_counter_reason,attr,optional"`
}

// Validate reports settings that can't work.
func (c *MatchConfig) Validate() error {
	if c.Selector == "" {
		return component.At("selector", errors.New("it must not be empty"))
	}
	if _, err := parseSelector(c.Selector); err != nil {
		return component.At("selector", fmt.Errorf("%q: %w", c.Selector, err))
	}
	switch c.Action {
	case "", "keep":
		if len(c.Stages) == 0 {
			return errors.New("at least one stage is needed inside, unless action is \"drop\"")
		}
	case "drop":
		if len(c.Stages) > 0 {
			return errors.New("action \"drop\" allows no stages inside: no entry would reach them")
		}
	default:
		return component.At("action", fmt.Errorf("%q must be \"keep\" or \"drop\"", c.Action))
	}
	return nil
}

// match passes the entries that a selector chooses through stages of its own, or
// drops them. Others go on as they are.
type match struct {
	selector *selector
	stages   []Stage
	inside   Emit               // where the stages begin
	dropped  prometheus.Counter // nil: nothing is dropped
	entry    *Entry             // the one that is looked at
	get      func(name string) string
}

func newMatch(c MatchConfig, v *env) (Stage, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	m := &match{}
	m.get = func(name string) string {
		value, _ := m.entry.Labels.Get(name)
		return value
	}
	var err error
	if m.selector, err = parseSelector(c.Selector); err != nil {
		return nil, err
	}
	if c.Action == "drop" {
		m.dropped = v.dropped(c.Reason, "match_stage")
		return m, nil
	}
	m.stages, err = newStages(c.Stages, v)
	return m, err
}

func (m *match) within() []Stage { return m.stages }

func (m *match) connect(inside Emit) { m.inside = inside }

func (m *match) Process(e *Entry, emit Emit) {
	m.entry = e
	switch {
	case !m.selector.stream(m.get) || !m.selector.line(e.Line):
		emit(e)
	case m.dropped != nil:
		m.dropped.Inc()
	default:
		e.Extracted.seed(&e.Labels)
		m.inside(e)
	}
}
