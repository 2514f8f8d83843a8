// Package syslog is loki.source.syslog: a server for syslog messages, by TCP with or
// without TLS, and by UDP.
//
// By TCP nothing is dropped: while the receivers accept nothing, nothing is read, and the
// senders wait. UDP senders can't be made to wait: what the receivers do not accept in
// time waits in memory, up to a limit, beyond which it is dropped and counted.
package syslog

import (
	"context"
	"crypto/tls"
	_ "embed"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/listen"
	"collector/pkg/throttle"
)

const (
	// stopPatience is how long receivers get, when the component stops, to take what
	// has been read.
	stopPatience = 1500 * time.Millisecond
	// maxCached is how many label sets are remembered with what rules made of them.
	maxCached = 2000
	// maxBudget is what the messages of all connections may take of the memory.
	maxBudget = 64 << 20
	// maxWaiting is what datagrams may take that wait.
	maxWaiting = 16 << 20
)

// Source is loki.source.syslog.
type Source struct {
	config    Config
	options   component.Options
	listeners []*listener
	names     *discovery.LabelNames
	cache     *discovery.Cache
	hosts     *hosts
	budget    *listen.Budget
	limit     *listen.Limit
	queue     *queue
	metrics   *metrics
	waiting   atomic.Int64 // batches that receivers have not taken yet
	quiet     throttle.Log
}

// listener is one block listener.
type listener struct {
	config ListenerConfig
	source *Source
	option string
	own    labels.Labels // configured
	public labels.Labels // those of own that are sent
	tls    *tls.Config   // nil: none
	counts counts

	mu      sync.Mutex
	stream  net.Listener    // bound and not yet in use; guarded by mu
	packets *listen.Packets // likewise
	address string          // guarded by mu
}

//go:embed loki.source.syslog.md
var page string

// Definition is the component loki.source.syslog.
func Definition() component.Definition {
	return component.Define("loki.source.syslog", New, component.Doc{Page: page})
}

// New checks c and starts nothing.
func New(c Config, o component.Options) (*Source, error) {
	o = o.WithDefaults()
	s := &Source{
		config: c, options: o,
		names:  discovery.NewLabelNames(model.LegacyValidation, o.Logger),
		cache:  discovery.NewCache(maxCached),
		hosts:  newHosts(c.RelabelRules),
		budget: listen.NewBudget(listen.WithinMemory(maxBudget)),
		limit:  listen.NewLimit(listen.MaxConnections(), o.Metrics, o.Logger),
		queue:  newQueue(listen.WithinMemory(maxWaiting)),
	}
	s.metrics = newMetrics(o.Metrics, s.queue.size)
	for i := range c.Listeners {
		at := component.Block("listener", i)
		l, err := s.listener(c.Listeners[i])
		if err != nil {
			return nil, component.At(at, err)
		}
		l.config.warn(at, o.Warn)
		s.listeners = append(s.listeners, l)
	}
	return s, nil
}

func (s *Source) listener(c ListenerConfig) (*listener, error) {
	own := labels.FromMap(c.Labels)
	l := &listener{config: c, source: s, own: own, public: s.public(own), option: s.options.ID + ": listener > address"}
	var err error
	l.tls, err = c.server()
	return l, err
}

// Bind takes the listeners' addresses. Calling it again does nothing.
func (s *Source) Bind() error {
	for _, l := range s.listeners {
		if err := l.bind(); err != nil {
			s.Close()
			return err
		}
	}
	return nil
}

func (l *listener) bind() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stream != nil || l.packets != nil {
		return nil
	}
	pool := l.source.options.Listeners
	if l.config.Protocol == udp {
		p, err := pool.ListenPackets(udp, l.config.Address, l.option)
		if err != nil {
			return err
		}
		l.packets, l.address = p, p.Addr().String()
		return nil
	}
	stream, err := pool.Listen(tcp, l.config.Address, l.option)
	if err != nil {
		return err
	}
	l.stream, l.address = stream, stream.Addr().String()
	return nil
}

// take is what was bound, which is the caller's now; only one of them is there.
func (l *listener) take() (net.Listener, *listen.Packets) {
	l.mu.Lock()
	defer l.mu.Unlock()
	stream, packets := l.stream, l.packets
	l.stream, l.packets = nil, nil
	return stream, packets
}

// Close gives back what Run has not taken.
func (s *Source) Close() {
	for _, l := range s.listeners {
		stream, packets := l.take()
		if stream != nil {
			stream.Close()
		}
		if packets != nil {
			packets.Close()
		}
	}
}

// Run receives until ctx ends. What has been read then is forwarded, for as long as
// stopPatience.
func (s *Source) Run(ctx context.Context) error {
	if err := s.Bind(); err != nil {
		return err
	}
	s.queue.open()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	lasting, end := lastingLonger(ctx, stopPatience)
	defer end()
	failed := make(chan error, len(s.listeners))
	var all, readers sync.WaitGroup
	for _, l := range s.listeners {
		group, receive := &all, l.receive(ctx, lasting)
		if l.config.Protocol == udp {
			group = &readers
		}
		group.Go(func() {
			if err := receive(); err != nil {
				failed <- err
				stop()
			}
		})
	}
	all.Go(func() { s.work(lasting) })
	all.Go(func() { s.hosts.run(ctx) })
	s.log()
	<-ctx.Done()
	readers.Wait()
	s.queue.close()
	all.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// receive takes what was bound, and returns what receives by it.
func (l *listener) receive(ctx, lasting context.Context) func() error {
	stream, packets := l.take()
	if packets != nil {
		return func() error { return l.readPackets(ctx, packets) }
	}
	return func() error { return l.accept(ctx, lasting, stream) }
}

func (s *Source) log() {
	for _, l := range s.listeners {
		s.options.Logger.Info("receiving syslog messages", "address", l.Address(), "protocol", l.config.Protocol, "format", l.config.SyslogFormat, "tls", l.tls != nil)
	}
}

// lastingLonger is a context that ends d after ctx.
func lastingLonger(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	lasting, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(d, cancel)
		context.AfterFunc(lasting, func() { timer.Stop() })
	})
	return lasting, func() {
		stop()
		cancel()
	}
}

// Address is where the listener listens, once it is bound.
func (l *listener) Address() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.address == "" {
		return l.config.Address
	}
	return l.address
}
