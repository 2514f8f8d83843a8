// Package statsd is prometheus.exporter.statsd: a StatsD server whose metrics are
// scraped, as statsd_exporter has them, by its library. The listeners and the relay are
// our own: those of the library end the program when a socket fails.
package statsd

import (
	"context"
	_ "embed"
	"fmt"
	"log/slog"
	"net"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	library "github.com/prometheus/statsd_exporter/pkg/exporter"
	"github.com/prometheus/statsd_exporter/pkg/line"
	"github.com/prometheus/statsd_exporter/pkg/mapper"
	"github.com/prometheus/statsd_exporter/pkg/mappercache/lru"
	"github.com/prometheus/statsd_exporter/pkg/mappercache/randomreplacement"
	"github.com/prometheus/statsd_exporter/pkg/registry"

	"collector/pkg/component"
	"collector/pkg/exporters/exporter"
	"collector/pkg/filewatch"
	"collector/pkg/listen"
	"collector/pkg/throttle"
)

//go:embed prometheus.exporter.statsd.md
var page string

// Definition is the component prometheus.exporter.statsd.
func Definition() component.Definition {
	return component.Define("prometheus.exporter.statsd", New, exporter.Doc(page))
}

// maxMappings bounds the file of mappings.
const maxMappings = 4 << 20

// signal is what clients send.
const signal = "metrics"

// StatsD is the component prometheus.exporter.statsd.
type StatsD struct {
	*exporter.Exporter
	config  Config
	o       component.Options
	metrics *metrics
	parser  *line.Parser
	updates *library.Exporter
	relay   *relay // nil: there is none
	limit   *listen.Limit
	tally   *listen.Tally
	silent  *slog.Logger // of the library, which logs each line
	quiet   throttle.Log

	mu      sync.Mutex
	stream  net.Listener    // bound and not yet in use; guarded by mu
	packets *listen.Packets // likewise
	bound   bool            // guarded by mu
	listens []string        // guarded by mu
}

// New makes the exporter, which does not listen yet. It reads the mappings.
func New(cfg Config, o component.Options) (*StatsD, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	o = o.WithDefaults()
	r := prometheus.NewRegistry()
	s := &StatsD{
		config: cfg, o: o, metrics: newMetrics(r, cfg.RelayAddr), tally: listen.NewTally(signal),
		limit: listen.NewLimit(listen.MaxConnections(), o.Metrics, o.Logger), silent: slog.New(slog.DiscardHandler),
		parser: &line.Parser{
			DogstatsdTagsEnabled: cfg.ParseDogStatsD, InfluxdbTagsEnabled: cfg.ParseInfluxDB,
			LibratoTagsEnabled: cfg.ParseLibrato, SignalFXTagsEnabled: cfg.ParseSignalFX,
		},
	}
	if _, err := cfg.mode(); err != nil && cfg.ListenUnixgram != "" {
		o.Warn("unix_socket_mode", err.Error())
	}
	if cfg.RelayAddr != "" {
		s.relay = &relay{address: cfg.RelayAddr, longest: cfg.RelayPacketLength, metrics: s.metrics, log: o.Logger}
	}
	m, err := s.mapper(r)
	if err != nil {
		return nil, err
	}
	s.updates = library.NewExporter(r, m, s.silent, s.metrics.actions, s.metrics.unmapped, s.metrics.eventErrors, s.metrics.events, s.metrics.conflicts, s.metrics.kinds)
	s.updates.Registry = newSeries(registry.NewRegistry(r, m), listen.WithinMemory(maxSeries))
	r.MustRegister(exporter.BuildInfo("statsd_exporter", o.UserAgent))
	s.Exporter = exporter.New(o, "statsd", o.ID, exporter.Page(o, r, nil))
	return s, nil
}

