// Package explore keeps a bounded window of recent telemetry in memory, to be looked at
// without a backend, or before a backend has it.
//
// What is observed is copied into a short queue, which never blocks a component: what
// does not fit is skipped and counted. One goroutine, that of Run, owns all that is kept
// and answers all questions, so that nothing here is locked except the last flame graphs,
// which are made by whoever asks for them.
package explore

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"collector/pkg/live"
	"collector/pkg/pipeline"
)

// Options make a Window.
type Options struct {
	// MaxBytes bounds what is kept of each signal, as an estimate of the memory
	// that it takes.
	MaxBytes int
	// MaxAge is how long an item is kept.
	MaxAge time.Duration
	// Take chooses the edges on which items of a signal are kept, such that each
	// item passes only one of them, as a Chooser does. It is called for each
	// batch and has to be quick.
	Take func(*live.Edge, live.Signal) bool
}

const (
	// waitingCalls and waitingBytes bound the queue before Run.
	waitingCalls = 256
	waitingBytes = 8 << 20
	sweepEvery   = 5 * time.Second
	// maxItems is how many items an OTLP request may have, and maxElements how
	// many parts of any kind, to be decoded and kept: an empty one takes two bytes,
	// and hundreds when it is decoded.
	maxItems    = 50_000
	maxElements = 200_000
)

// perSecond is how many items of a signal are kept in a second. It bounds what
// the window costs the components: of more than that, so little time would fit
// into memory that it would be of no use.
func perSecond(s live.Signal) int64 {
	switch s {
	case live.Metrics:
		return 200_000
	case live.Logs:
		return 20_000
	case live.Traces:
		return 5_000
	}
	return 100
}

// pace counts the items of a signal in a second. It may be a little wrong when
// the second changes, for it locks nothing.
type pace struct{ second, items atomic.Int64 }

// admit reports whether n more items are within limit. The first of a second are.
func (p *pace) admit(n int, limit int64) bool {
	if now := time.Now().Unix(); p.second.Load() != now && p.second.Swap(now) != now {
		p.items.Store(0)
	}
	items := p.items.Add(int64(n))
	return items <= limit || items == int64(n)
}

// ErrStopped is the answer to a question when nobody runs the window.
var ErrStopped = errors.New("the explore window is not running")

// Window is the recent past of all signals. It is a live.Observer.
type Window struct {
	options Options
	calls   chan call
	waiting atomic.Int64 // bytes in calls
	skipped [4]atomic.Uint64
	paces   [4]pace
	done    chan struct{} // closed when Run has returned
	flames  chan struct{} // one for each flame graph that is being made
	sums    sums

	metrics  *metricStore
	logs     *logStore
	traces   *traceStore
	profiles *profileStore
}

// call is work for the owner of the stores; size is what it holds in bytes.
type call struct {
	size int
	do   func()
}

// New makes an empty window.
func New(o Options) *Window {
	w := &Window{options: o, calls: make(chan call, waitingCalls), done: make(chan struct{}), flames: make(chan struct{}, maxFlames)}
	w.metrics, w.logs = newMetricStore(o.MaxBytes), newLogStore(o.MaxBytes)
	w.traces, w.profiles = newTraceStore(o.MaxBytes), newProfileStore(o.MaxBytes)
	return w
}

// MaxAge is how long an item is kept.
func (w *Window) MaxAge() time.Duration { return w.options.MaxAge }

// Run keeps what is observed, and answers questions, until ctx ends.
func (w *Window) Run(ctx context.Context) error {
	defer close(w.done)
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	for {
		select {
		case c := <-w.calls:
			c.do()
			w.waiting.Add(int64(-c.size))
		case <-sweep.C:
			w.forget(time.Now().Add(-w.options.MaxAge))
		case <-ctx.Done():
			return nil
		}
	}
}

// forget drops what is older than t.
func (w *Window) forget(t time.Time) {
	w.metrics.forget(t)
	w.logs.forget(t)
	w.traces.forget(t)
	w.profiles.forget(t)
	w.sums.forget(time.Now().Add(-sumAge))
}

// takes reports whether n items of so many bytes that have passed e are to be copied
// and offered.
func (w *Window) takes(e *live.Edge, s live.Signal, n, size int) bool {
	if n == 0 || !w.options.Take(e, s) {
		return false
	}
	if w.waiting.Load()+int64(size) > waitingBytes || len(w.calls) == cap(w.calls) || !w.paces[s].admit(n, perSecond(s)) {
		w.skipped[s].Add(uint64(n))
		return false
	}
	return true
}

// offer gives the owner something to keep, if there is room.
func (w *Window) offer(s live.Signal, items, size int, do func()) {
	if w.waiting.Add(int64(size)) <= waitingBytes {
		select {
		case w.calls <- call{size, do}:
			return
		default:
		}
	}
	w.waiting.Add(int64(-size))
	w.skipped[s].Add(uint64(items))
}

// ask has the owner run f and waits for what it returns. f may still run when ask
// has returned an error, so all that it makes is what it returns.
func ask[T any](ctx context.Context, w *Window, f func() T) (answer T, err error) {
	answers := make(chan T, 1)
	select {
	case w.calls <- call{do: func() { answers <- f() }}:
	case <-w.done:
		return answer, ErrStopped
	case <-ctx.Done():
		return answer, ctx.Err()
	}
	select {
	case answer = <-answers:
		return answer, nil
	case <-w.done:
		return answer, ErrStopped
	case <-ctx.Done():
		return answer, ctx.Err()
	}
}

