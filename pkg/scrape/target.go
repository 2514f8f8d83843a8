package scrape

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/discovery"
	"collector/pkg/pipeline"
	"collector/pkg/schedule"
)

// endpoint is what a discovered target says: where to scrape, how often, and
// which labels the series get.
type endpoint struct {
	key        string        // the labels as bytes; what distinguishes targets
	labels     labels.Labels // of the series
	discovered labels.Labels
	url        string
	interval   time.Duration
	timeout    time.Duration
}

// errEnded marks a target that is not scraped although nothing is wrong.
var errEnded = errors.New("the target has exited")

// newEndpoint reads a discovered target.
func newEndpoint(cfg *Config, job string, t discovery.Target) (endpoint, error) {
	e := endpoint{discovered: t, interval: cfg.ScrapeInterval, timeout: cfg.ScrapeTimeout}
	if t.Get(discovery.EndedLabel) == "true" {
		return e, errEnded
	}
	address := t.Get(model.AddressLabel)
	if address == "" {
		return e, errors.New("it has no __address__")
	}
	if strings.Contains(address, "/") {
		return e, fmt.Errorf("__address__ %.200q is not host:port", address)
	}
	if err := e.setTiming(t); err != nil {
		return e, err
	}
	b := labels.NewBuilder(labels.EmptyLabels())
	b.Set(model.JobLabel, job)
	b.Set(model.InstanceLabel, address)
	var invalid error
	t.Range(func(l labels.Label) {
		if l.Value == "" || strings.HasPrefix(l.Name, model.ReservedLabelPrefix) {
			return
		}
		if !model.LabelValue(l.Value).IsValid() {
			invalid = fmt.Errorf("the label %.200q is not UTF-8: %.200q", l.Name, l.Value)
		}
		b.Set(l.Name, l.Value)
	})
	if invalid != nil {
		return e, invalid
	}
	e.setLabels(b.Labels())
	e.url = targetURL(cfg, t, address)
	if _, err := url.Parse(e.url); err != nil {
		return e, errors.New("its address: " + beginning(err.Error()))
	}
	return e, nil
}

func (e *endpoint) setLabels(lset labels.Labels) {
	e.labels, e.key = lset, string(lset.Bytes(nil))
}

func (e *endpoint) setTiming(t discovery.Target) error {
	for _, l := range []struct {
		name string
		to   *time.Duration
	}{{model.ScrapeIntervalLabel, &e.interval}, {model.ScrapeTimeoutLabel, &e.timeout}} {
		v := t.Get(l.name)
		if v == "" {
			continue
		}
		d, err := model.ParseDuration(v)
		if err != nil {
			return fmt.Errorf("%s: %s", l.name, beginning(err.Error()))
		}
		if d == 0 {
			return fmt.Errorf("%s must not be 0", l.name)
		}
		*l.to = time.Duration(d)
	}
	if e.timeout > e.interval {
		return fmt.Errorf("its scrape timeout %s is greater than its interval %s", e.timeout, e.interval)
	}
	return nil
}

func targetURL(cfg *Config, t discovery.Target, address string) string {
	params := url.Values(maps.Clone(cfg.Params))
	if params == nil {
		params = url.Values{}
	}
	t.Range(func(l labels.Label) {
		name, ok := strings.CutPrefix(l.Name, model.ParamLabelPrefix)
		if !ok || l.Value == "" {
			return
		}
		values := []string{l.Value}
		if more := cfg.Params[name]; len(more) > 1 {
			values = append(values, more[1:]...)
		}
		params[name] = values
	})
	u := url.URL{Scheme: cfg.Scheme, Host: address, Path: cfg.MetricsPath, RawQuery: params.Encode()}
	if v := t.Get(model.SchemeLabel); v != "" {
		u.Scheme = v
	}
	if v := t.Get(model.MetricsPathLabel); v != "" {
		u.Path = v
	}
	return u.String()
}

// offset is the target's place within each interval.
func (e *endpoint) offset() time.Duration { return schedule.Offset(e.interval, e.key, e.url) }

// firstScrape is when a target that has just appeared is scraped.
func (e *endpoint) firstScrape(now time.Time) time.Time {
	return schedule.First(now, e.interval, e.offset())
}

// nextScrape is the target's next turn after a scrape that began at last.
func (e *endpoint) nextScrape(last time.Time) time.Time {
	return schedule.Next(last, e.interval, e.offset())
}

// target is a running target.
type target struct {
	schedule.Place // belongs to the scheduler's goroutine

	cancel context.CancelCauseFunc
	ctx    context.Context

	claim *claim

	// mu is held during a scrape, and guards what follows.
	mu      sync.Mutex
	history history
	reports []*pipeline.Series
	size    int // of the last page
	last    time.Time

	// state guards what follows, which the UI reads during a scrape.
	state struct {
		sync.Mutex
		endpoint endpoint
		busy     bool
		health   health
		err      error
		at       time.Time
		took     time.Duration
		samples  int
	}
}

type health string

const (
	healthUnknown health = "unknown"
	healthUp      health = "up"
	healthDown    health = "down"
)

// fetching is the context of a fetch.
func (t *target) fetching(timeout time.Duration) (context.Context, context.CancelFunc) {
	return schedule.Fetching(t.ctx, timeout)
}

func (t *target) endpoint() endpoint {
	t.state.Lock()
	defer t.state.Unlock()
	return t.state.endpoint
}

// begin claims the target for a scrape; it is false while one goes on.
func (t *target) begin() (endpoint, bool) {
	t.state.Lock()
	defer t.state.Unlock()
	if t.state.busy {
		return t.state.endpoint, false
	}
	t.state.busy = true
	return t.state.endpoint, true
}

func (t *target) finish() {
	t.state.Lock()
	defer t.state.Unlock()
	t.state.busy = false
}