// mapper makes names and labels of what clients send.
func (s *StatsD) mapper(r prometheus.Registerer) (*mapper.MetricMapper, error) {
	m := &mapper.MetricMapper{Registerer: r, MappingsCount: s.metrics.mappings, Logger: s.o.Logger}
	if path := s.config.MappingConfig; path != "" {
		text, err := filewatch.Read(path, maxMappings)
		if err == nil {
			err = m.InitFromYAMLString(string(text))
		}
		if err != nil {
			return nil, component.At("mapping_config_path", err)
		}
	}
	if s.config.CacheSize == 0 {
		return m, nil
	}
	var cache mapper.MetricMapperCache
	var err error
	if s.config.CacheType == "random" {
		cache, err = randomreplacement.NewMetricMapperRRCache(r, s.config.CacheSize)
	} else {
		cache, err = lru.NewMetricMapperLRUCache(r, s.config.CacheSize)
	}
	if err != nil {
		return nil, component.At("cache_size", err)
	}
	m.UseCache(cache)
	return m, nil
}

// Bind takes the addresses of UDP and TCP. Calling it again does nothing.
func (s *StatsD) Bind() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bound {
		return nil
	}
	var listens []string
	if at := s.config.ListenUDP; at != "" {
		p, err := s.o.Listeners.ListenPackets("udp", at, s.o.ID+": listen_udp")
		if err != nil {
			return err
		}
		if n := s.config.ReadBuffer; n > 0 {
			if err := p.SetReadBuffer(n); err != nil {
				p.Close()
				return component.At("read_buffer", err)
			}
		}
		s.packets, listens = p, append(listens, "StatsD by UDP on "+p.Addr().String())
	}
	if at := s.config.ListenTCP; at != "" {
		l, err := s.o.Listeners.Listen("tcp", at, s.o.ID+": listen_tcp")
		if err != nil {
			s.close()
			return err
		}
		s.stream, listens = l, append(listens, "StatsD by TCP on "+l.Addr().String())
	}
	if at := s.config.ListenUnixgram; at != "" {
		listens = append(listens, "StatsD on "+at)
	}
	s.bound, s.listens = true, listens
	return nil
}

// Close gives back what Run has not taken.
func (s *StatsD) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.close()
}

func (s *StatsD) close() {
	if s.packets != nil {
		s.packets.Close()
	}
	if s.stream != nil {
		s.stream.Close()
	}
	s.packets, s.stream, s.bound = nil, nil, false
}

// take is what was bound, which is the caller's now.
func (s *StatsD) take() (*listen.Packets, net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, l := s.packets, s.stream
	s.packets, s.stream, s.bound = nil, nil, false
	return p, l
}

// Receiving is part of inspect.Receiver.
func (s *StatsD) Receiving() listen.Received {
	s.mu.Lock()
	listens := s.listens
	s.mu.Unlock()
	return s.tally.Received(listens...)
}

// Run receives until ctx ends. Series are updated here, so that a panic of the library
// is this component's.
func (s *StatsD) Run(ctx context.Context) error {
	if err := s.Bind(); err != nil {
		return err
	}
	packets, stream := s.take()
	ctx, stop := context.WithCancel(ctx)
	if s.relay != nil {
		s.relay.connect(ctx) // before the first line comes
	}
	q := newQueue(s.config.EventQueueSize, s.config.EventFlushThreshold, s.metrics.flushed)
	var receiving, others sync.WaitGroup
	failed := make(chan error, 3)
	receive := func(f func() error) {
		receiving.Go(func() {
			if err := f(); err != nil {
				failed <- err
				stop()
			}
		})
	}
	if packets != nil {
		receive(func() error { return s.receiveUDP(ctx, q, packets) })
	}
	if stream != nil {
		receive(func() error { return s.receiveTCP(ctx, q, stream) })
	}
	if s.config.ListenUnixgram != "" {
		receive(func() error { return s.receiveUnix(ctx, q) })
	}
	if s.relay != nil {
		others.Go(func() { s.relay.run(ctx) })
	}
	others.Go(func() {
		q.run(ctx, s.config.EventFlushInterval)
		receiving.Wait()
		q.flush()
		close(q.out)
	})
	defer others.Wait()
	defer close(q.over) // nobody waits for a library that has panicked
	defer stop()
	s.updates.Listen(q.out)
	select {
	case err := <-failed:
		return fmt.Errorf("receive StatsD: %w", err)
	default:
		return nil
	}
}
