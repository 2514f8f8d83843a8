// Package exporter is what the exporters that send OTLP have in common: a queue on disk
// for each signal, in which requests are merged and cut, and the blocks that configure
// it. How a request is sent is a Transport.
package exporter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"collector/pkg/component"
	"collector/pkg/deliver"
	"collector/pkg/durable"
	"collector/pkg/httpclient"
	"collector/pkg/otlp/auth"
	"collector/pkg/otlp/flow"
	"collector/pkg/pipeline"
	"collector/pkg/queue"
)

// defaultDestination names the one destination of each of an exporter's queues.
const defaultDestination = "default"

// Exporter is an exporter of OTLP, but for how it sends. Each signal
// has a queue and a writer of its own, so that none delays another, and they
// are made when the first request of the signal comes, or at the start when a
// former process has left a queue.
type Exporter struct {
	o         component.Options
	retry     Retry
	queue     SendingQueue
	auth      auth.Client // nil: there is none
	transport Transport
	to        string // names the destination
	metrics   *metrics
	writers   [3]*signalWriter

	mu      sync.Mutex
	ctx     context.Context // of Run, while it runs; guarded by mu
	ended   bool            // Run has ended and has not been called again; guarded by mu
	running sync.WaitGroup  // of signal writers; added to with mu held and ctx set
	failed  chan error      // what ends Run
}

// Transport makes requests.
type Transport interface {
	// Send sends blocks as one request of the signal: requests that follow each
	// other are one. It may be called at once by several, and keeps nothing of the
	// blocks. Its error is a *deliver.Error where it says more than to retry;
	// the result says of how many items the destination accepted none. What the
	// client's authentication carries is in ctx, see auth.Carried.
	Send(ctx context.Context, s pipeline.Signal, blocks []queue.Block) (deliver.Result, error)
	// URL is where requests of the signal go, for people; "" when there is no
	// such place.
	URL(s pipeline.Signal) string
	// Off says which argument has the endpoint of a signal, and why nothing can be
	// sent there; why is "" when something can.
	Off(s pipeline.Signal) (argument, why string)
	// TenantHeaders are the headers that may name the tenant.
	TenantHeaders() map[string]string
	// Close closes connections. The transport can be used again.
	Close()
}

// Blocks are the blocks that every exporter has.
type Blocks struct {
	Queue        SendingQueue
	Retry        Retry
	DebugMetrics flow.DebugMetrics
	Auth         *auth.Handler // of the client
	Destination  string        // names it in metrics, and to people; "" is the one destination of a component
}

// New makes an exporter that sends by t. kind is the label exporter of its
// metrics; o has its defaults.
func New(kind string, c Blocks, t Transport, o component.Options) *Exporter {
	e := &Exporter{o: o, retry: c.Retry, queue: c.Queue, auth: c.Auth.Client(), transport: t, to: cmp.Or(c.Destination, defaultDestination), failed: make(chan error, 3)}
	for i, s := range flow.Signals() {
		argument, why := t.Off(s)
		l := &signalWriter{signal: s, dir: filepath.Join(o.Dir, string(s)), e: e, limits: limitsOf(c.Queue.Batch, nil)}
		if why != "" {
			l.off = "Its " + strings.ReplaceAll(argument, "/", " > ") + " is switched off: " + why + "."
		}
		e.writers[i] = l
	}
	warnOff(o.Warn, t.Off)
	c.Queue.warn(o)
	c.DebugMetrics.Warn(o)
	if c.Retry.MaxElapsedTime != 0 && c.Retry.MaxElapsedTime != defaultMaxElapsedTime {
		o.Warn("retry_on_failure/max_elapsed_time", "requests are retried for as long as the queue on disk holds them")
	}
	e.metrics = newMetrics(e, kind)
	return e
}

// warnOff reports each argument whose endpoint is switched off, once.
func warnOff(warn func(name, why string), off func(pipeline.Signal) (argument, why string)) {
	stopped := map[string][]string{} // by argument: the signals that have nowhere to go
	for _, s := range flow.Signals() {
		if argument, why := off(s); why != "" {
			stopped[argument] = append(stopped[argument], string(s))
		}
	}
	for _, s := range flow.Signals() {
		argument, why := off(s)
		names := stopped[argument]
		if why == "" || names[0] != string(s) {
			continue
		}
		consequence := ", so it is switched off: " + strings.Join(names, " and ") + " sent here are dropped and counted"
		if len(names) == len(flow.Signals()) {
			consequence = ", so the exporter is switched off: all data for it is dropped and counted"
		}
		warn(argument, why+consequence)
	}
}

