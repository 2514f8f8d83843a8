package syslog

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/listen"
	"collector/pkg/logs/logstest"
	"collector/pkg/pipeline"
)

// config is one listener with its defaults, but for what change changes.
func config(to pipeline.LogsSink, change func(*ListenerConfig)) Config {
	return configOf([]pipeline.LogsSink{to}, change)
}

func configOf(to []pipeline.LogsSink, changes ...func(*ListenerConfig)) Config {
	c := Config{ForwardTo: to}
	for _, change := range changes {
		var l ListenerConfig
		l.SetToDefault()
		l.Address, l.Labels = "127.0.0.1:0", map[string]string{"job": "syslog"}
		change(&l)
		c.Listeners = append(c.Listeners, l)
	}
	return c
}

// rules are relabeling rules.
func rules(t *testing.T, all ...func(*discovery.Rule)) *discovery.Rules {
	t.Helper()
	var list []discovery.Rule
	for _, set := range all {
		var r discovery.Rule
		r.SetToDefault()
		set(&r)
		list = append(list, r)
	}
	out, err := discovery.Compile(list)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// allLabels keeps the labels of messages.
func allLabels(r *discovery.Rule) { r.Action, r.Regex = "labelmap", "__syslog_(?:message_)?(.+)" }

// started is a Source that runs.
type started struct {
	*Source
	registry *prometheus.Registry
	stop     func() error // ends Run and returns its error
}

// make makes a Source that listens by pool; nil: one of its own.
func makeSource(t *testing.T, c Config, pool *listen.Pool) *started {
	t.Helper()
	if pool == nil {
		pool = listen.NewPool()
	}
	for i := range c.Listeners {
		if err := c.Listeners[i].Validate(); err != nil {
			t.Fatal(err)
		}
	}
	s := &started{registry: prometheus.NewRegistry()}
	var err error
	if s.Source, err = New(c, component.Options{ID: "loki.source.syslog.test", Metrics: s.registry, Listeners: pool.View()}); err != nil {
		t.Fatal(err)
	}
	if err := s.Bind(); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *started) run(t *testing.T) *started {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	s.stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
		if used := s.budget.Used(); used != 0 {
			t.Errorf("%d bytes are still claimed", used)
		}
		if used := s.queue.size(); used != 0 {
			t.Errorf("%v bytes of datagrams still wait", used)
		}
	})
	return s
}

func start(t *testing.T, c Config) *started {
	t.Helper()
	return makeSource(t, c, nil).run(t)
}

// address is where the listener of that index listens.
func (s *started) address(i int) string { return s.listeners[i].Address() }

// dial connects to the first listener.
func (s *started) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.Dial(s.config.Listeners[0].Protocol, s.address(0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// send sends a text to the first listener, by a connection of its own.
func (s *started) send(t *testing.T, text string) {
	t.Helper()
	c := s.dial(t)
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	c.Close()
}

// metric is the sum of a metric, of the reason if that is not empty.
func (s *started) metric(t *testing.T, name, reason string) (sum float64) {
	t.Helper()
	families, err := s.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if reason == "" || slices.ContainsFunc(m.GetLabel(), func(l *dto.LabelPair) bool { return l.GetValue() == reason }) {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

const (
	entriesMetric   = "loki_source_syslog_entries_total"
	malformedMetric = "loki_source_syslog_parsing_errors_total"
	droppedMetric   = "collector_log_lines_dropped_total"
	datagramsMetric = "collector_syslog_dropped_datagrams_total"
	failedMetric    = "collector_syslog_failed_connections_total"
)

// await waits until a condition holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("it never came to this: %s", what)
		}
		<-time.After(2 * time.Millisecond)
	}
}

// awaitLines waits until the sink has lines, and returns its entries.
func awaitLines(t *testing.T, sink *logstest.Sink, want ...string) []logstest.Received {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !slices.Equal(sink.Lines(), want) {
		if time.Now().After(deadline) {
			t.Fatalf("lines %q, want %q", sink.Lines(), want)
		}
		<-time.After(2 * time.Millisecond)
	}
	return sink.All()
}

// numbered are messages of RFC 5424 with the lines logstest.Numbered.
func numbered(from, to int) string {
	var b strings.Builder
	for _, l := range logstest.Numbered(from, to) {
		fmt.Fprintf(&b, "<13>1 - h a - - - %s\n", l)
	}
	return b.String()
}
