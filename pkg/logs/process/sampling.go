package process

import (
	"math/rand/v2"

	"github.com/prometheus/client_golang/prometheus"
)

// SamplingConfig is the block stage.sampling.
type SamplingConfig struct {
	Reason string  `alloy:"drop_counter_reason,attr,optional"`
	Rate   float64 `alloy:"rate,attr"`
}

// SetToDefault sets what Alloy starts from.
func (c *SamplingConfig) SetToDefault() { *c = SamplingConfig{Reason: "sampling_stage"} }

// Validate reports settings that can't work.
func (c *SamplingConfig) Validate() error {
	if !(c.Rate >= 0 && c.Rate <= 1) {
		return errBetween("rate", c.Rate, 0, 1)
	}
	return nil
}

// sampling keeps a share of the entries, chosen at random.
type sampling struct {
	rate    float64
	dropped prometheus.Counter
}

func newSampling(c SamplingConfig, v *env) (Stage, error) {
	return &sampling{c.Rate, v.metrics.dropped.WithLabelValues(c.Reason)}, c.Validate()
}

func (s *sampling) Process(e *Entry, emit Emit) {
	if rand.Float64() >= s.rate {
		s.dropped.Inc()
		return
	}
	emit(e)
}