// Exports is the sink for all signals.
func (e *Exporter) Exports() map[string]any {
	return map[string]any{"input": pipeline.OTLPSink(e)}
}

// Status is a snapshot of each signal's delivery.
func (e *Exporter) Status() any {
	all := []deliver.Status{}
	for _, l := range e.started() {
		all = append(all, l.writer.Status()...)
	}
	return all
}

// Destinations is the state of the delivery of each signal that has come. For an exporter
// that is switched off, all signals are listed.
func (e *Exporter) Destinations() []deliver.Status {
	all := []deliver.Status{}
	for _, l := range e.started() {
		all = append(all, l.writer.Destinations()...)
	}
	if !slices.ContainsFunc(e.writers[:], func(l *signalWriter) bool { return l.off == "" }) {
		for _, l := range e.writers {
			if !slices.ContainsFunc(all, func(s deliver.Status) bool { return s.Signal == string(l.signal) }) {
				all = append(all, deliver.Nowhere(string(l.signal), l.off))
			}
		}
	}
	return all
}

// Idle is part of inspect.Idler: the signals that could be delivered, but of which
// nothing has come.
func (e *Exporter) Idle() []deliver.Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	var idle []deliver.Status
	for _, l := range e.writers {
		if to := e.transport.URL(l.signal); l.writer == nil && l.off == "" && to != "" {
			idle = append(idle, deliver.Status{ID: e.to, URL: to, Signal: string(l.signal), Healthy: true})
		}
	}
	return idle
}

// started lists the signal writers that have a writer.
func (e *Exporter) started() []*signalWriter {
	e.mu.Lock()
	defer e.mu.Unlock()
	var writers []*signalWriter
	for _, l := range e.writers {
		if l.writer != nil {
			writers = append(writers, l)
		}
	}
	return writers
}

// Run delivers until ctx ends.
func (e *Exporter) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changed := e.o.Orphans.Changed()
	err := e.begin(ctx)
	for err == nil && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case err = <-e.failed:
		case <-changed: // a signal writer may have to deliver what another exporter has left
			changed = e.o.Orphans.Changed()
			err = e.begin(ctx)
		}
	}
	cancel()
	e.mu.Lock()
	e.ctx, e.ended = nil, true
	e.mu.Unlock()
	e.running.Wait()
	e.transport.Close()
	for {
		select {
		case other := <-e.failed:
			err = errors.Join(err, other)
		default:
			return err
		}
	}
}

// begin starts the signal writers for which there is work already.
func (e *Exporter) begin(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ctx, e.ended = ctx, false
	for _, l := range e.writers {
		if _, err := os.Lstat(l.dir); l.writer == nil && err != nil && !e.o.Orphans.Waits(e.key(l)) {
			continue
		}
		if !e.hasDestination(l) {
			continue // e.o.Orphans names what is waiting
		}
		if err := e.startLocked(l); err != nil {
			return err
		}
	}
	return nil
}

// start makes the signal writer's writer, and runs it if the exporter runs; otherwise
// Run will.
func (e *Exporter) start(l *signalWriter) (*deliver.Writer, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended {
		return nil, pipeline.ErrClosed
	}
	if err := e.startLocked(l); err != nil {
		return nil, err
	}
	return l.writer, nil
}

// hasDestination reports whether the signal writer has a destination. One that is
// switched off drops what comes.
func (e *Exporter) hasDestination(l *signalWriter) bool {
	return l.off != "" || e.transport.URL(l.signal) != ""
}

func (e *Exporter) startLocked(l *signalWriter) error {
	if l.writer == nil {
		if !e.hasDestination(l) {
			return pipeline.Permanent(fmt.Errorf("%s has no endpoint for %s", e.o.ID, l.signal))
		}
		if err := e.ownFolder(); err != nil {
			return err
		}
		w, err := deliver.New(e.options(l))
		if err != nil {
			return err
		}
		l.writer = w
	}
	if l.active || e.ctx == nil {
		return nil
	}
	l.active = true
	ctx := e.ctx
	e.running.Go(func() {
		err := l.writer.Run(ctx)
		e.mu.Lock()
		l.active = false
		e.mu.Unlock()
		if err != nil {
			select {
			case e.failed <- fmt.Errorf("deliver %s: %w", l.signal, err):
			default: // Run ends already
			}
		}
	})
	return nil
}

// ownFolder makes the folder in which the signal writers' queues have theirs.
func (e *Exporter) ownFolder() error {
	if e.o.Dir == "" || !slices.ContainsFunc(e.writers[:], func(l *signalWriter) bool { return l.off == "" }) {
		return nil
	}
	return durable.Own(e.o.Dir)
}

