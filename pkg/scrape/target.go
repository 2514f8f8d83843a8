package scrape

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/discovery"
	"collector/pkg/pipeline"
)

// endpoint is what a discovered target says: where to scrape, how often, and
// which labels the series get.
type endpoint struct {
	key        string        // the labels as bytes; what tells targets apart
	labels     labels.Labels // of the series
	discovered labels.Labels
	url        string
	interval   time.Duration
	timeout    time.Duration
}

// errEnded marks a target that is not to be scraped, without that being wrong.
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

// offset is the target's place within each interval since the epoch, so that
// targets are spread and each keeps its place over a restart.
func (e *endpoint) offset() time.Duration {
	h := fnv.New64a()
	h.Write([]byte(e.key))
	h.Write([]byte(e.url))
	// FNV alone spreads similar names badly in the high bits.
	x := h.Sum64()
	x ^= x >> 32
	x *= 0x9e3779b97f4a7c15
	x ^= x >> 29
	return time.Duration(x % uint64(e.interval))
}

// firstScrape is when a target that has just appeared is scraped: soon, but
// not together with all others.
func (e *endpoint) firstScrape(now time.Time) time.Time {
	spread := min(e.interval, time.Second)
	return now.Add(e.offset() % spread)
}

// nextScrape is the target's next turn after a scrape that began at last: never
// less than half an interval later, nor more than one and a half. The wall clock
// decides on the place in the interval alone, so that setting it keeps no target
// waiting.
func (e *endpoint) nextScrape(last time.Time) time.Time {
	interval := int64(e.interval)
	earliest := last.UnixNano() + interval/2
	turn := earliest - earliest%interval + int64(e.offset())
	if turn < earliest {
		turn += interval
	}
	return last.Add(time.Duration(turn - last.UnixNano()))
}

// target is a running target.
type target struct {
	// due and position belong to the scheduler's goroutine.
	due      time.Time
	position int

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

// errGone ends the context of a target that is no longer in the list.
var errGone = errors.New("the target was removed")

// fetchGrace is how long a fetch may go on when the component stops, so that a
// page that a target has served is not lost at a reload.
const fetchGrace = 500 * time.Millisecond

// fetching is the context of a fetch.
func (t *target) fetching(timeout time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), timeout)
	stop := context.AfterFunc(t.ctx, func() {
		if context.Cause(t.ctx) == errGone {
			cancel()
			return
		}
		time.AfterFunc(fetchGrace, cancel)
	})
	return ctx, func() {
		stop()
		cancel()
	}
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
