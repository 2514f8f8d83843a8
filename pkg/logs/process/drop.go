package process

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/logs/expression"
)

// DropConfig is the block stage.drop.
type DropConfig struct {
	Reason     string          `alloy:"drop_counter_reason,attr,optional"`
	Source     string          `alloy:"source,attr,optional"`
	Value      string          `alloy:"value,attr,optional"`
	Separator  string          `alloy:"separator,attr,optional"`
	Expression string          `alloy:"expression,attr,optional"`
	OlderThan  time.Duration   `alloy:"older_than,attr,optional"`
	LongerThan component.Bytes `alloy:"longer_than,attr,optional"`
}

// Validate reports settings that can't work.
func (c *DropConfig) Validate() error {
	switch {
	case c.Source == "" && c.Expression == "" && c.OlderThan == 0 && c.LongerThan == 0:
		return errors.New("one of source, expression, older_than and longer_than is needed: without any, all entries would be dropped")
	case c.Value != "" && c.Expression != "":
		return errors.New("value and expression are mutually exclusive: use only one")
	case c.Value != "" && c.Source == "":
		return component.At("value", errors.New("it needs source"))
	}
	if c.Expression != "" {
		_, err := compile("expression", c.Expression)
		return err
	}
	return nil
}

// dropStage drops entries for which all that is configured is true.
type dropStage struct {
	sources   []string
	separator string
	value     string                 // empty for none
	expr      *expression.Expression // nil for none
	older     time.Duration
	longer    int
	dropped   prometheus.Counter
}

func newDrop(c DropConfig, v *env) (Stage, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	s := &dropStage{value: c.Value, older: c.OlderThan, longer: int(c.LongerThan), separator: c.Separator}
	s.dropped = v.dropped(c.Reason, "drop_stage")
	if s.separator == "" {
		s.separator = ";"
	}
	if c.Source != "" {
		s.sources = strings.Split(c.Source, ",")
	}
	if c.Expression != "" {
		s.expr = expression.MustCompile(c.Expression)
	}
	return s, nil
}

func (s *dropStage) Process(e *Entry, emit Emit) {
	if s.drops(e) {
		s.dropped.Inc()
		return
	}
	emit(e)
}

func (s *dropStage) drops(e *Entry) bool {
	switch {
	case s.longer != 0 && len(e.Line) <= s.longer:
		return false
	case s.older != 0 && !e.Time.Before(time.Now().Add(-s.older)):
		return false
	case s.expr == nil && s.value == "":
		return s.has(e)
	case len(s.sources) == 0:
		return s.expr.MatchString(e.Line)
	}
	text, ok := s.join(e)
	if !ok {
		return false
	}
	if s.expr != nil {
		return s.expr.MatchString(text)
	}
	return text == s.value
}

// has reports whether the entry has all sources.
func (s *dropStage) has(e *Entry) bool {
	for _, name := range s.sources {
		if _, ok := e.Extracted.Get(name); !ok {
			return false
		}
	}
	return true
}

// join returns the values of the sources that there are. It fails if one of them
// is no text.
func (s *dropStage) join(e *Entry) (string, bool) {
	if len(s.sources) == 1 {
		v, ok := e.Extracted.Get(s.sources[0])
		if !ok {
			return "", true
		}
		return v.String()
	}
	var parts []string
	for _, name := range s.sources {
		v, ok := e.Extracted.Get(name)
		if !ok {
			continue
		}
		text, ok := v.String()
		if !ok {
			return "", false
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, s.separator), true
}

// dropped is the counter of entries that are dropped for a reason, or for the
// usual one.
func (v *env) dropped(reason, usual string) prometheus.Counter {
	if reason == "" {
		reason = usual
	}
	return v.metrics.dropped.WithLabelValues(reason)
}

// errBetween reports a number that is not in its range.
func errBetween(argument string, got, lowest, highest float64) error {
	return component.At(argument, fmt.Errorf("%v must be between %v and %v", got, lowest, highest))
}