// Stats says how full the window is, of one signal.
type Stats struct {
	Signal live.Signal `json:"signal"`
	// Items are series, log entries, traces or profiles.
	Items int `json:"items"`
	Bytes int `json:"bytes"`
	Limit int `json:"limitBytes"`
	// Skipped items were not kept, because there was no room for them or
	// because they could not be read.
	Skipped uint64    `json:"skipped"`
	Oldest  time.Time `json:"oldest"` // zero if there is none
}

// Stats says how full the window is, in the order of live.Signals.
func (w *Window) Stats(ctx context.Context) ([]Stats, error) {
	all, err := ask(ctx, w, func() []Stats {
		return []Stats{w.metrics.stats(), w.logs.stats(), w.traces.stats(), w.profiles.stats()}
	})
	for i := range all {
		all[i].Signal = live.Signals()[i]
		all[i].Limit = w.options.MaxBytes
		all[i].Skipped += w.skipped[i].Load()
	}
	return all, err
}

// ObserveLogs is for the edges.
func (w *Window) ObserveLogs(e *live.Edge, logs pipeline.Logs) {
	if !w.takes(e, live.Logs, logs.Entries(), logs.Entries()) {
		return
	}
	var kept []Entry
	size := 0
	for _, stream := range logs.Streams {
		shown := withoutInternal(stream.Labels)
		for _, entry := range stream.Entries {
			kept = append(kept, Entry{Time: entry.Time, Labels: shown, Metadata: entry.Metadata, Line: strings.Clone(entry.Line)})
			size += kept[len(kept)-1].size()
		}
	}
	w.offer(live.Logs, len(kept), size, func() { w.logs.add(kept) })
}

// ObserveMetrics is for the edges. Of native histograms it keeps the count and
// the sum.
func (w *Window) ObserveMetrics(e *live.Edge, m pipeline.Metrics) {
	if !w.takes(e, live.Metrics, m.Items(), m.Items()*pointSize) {
		return
	}
	samples, summed := slices.Clone(m.Samples), summedUp(m.Histograms)
	w.offer(live.Metrics, m.Items(), (len(samples)+2*len(summed))*pointSize, func() {
		for _, s := range samples {
			w.metrics.add(s.Series.Labels, Point{s.T, s.V})
		}
		for _, h := range summed {
			b, name := labels.NewBuilder(h.series.Labels), h.series.Labels.Get(labels.MetricName)
			w.metrics.add(b.Set(labels.MetricName, name+"_count").Labels(), Point{h.t, h.count})
			w.metrics.add(b.Set(labels.MetricName, name+"_sum").Labels(), Point{h.t, h.sum})
		}
	})
}

// summedHistogram is what is kept of a native histogram.
type summedHistogram struct {
	series     *pipeline.Series
	t          int64
	count, sum float64
}

func summedUp(histograms []pipeline.HistogramSample) (all []summedHistogram) {
	for i := range histograms {
		h := &histograms[i]
		summed := summedHistogram{series: h.Series, t: h.T}
		switch {
		case h.H != nil:
			summed.count, summed.sum = float64(h.H.Count), h.H.Sum
		case h.FH != nil:
			summed.count, summed.sum = h.FH.Count, h.FH.Sum
		}
		if value.IsStaleNaN(summed.sum) { // the series ends; its count says nothing
			summed.count = summed.sum
		}
		all = append(all, summed)
	}
	return all
}

// ObserveOTLP is for the edges.
func (w *Window) ObserveOTLP(e *live.Edge, r pipeline.OTLP) {
	signal, keep := live.Metrics, w.keepPoints
	switch r.Signal {
	case pipeline.SignalTraces:
		signal, keep = live.Traces, w.keepSpans
	case pipeline.SignalLogs:
		signal, keep = live.Logs, w.keepRecords
	}
	items, size := r.Items, r.Size()
	if !w.takes(e, signal, items, size) {
		return
	}
	if items > maxItems {
		w.skipped[signal].Add(uint64(items))
		return
	}
	kept := r.Keep()
	w.offer(signal, items, size, func() {
		if live.CheckSize(kept.Undecoded(), maxElements) == nil {
			if request, err := kept.Decoded(); err == nil {
				keep(request)
				return
			}
		}
		w.skipped[signal].Add(uint64(items))
	})
}

// Watches reports whether what passes e is kept.
func (w *Window) Watches(e *live.Edge, s live.Signal) bool { return w.options.Take(e, s) }

// ObserveProfile is for the edges.
func (w *Window) ObserveProfile(e *live.Edge, p pipeline.Profile) {
	if !w.takes(e, live.Profiles, p.Items, len(p.Body)) {
		return
	}
	p.Body = bytes.Clone(p.Body)
	now := time.Now()
	w.offer(live.Profiles, p.Items, len(p.Body), func() {
		w.profiles.keep(p, now)
	})
}

// withoutInternal omits the labels that are never sent.
func withoutInternal(lset labels.Labels) labels.Labels {
	b := labels.NewBuilder(lset)
	lset.Range(func(l labels.Label) {
		if strings.HasPrefix(l.Name, "__") && l.Name != labels.MetricName {
			b.Del(l.Name)
		}
	})
	return b.Labels()
}
