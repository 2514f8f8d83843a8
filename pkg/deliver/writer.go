package deliver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/backoff"
	"collector/pkg/cause"
	"collector/pkg/pipeline"
	"collector/pkg/queue"
)

const (
	// flushTime is how long delivery goes on after the end of Run's context.
	flushTime = 2 * time.Second
	// A queue that is in use may be that of a writer that is just ending.
	inUsePatience = 15 * time.Second
	inUseRetry    = 50 * time.Millisecond
	// drainPause is how long to wait before retrying what a former writer has left while
	// a tenant has to wait.
	drainPause = time.Second
)

// Writer is a queue and a delivery loop for each of its destinations.
type Writer struct {
	o            Options
	destinations []*destination

	mu      sync.Mutex
	queue   *queue.Queue // while it is open
	ended   bool         // Run has ended, and has not been called again
	changed chan struct{}
	none    account // of what came while there was no destination

	refused atomic.Uint64          // items for which there was no room
	failing atomic.Pointer[string] // why nothing can be appended
	disk    disk
}

// account balances: received = delivered + queued + all of dropped.
type account struct {
	received, delivered, queued uint64
	dropped                     map[string]uint64
	queuedBytes                 int64
	damaged                     uint64
	oldest                      time.Time
	queue                       Queue
}

func (a *account) drop(reason string, items uint64) {
	if a.dropped == nil {
		a.dropped = make(map[string]uint64)
	}
	a.received += items
	a.dropped[reason] += items
}

// add adds the account of a reader.
func (a *account) add(s queue.Stats) {
	a.received += s.Received
	a.delivered += s.Delivered
	a.queued += s.Queued
	a.queuedBytes += s.QueuedBytes
	a.damaged += s.DamagedBlocks
	a.oldest = s.Oldest
	for reason, n := range s.Dropped {
		if a.dropped == nil {
			a.dropped = make(map[string]uint64)
		}
		a.dropped[reason] += n
	}
}

// New checks o and starts nothing.
func New(o Options) (*Writer, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Dir == "" && len(o.Destinations) > 0 {
		return nil, errors.New("make a writer: it has no directory for its queue")
	}
	w := &Writer{o: o, changed: make(chan struct{})}
	for _, d := range o.Destinations {
		switch {
		case d.ID == "":
			return nil, errors.New("make a writer: a destination has no id")
		case d.Sender == nil:
			return nil, fmt.Errorf("make a writer: destination %q has no sender", d.ID)
		case w.destination(d.ID) != nil:
			return nil, fmt.Errorf("make a writer: two destinations are called %q", d.ID)
		}
		w.destinations = append(w.destinations, newDestination(d, o))
	}
	if o.Metrics != nil {
		o.Metrics.MustRegister(newCollector(w))
	}
	return w, nil
}

func (w *Writer) destination(id string) *destination {
	for _, d := range w.destinations {
		if d.ID == id {
			return d
		}
	}
	return nil
}

// Run opens the queue and delivers until ctx ends. It then stops waiting for batches to fill,
// gives what is queued up to a flush time of 2 s to be delivered, and closes the queue. What
// is not delivered by then stays queued. Run may be called again when it has ended.
func (w *Writer) Run(ctx context.Context) error {
	if len(w.destinations) == 0 {
		<-ctx.Done()
		return nil
	}
	w.set(nil, false)
	q, err := w.open(ctx)
	if err != nil {
		w.set(nil, true)
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	w.set(q, false)

	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(flushTime)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-sending.Done():
		}
	})
	defer stop()
	var loops sync.WaitGroup
	for _, d := range w.destinations[1:] {
		loops.Go(func() { w.serve(ctx, sending, d, q.Reader(d.ID)) })
	}
	first := w.destinations[0]
	w.serve(ctx, sending, first, q.Reader(first.ID))
	loops.Wait()
	err = q.Close()
	w.close(q)
	return err
}

