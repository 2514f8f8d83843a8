package discovery

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/cause"
	"collector/pkg/component"
	"collector/pkg/inspect"
	"collector/pkg/throttle"
)

// pollConfig is how a source of targets is polled.
type pollConfig struct {
	mechanism string // as the metrics name it
	every     time.Duration
	// key identifies the source. If it is not empty, the last list is kept on disk,
	// so that a restart or a reload while the source fails has targets, too.
	key string
	// list asks the source. With an inspect.Partial, the targets are in force;
	// with another error, the last ones stay.
	list func(ctx context.Context) ([]Target, error)
}

// poll asks a source for its targets at an interval, and keeps the last good list while
// the source fails.
type poll struct {
	config  pollConfig
	options component.Options
	out     *Set
	quiet   throttle.Log
	saved   saved

	failures prometheus.Counter
	duration prometheus.Observer

	mu   sync.Mutex
	err  error     // guarded by mu: of the last refresh
	good time.Time // guarded by mu: when the source last answered
}

func newPoll(c pollConfig, o component.Options) *poll {
	label := []string{"mechanism"}
	failures := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "prometheus_sd_refresh_failures_total", Help: "Failed refreshes of the targets.",
	}, label)
	duration := prometheus.NewSummaryVec(prometheus.SummaryOpts{
		Name: "prometheus_sd_refresh_duration_seconds", Help: "How long it took to refresh the targets.",
		Objectives: map[float64]float64{0.5: 0.05, 0.9: 0.01, 0.99: 0.001},
	}, label)
	o.Metrics.MustRegister(failures, duration)
	p := &poll{
		config: c, options: o, out: NewSet(),
		failures: failures.WithLabelValues(c.mechanism), duration: duration.WithLabelValues(c.mechanism),
	}
	p.saved = saved{key: c.key, options: o, quiet: &p.quiet}
	p.out.Replace(p.saved.load())
	return p
}

// run refreshes the targets at once and then at each interval, until ctx ends.
func (p *poll) run(ctx context.Context) {
	tick := time.NewTicker(p.config.every)
	defer tick.Stop()
	for {
		p.refresh(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// refresh asks the source once.
func (p *poll) refresh(ctx context.Context) {
	start := time.Now()
	targets, err := p.config.list(ctx)
	if ctx.Err() != nil {
		return
	}
	p.duration.Observe(time.Since(start).Seconds())
	var partial inspect.Partial
	usable := err == nil || errors.As(err, &partial)
	p.note(err, usable)
	if err != nil {
		p.failures.Inc()
		p.quiet.Warn(p.options.Logger, "refresh", "cannot refresh all targets; keeping the last ones", cause.Attributes(err)...)
	}
	if !usable {
		return
	}
	before, _ := p.out.Targets()
	if p.out.Replace(targets); !slices.EqualFunc(before, targets, labels.Equal) {
		p.saved.write(targets)
	}
}

func (p *poll) note(err error, usable bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
	if usable {
		p.good = time.Now()
	}
}

// last is when the source last answered, and the error of the last refresh.
func (p *poll) last() (good time.Time, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.good, p.err
}

// pollStatus is what the debug UI shows of a source that is polled.
type pollStatus struct {
	Targets     int        `json:"targets"`
	LastRefresh *time.Time `json:"last_refresh,omitempty"` // that succeeded
	Error       string     `json:"error,omitempty"`
}

func (p *poll) status() pollStatus {
	targets, _ := p.out.Targets()
	s := pollStatus{Targets: len(targets)}
	good, err := p.last()
	if err != nil {
		s.Error = err.Error()
	}
	if !good.IsZero() {
		s.LastRefresh = &good
	}
	return s
}
