package loadbalancing

import (
	"context"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/zeebo/xxh3"

	"collector/pkg/deliver"
	"collector/pkg/otlp/exporter"
	"collector/pkg/otlp/exporter/otlp"
	"collector/pkg/otlp/flow"
	"collector/pkg/pipeline"
	"collector/pkg/queue"
)

// drainedInterval is how often it is looked whether something is left of an endpoint that
// was removed.
const drainedInterval = 100 * time.Millisecond

// backend is what delivers to an endpoint, or, when it is not in the ring any more,
// moves its data to others.
type backend struct {
	e        *Exporter
	endpoint string

	// What follows is guarded by e.mu.
	wanted  bool
	active  *exporter.Exporter // delivers to the endpoint; nil: none does yet
	current *exporter.Exporter // runs
}

// folder is where the queues of an endpoint are.
func (b *backend) folder() string { return filepath.Join(b.e.o.Dir, url.PathEscape(b.endpoint)) }

// left are the endpoints for which there are folders.
func (e *Exporter) left() (endpoints []string, err error) {
	entries, err := os.ReadDir(e.o.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, entry := range entries {
		if endpoint, err := url.PathUnescape(entry.Name()); err == nil && entry.IsDir() {
			endpoints = append(endpoints, endpoint)
		}
	}
	return endpoints, nil
}

// run runs an exporter until ctx ends, or nothing is left of an endpoint that was removed.
func (b *backend) run(ctx context.Context) error {
	for ctx.Err() == nil {
		wanted, changed := b.isWanted()
		if !wanted {
			waits, err := b.waits()
			if err != nil {
				return err
			}
			if !waits {
				if b.forget() {
					return nil
				}
				continue
			}
		}
		if err := b.runOnce(ctx, wanted, changed); err != nil {
			return err
		}
	}
	return nil
}

func (b *backend) isWanted() (wanted bool, changed <-chan struct{}) {
	b.e.mu.Lock()
	defer b.e.mu.Unlock()
	return b.wanted, b.e.changed
}

// forget removes the backend, unless the endpoint is back.
func (b *backend) forget() bool {
	b.e.mu.Lock()
	defer b.e.mu.Unlock()
	if b.wanted {
		return false
	}
	delete(b.e.backends, b.endpoint)
	b.e.metrics.forget(b.endpoint)
	return true
}

// runOnce runs an exporter that delivers to the endpoint while it is wanted, or else one
// that moves its data to others until nothing is left.
func (b *backend) runOnce(ctx context.Context, wanted bool, changed <-chan struct{}) error {
	o := b.e.o
	o.Dir = b.folder()
	o.Warn = func(string, string) {}
	o.Logger = o.Logger.With("endpoint", b.endpoint)
	metrics := &leaving{Registerer: prometheus.WrapRegistererWith(prometheus.Labels{"endpoint": b.endpoint}, o.Metrics)}
	defer metrics.leave()
	o.Metrics = metrics
	transport, err := otlp.NewTransport(b.e.config.otlp(b.endpoint), o)
	if err != nil {
		return err
	}
	if b.endpoint == unresolvedEndpoint {
		transport = unresolved{transport, b.e}
	}
	blocks := b.e.blocks(b.endpoint)
	if !wanted || b.endpoint == unresolvedEndpoint {
		blocks.Retry.Enabled = true // no request has been sent yet that could be given up
	}
	if !wanted {
		transport = &moving{Transport: transport, e: b.e, done: map[uint64]map[uint64]bool{}}
		blocks.Queue.NumConsumers = 1
		// Of a batch, what is queued already would be sent twice if the endpoint returns.
		blocks.Queue.Batch = &exporter.QueueBatch{Sizer: "bytes", MaxSize: 1}
		o.Logger.Info("an endpoint was removed; its data is queued for the others")
	}
	made := exporter.New("loadbalancing", blocks, transport, o)
	b.show(made, wanted)
	defer b.show(nil, false)
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		defer cancel()
		b.watch(ctx, made, wanted, changed)
	})
	err = made.Run(ctx)
	cancel()
	watching.Wait()
	return err
}

// show has others see the exporter.
func (b *backend) show(made *exporter.Exporter, active bool) {
	b.e.mu.Lock()
	defer b.e.mu.Unlock()
	b.current, b.active = made, nil
	if active {
		b.active = made
	}
	b.e.notify()
}

// watch waits until an exporter has to stop.
func (b *backend) watch(ctx context.Context, made *exporter.Exporter, wanted bool, changed <-chan struct{}) {
	var look <-chan time.Time
	if !wanted {
		tick := time.NewTicker(drainedInterval)
		defer tick.Stop()
		look = tick.C
	}
	for now := wanted; now == wanted; now, changed = b.isWanted() {
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-look:
			if drained(made.Destinations()) {
				return
			}
		}
	}
}

// drained reports whether something was queued, and nothing is any more.
func drained(all []deliver.Status) bool {
	some := false
	for _, s := range all {
		some = some || s.Received > 0
		if s.Queued > 0 {
			return false
		}
	}
	return some
}

// waits reports whether something waits in the endpoint's queues. It removes those in
// which nothing does.
func (b *backend) waits() (waits bool, err error) {
	var errs []error
	for _, s := range flow.Signals() {
		folder, ok := queue.ReadFolder(filepath.Join(b.folder(), string(s)))
		if !ok {
			continue
		}
		q, err := queue.OpenFolder(folder, queue.Options{Logger: b.e.o.Logger, Description: folder.Description})
		if err != nil {
			return false, err
		}
		queued := uint64(0)
		for _, of := range q.Stats() {
			queued += of.Queued
		}
		if queued > 0 {
			waits = true
			errs = append(errs, q.Close())
		} else {
			errs = append(errs, q.Remove())
		}
	}
	if !waits {
		_ = os.Remove(b.folder()) // unless something else is there
	}
	return waits, errors.Join(errs...)
}

// unresolvedEndpoint takes the place of endpoints that are not known yet.
const unresolvedEndpoint = "unresolved:0"

// unresolved keeps what comes before the first lookup has succeeded.
type unresolved struct {
	exporter.Transport
	e *Exporter
}

// URL implements exporter.Transport: for people.
func (u unresolved) URL(s pipeline.Signal) string {
	if dns := u.e.config.Resolver.DNS; dns != nil {
		return "dns://" + dns.Hostname
	}
	return u.Transport.URL(s) // what is left was queued when a name was configured
}

// Send implements exporter.Transport.
func (u unresolved) Send(context.Context, pipeline.Signal, []queue.Block) (deliver.Result, error) {
	u.e.mu.Lock()
	defer u.e.mu.Unlock()
	return deliver.Result{}, &deliver.Error{Err: u.e.lookup}
}

// moving queues the data of an endpoint that was removed for those in its place.
type moving struct {
	exporter.Transport
	e *Exporter

	mu   sync.Mutex
	done map[uint64]map[uint64]bool // parts that are queued, by the block that they are of; guarded by mu
}

// Send implements exporter.Transport.
func (m *moving) Send(ctx context.Context, s pipeline.Signal, blocks []queue.Block) (deliver.Result, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, block := range blocks {
		id := xxh3.Hash(block.Data)
		if m.done[id] == nil {
			m.done[id] = map[uint64]bool{}
		}
		if err := m.e.requeue(ctx, s, block, m.done[id]); err != nil {
			return deliver.Result{}, &deliver.Error{Err: err, Rejected: pipeline.IsPermanent(err)}
		}
	}
	for _, block := range blocks {
		delete(m.done, xxh3.Hash(block.Data))
	}
	return deliver.Result{}, nil
}