// open opens the queue. If another component is about to release it, it waits.
func (w *Writer) open(ctx context.Context) (*queue.Queue, error) {
	o := queue.Options{
		Dir: w.o.Dir, MaxBytes: w.o.MaxBytes, MaxAge: w.o.MaxAge, WhenFull: w.o.WhenFull, Logger: w.o.Logger,
		Description: w.describe(),
	}
	for _, d := range w.destinations {
		o.Readers = append(o.Readers, d.ID)
	}
	deadline := time.Now().Add(inUsePatience)
	for {
		var q *queue.Queue
		err := w.o.Orphans.setAside(w.o.Dir, o.Description)
		if err == nil {
			q, err = queue.Open(o)
		}
		if !errors.Is(err, queue.ErrInUse) || time.Now().After(deadline) {
			return q, err
		}
		if !sleep(ctx, inUseRetry) {
			return nil, ctx.Err()
		}
	}
}

// describe says whose the queue is.
func (w *Writer) describe() queue.Description {
	d := queue.Description{Component: w.o.Component, Signal: w.o.Signal}
	for _, to := range w.destinations {
		d.Destinations = append(d.Destinations, queue.Destination{Reader: to.ID, URL: placeOf(to.URL), Key: to.Key})
	}
	return d
}

// placeOf is a URL without what may be secret in it.
func placeOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}

// Use is what the writer has of the storage path.
func (w *Writer) Use() Use {
	var u Use
	if len(w.destinations) > 0 {
		u.Dirs = []string{w.o.Dir}
	}
	for _, d := range w.destinations {
		u.Keys = append(u.Keys, d.Key)
	}
	return u
}

// serve delivers to a destination: first what former writers have left for it,
// as that is older, and then what the writer's own queue has.
func (w *Writer) serve(running, sending context.Context, d *destination, r *queue.Reader) {
	var aside sync.WaitGroup
	defer aside.Wait()
	claims, more := w.o.Orphans.claim(d.Key)
	for _, c := range claims {
		d.run(running, sending, c.reader, true)
		aside.Go(func() { w.serveAside(running, sending, d, c) })
	}
	if more != nil {
		aside.Go(func() { w.claimMore(running, sending, d, more) })
	}
	d.run(running, sending, r, false)
}

// serveAside delivers what a former writer has left beside the rest, until
// nothing is left of it.
func (w *Writer) serveAside(running, sending context.Context, d *destination, c claim) {
	defer c.release()
	own := newDestination(d.Destination, w.o) // whose tags wait on their own
	for c.reader.Queued() > 0 && running.Err() == nil {
		own.run(running, sending, c.reader, true)
		sleep(running, drainPause)
	}
}

// claimMore delivers what is left while the writer runs.
func (w *Writer) claimMore(running, sending context.Context, d *destination, more <-chan struct{}) {
	var aside sync.WaitGroup
	defer aside.Wait()
	for {
		select {
		case <-more:
		case <-running.Done():
			return
		}
		var claims []claim
		claims, more = w.o.Orphans.claim(d.Key)
		for _, c := range claims {
			aside.Go(func() { w.serveAside(running, sending, d, c) })
		}
	}
}

// set wakes those who wait in Append.
func (w *Writer) set(q *queue.Queue, ended bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue, w.ended = q, ended
	close(w.changed)
	w.changed = make(chan struct{})
}

// close adopts the accounts of a closed queue. What is queued there will be
// received again when it is opened again.
func (w *Writer) close(q *queue.Queue) {
	w.mu.Lock()
	for i, s := range q.Stats() {
		s.Received -= s.Queued
		s.Queued, s.QueuedBytes, s.Oldest = 0, 0, time.Time{}
		w.destinations[i].past.add(s)
	}
	w.queue = nil // in one with the above, or its items would be counted twice
	w.mu.Unlock()
	w.set(nil, true)
}

