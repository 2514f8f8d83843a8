package process

import (
	"errors"
	"fmt"

	"collector/pkg/component"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
)

// minDistinctLabels is the least number of values of a label that have a limit of
// their own.
const minDistinctLabels = 10_000

// LimitConfig is the block stage.limit.
type LimitConfig struct {
	Rate              float64 `alloy:"rate,attr"`
	Burst             int     `alloy:"burst,attr"`
	Drop              bool    `alloy:"drop,attr,optional"`
	ByLabelName       string  `alloy:"by_label_name,attr,optional"`
	MaxDistinctLabels int     `alloy:"max_distinct_labels,attr,optional"`
}

// Validate reports settings that can't work.
func (c *LimitConfig) Validate() error {
	switch {
	case c.Rate <= 0:
		return component.At("rate", fmt.Errorf("%v must be positive", c.Rate))
	case c.Burst <= 0:
		return component.At("burst", fmt.Errorf("%d must be positive", c.Burst))
	case c.ByLabelName != "" && !c.Drop:
		return component.At("by_label_name", errors.New("it needs drop = true, as one value of the label would make all others wait"))
	}
	return nil
}

// limit lets so many entries pass a second; others wait, or are dropped.
type limit struct {
	cfg     LimitConfig
	env     *env
	all     *rate.Limiter
	dropped prometheus.Counter
	byLabel *prometheus.CounterVec
	// recent and older are the limits of values of the label. When recent is
	// full, it becomes older, and what isn't used any more is forgotten.
	recent, older map[string]*rate.Limiter
}

func newLimit(c LimitConfig, v *env) (Stage, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	s := &limit{cfg: c, env: v, dropped: v.dropped("", "ratelimit_drop_stage")}
	if c.ByLabelName == "" {
		s.all = s.limiter()
		return s, nil
	}
	s.cfg.MaxDistinctLabels = max(c.MaxDistinctLabels, minDistinctLabels)
	s.recent = make(map[string]*rate.Limiter)
	var err error
	s.byLabel, err = v.counter("loki_process_dropped_lines_by_label_total", "Log entries that were dropped by a limit, by the label that it is for.", "label_name", "label_value")
	return s, err
}

func (s *limit) limiter() *rate.Limiter { return rate.NewLimiter(rate.Limit(s.cfg.Rate), s.cfg.Burst) }

func (s *limit) Process(e *Entry, emit Emit) {
	if s.allows(e) {
		emit(e)
		return
	}
	s.dropped.Inc()
}

func (s *limit) allows(e *Entry) bool {
	switch {
	case s.cfg.ByLabelName != "":
		value, ok := e.Labels.Get(s.cfg.ByLabelName)
		if !ok || s.of(value).Allow() {
			return true
		}
		s.byLabel.WithLabelValues(s.cfg.ByLabelName, value).Inc()
		return false
	case s.cfg.Drop:
		return s.all.Allow()
	case s.env.ctx != nil:
		// When the call ends, the entries will be sent again.
		if err := s.all.Wait(s.env.ctx); err != nil && s.env.err == nil {
			s.env.err = err
		}
	}
	return true
}

// of returns the limit of a value of the label.
func (s *limit) of(value string) *rate.Limiter {
	if l, ok := s.recent[value]; ok {
		return l
	}
	l, ok := s.older[value]
	if !ok {
		l = s.limiter()
	}
	s.recent[value] = l
	if len(s.recent) >= s.cfg.MaxDistinctLabels {
		s.older, s.recent = s.recent, make(map[string]*rate.Limiter)
		s.byLabel.Reset()
	}
	return l
}