func (e *Exporter) options(l *signalWriter) deliver.Options {
	if l.off != "" {
		return deliver.Options{Component: e.o.ID, Signal: string(l.signal), Off: l.off, Logger: e.o.Logger, Metrics: e.o.Metrics}
	}
	return deliver.Options{
		Component: e.o.ID,
		Orphans:   e.o.Orphans,
		Dir:       l.dir,
		Signal:    string(l.signal),
		Destinations: []deliver.Destination{{
			ID:          e.to,
			URL:         e.transport.URL(l.signal),
			Key:         e.key(l),
			Sender:      sender{l},
			Batch:       limitsOf(e.queue.Batch, nil).batch,
			Backoff:     e.retry.backoff(),
			Concurrency: e.queue.NumConsumers,
			// Without a queue, a failure is the sender's to handle, which was told that
			// the data is stored.
			NoRetry: !e.retry.Enabled && e.queue.Enabled,
		}},
		MaxBytes: e.queue.maxBytes(),
		WhenFull: e.queue.whenFull(),
		Logger:   e.o.Logger.With("signal", string(l.signal)),
		Metrics:  e.o.Metrics,
		Spans:    e.o.Spans,
	}
}

// key identifies the destination of a signal writer, see deliver.Destination.
func (e *Exporter) key(l *signalWriter) string {
	if !e.hasDestination(l) || l.off != "" {
		return ""
	}
	kind := e.o.ID
	if i := strings.LastIndexByte(kind, '.'); i >= 0 {
		kind = kind[:i]
	}
	return httpclient.Key(kind, string(l.signal), e.transport.URL(l.signal), "", auth.TenantHeaders(e.auth, e.transport.TenantHeaders()), nil)
}

// QueueUse is what the component has of the storage path.
func (e *Exporter) QueueUse() deliver.Use {
	var u deliver.Use
	for _, l := range e.writers {
		if key := e.key(l); key != "" {
			u.Dirs, u.Keys = append(u.Dirs, l.dir), append(u.Keys, key)
		}
	}
	return u
}

// QueueWriter is what delivers the queue of a signal.
func (e *Exporter) QueueWriter(signal string) (*deliver.Writer, error) {
	l := e.writer(pipeline.Signal(signal))
	if l == nil || e.key(l) == "" {
		return nil, fmt.Errorf("%s has no endpoint for %s", e.o.ID, signal)
	}
	return deliver.New(e.options(l))
}

// WriteOTLP queues request, cut into as many as are needed so that a receiver with
// default settings accepts each. nil means durable.
func (e *Exporter) WriteOTLP(ctx context.Context, request pipeline.OTLP) error {
	l := e.writer(request.Signal)
	if l == nil {
		return pipeline.Permanent(fmt.Errorf("signal %q is unknown", request.Signal))
	}
	w, err := e.start(l)
	if err != nil {
		return err
	}
	if request.Data, err = request.Bytes(); err != nil {
		return err
	}
	parts, err := l.cut(ctx, w, request)
	if err != nil {
		return pipeline.Permanent(err)
	}
	blocks := make([]queue.Block, len(parts))
	tag := e.tag(ctx, request)
	for i, p := range parts {
		blocks[i] = queue.Block{Data: p.Data, Tag: tag, Items: p.Items}
	}
	// All or none: a sender that is refused sends the whole request again.
	if err := w.Append(ctx, blocks...); err != nil {
		e.metrics.enqueueFailed[request.Signal].Add(float64(request.Items))
		return err
	}
	return nil
}

// Requeue queues blocks of another exporter of the same configuration, as they are: all or
// none. nil means durable.
func (e *Exporter) Requeue(ctx context.Context, s pipeline.Signal, blocks ...queue.Block) error {
	l := e.writer(s)
	if l == nil {
		return pipeline.Permanent(fmt.Errorf("signal %q is unknown", s))
	}
	w, err := e.start(l)
	if err != nil {
		return err
	}
	return w.Append(ctx, blocks...)
}

// carriedMark precedes, in a tag, what the client's authentication carries.
const carriedMark = "\x00"

// tag separates what must not be in one request.
func (e *Exporter) tag(ctx context.Context, request pipeline.OTLP) string {
	tag := string(request.Signal)
	if request.Group != "" {
		tag += " " + request.Group
	}
	if e.auth != nil {
		if carried := e.auth.Carry(ctx); carried != "" {
			tag += carriedMark + carried
		}
	}
	return tag
}

func (e *Exporter) writer(s pipeline.Signal) *signalWriter {
	for _, l := range e.writers {
		if l.signal == s {
			return l
		}
	}
	return nil
}