// Append queues blocks, all or none, for every destination. It blocks until Run has
// opened the queue, and fails with pipeline.ErrClosed once Run has ended. nil means
// durable. With no destination it drops and counts them. What the queue could never hold
// is rejected with an error for which pipeline.IsPermanent is true, and is not counted:
// it stays the caller's.
func (w *Writer) Append(ctx context.Context, blocks ...queue.Block) error {
	if len(w.destinations) == 0 {
		for i := range blocks {
			w.Drop(blocks[i].Items, ReasonNoDestination)
		}
		return nil
	}
	for {
		w.mu.Lock()
		q, ended, changed := w.queue, w.ended, w.changed
		w.mu.Unlock()
		if q != nil {
			err := q.Append(ctx, blocks...)
			w.appended(ctx, blocks, err)
			return err
		}
		if ended {
			return pipeline.ErrClosed
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Drop counts items that never became a block, as received and dropped for reason at every destination.
func (w *Writer) Drop(items int, reason string) {
	if items <= 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.destinations) == 0 {
		w.none.drop(reason, uint64(items))
	}
	for _, d := range w.destinations {
		d.past.drop(reason, uint64(items))
	}
}

// SetBatch changes how the named destination's blocks are merged from now on.
func (w *Writer) SetBatch(id string, limits queue.BatchLimits) {
	if d := w.destination(id); d != nil {
		d.setBatch(limits)
	}
}

// accounts returns the accounts of all destinations as of one moment.
func (w *Writer) accounts() []account {
	w.mu.Lock()
	defer w.mu.Unlock()
	var stats []queue.Stats
	if w.queue != nil {
		stats = w.queue.Stats()
	}
	fill := w.fill(w.queue)
	var all []account
	for i, d := range w.destinations {
		a := account{queue: fill}
		a.add(queue.Stats{
			Received: d.past.received, Delivered: d.past.delivered,
			Dropped: d.past.dropped, DamagedBlocks: d.past.damaged,
		})
		if stats != nil {
			a.add(stats[i])
		}
		all = append(all, a)
	}
	return all
}

// Status returns a snapshot for each destination. It never waits for a send.
func (w *Writer) Status() []Status {
	var all []Status
	for i, a := range w.accounts() {
		d := w.destinations[i]
		s := d.health()
		s.ID, s.URL, s.Signal = d.ID, d.URL, w.o.Signal
		s.Received, s.Delivered, s.Queued = a.received, a.delivered, a.queued
		s.QueuedBytes, s.Dropped, s.DamagedBlocks, s.OldestQueued, s.Queue = a.queuedBytes, a.dropped, a.damaged, a.oldest, a.queue
		all = append(all, s)
	}
	return slices.Clip(all)
}

// Destinations is Status, or, without any destination, what happens to the data then.
func (w *Writer) Destinations() []Status {
	if len(w.destinations) > 0 {
		return w.Status()
	}
	s := Nowhere(w.o.Signal, w.o.Off)
	w.mu.Lock()
	defer w.mu.Unlock()
	s.Received, s.Dropped = w.none.received, maps.Clone(w.none.dropped)
	return []Status{s}
}

// Nowhere is the status of a signal for which there is no destination; off says why.
func Nowhere(signal, off string) Status {
	what := "Set the URL"
	if off == cause.NoEndpointBlock {
		what = "Add an endpoint block"
	}
	c := cause.Cause{Kind: cause.NoDestination, Text: off, Fix: what + ", and reload. Until then, all data for it is dropped."}
	return Status{Signal: signal, Off: true, LastError: off, Cause: c}
}

// sleep waits for d. It returns false when ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	return backoff.Sleep(ctx, d, nil) == nil
}

// collector exports the accounts of a writer, all as of one moment.
type collector struct {
	w            *Writer
	descriptions []*descriptions // one for each destination
}

// descriptions of a destination's metrics.
type descriptions struct {
	received, delivered, queued, bytes, capacity, refused, dropped, damaged, attempts, oldest, waiting, up *prometheus.Desc
}

func newCollector(w *Writer) *collector {
	c := &collector{w: w}
	ids := []string{""}
	if len(w.destinations) > 0 {
		ids = nil
	}
	for _, d := range w.destinations {
		ids = append(ids, d.ID)
	}
	for _, id := range ids {
		c.descriptions = append(c.descriptions, describe(w.o.Signal, id, nil))
	}
	return c
}

func describe(signal, destination string, labels prometheus.Labels) *descriptions {
	labels = maps.Clone(labels)
	if labels == nil {
		labels = prometheus.Labels{}
	}
	labels["signal"], labels["destination"] = signal, destination
	desc := func(name, help string, variable ...string) *prometheus.Desc {
		return prometheus.NewDesc("collector_"+name, help, variable, labels)
	}
	return &descriptions{
		received:  desc("received_items_total", "Items that entered the queue, including those it held at the start. Equals delivered + queued + dropped."),
		delivered: desc("delivered_items_total", "Items that the destination has accepted."),
		queued:    desc("queued_items", "Items waiting for the destination."),
		bytes:     desc("queued_bytes", "Bytes on disk waiting for the destination."),
		capacity:  desc("queue_capacity_bytes", "Maximum size of the queue on disk, for all of its destinations together."),
		refused:   desc("refused_items_total", "Items for which the queue had no room; their senders still have them. For all destinations together, and not part of received."),
		dropped:   desc("dropped_items_total", "Items that were dropped, by reason.", "reason"),
		damaged:   desc("damaged_blocks_total", "Blocks of the queue that were found damaged on disk."),
		attempts:  desc("delivery_attempts_total", "Requests to the destination, by outcome.", "outcome"),
		oldest:    desc("oldest_queued_seconds", "Age of the oldest block waiting for the destination; 0 when the queue is empty."),
		waiting:   desc("waiting_tenants", "Tenants that the destination has told to wait; data of other tenants is sent first."),
		up:        desc("destination_up", "1 unless the destination has been failing for ten seconds, has not answered for fifteen, or has permanently rejected the last three items or requests."),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.descriptions {
		for _, desc := range []*prometheus.Desc{d.received, d.delivered, d.queued, d.bytes, d.capacity, d.refused, d.dropped, d.damaged, d.attempts, d.oldest, d.waiting, d.up} {
			ch <- desc
		}
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	if len(c.w.destinations) == 0 {
		c.w.mu.Lock()
		a := account{received: c.w.none.received}
		a.add(queue.Stats{Dropped: c.w.none.dropped})
		c.w.mu.Unlock()
		c.descriptions[0].account(ch, a)
		return
	}
	for i, a := range c.w.accounts() {
		desc, d := c.descriptions[i], c.w.destinations[i]
		desc.account(ch, a)
		counter := func(d *prometheus.Desc, n uint64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
		}
		for outcome, n := range d.attempts() {
			counter(desc.attempts, n, string(outcome))
		}
		up, age := 0.0, 0.0
		health := d.health()
		if health.Healthy {
			up = 1
		}
		if !a.oldest.IsZero() {
			age = max(0, time.Since(a.oldest).Seconds())
		}
		ch <- prometheus.MustNewConstMetric(desc.up, prometheus.GaugeValue, up)
		ch <- prometheus.MustNewConstMetric(desc.capacity, prometheus.GaugeValue, float64(a.queue.Capacity))
		counter(desc.refused, a.queue.Refused)
		ch <- prometheus.MustNewConstMetric(desc.waiting, prometheus.GaugeValue, float64(health.Waiting))
		ch <- prometheus.MustNewConstMetric(desc.oldest, prometheus.GaugeValue, age)
	}
}

// account sends the metrics that balance.
func (d *descriptions) account(ch chan<- prometheus.Metric, a account) {
	ch <- prometheus.MustNewConstMetric(d.received, prometheus.CounterValue, float64(a.received))
	ch <- prometheus.MustNewConstMetric(d.delivered, prometheus.CounterValue, float64(a.delivered))
	ch <- prometheus.MustNewConstMetric(d.damaged, prometheus.CounterValue, float64(a.damaged))
	ch <- prometheus.MustNewConstMetric(d.queued, prometheus.GaugeValue, float64(a.queued))
	ch <- prometheus.MustNewConstMetric(d.bytes, prometheus.GaugeValue, float64(a.queuedBytes))
	for reason, n := range a.dropped {
		ch <- prometheus.MustNewConstMetric(d.dropped, prometheus.CounterValue, float64(n), reason)
	}
}
