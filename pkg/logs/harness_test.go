package logs

import (
	"bytes"
	"context"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/docker"
	"collector/pkg/docker/dockertest"
	"collector/pkg/pipeline"
)

// received is an entry as a sink got it.
type received struct {
	Labels string
	Time   time.Time
	Line   string
}

// memorySink keeps what it is given, unless fail says otherwise.
type memorySink struct {
	mu      sync.Mutex
	entries []received
	calls   int
	fail    func(call int) error // nil takes everything
	block   chan struct{}        // when not nil, calls wait until it is closed
}

func (s *memorySink) WriteLogs(ctx context.Context, logs pipeline.Logs) error {
	s.mu.Lock()
	s.calls++
	call, fail, block := s.calls, s.fail, s.block
	s.mu.Unlock()
	if block != nil {
		select {
		case <-block:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if fail != nil {
		if err := fail(call); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, stream := range logs.Streams {
		for _, e := range stream.Entries {
			s.entries = append(s.entries, received{stream.Labels.String(), e.Time, e.Line})
		}
	}
	return nil
}

func (s *memorySink) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *memorySink) all() []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]received(nil), s.entries...)
}

func (s *memorySink) lines() []string {
	out := []string{}
	for _, e := range s.all() {
		out = append(out, e.Line)
	}
	return out
}

// bench is a Docker Engine, a set of targets and a sink for a source.
type bench struct {
	t       *testing.T
	daemon  *dockertest.Daemon
	targets *discovery.Set
	sink    *memorySink
	cfg     SourceDockerConfig
	dir     string
	log     *bytes.Buffer
	source  *SourceDocker
	stop    func()
}

// inBubble runs f with a bench in a synctest bubble: time is fake, and passes
// when everything waits.
func inBubble(t *testing.T, f func(b *bench)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := &bench{t: t, daemon: dockertest.NewPipe(t), targets: discovery.NewSet(), sink: &memorySink{}, dir: dir, log: &bytes.Buffer{}}
		b.cfg.SetToDefault()
		b.cfg.Host, b.cfg.Targets, b.cfg.ForwardTo = b.daemon.Host(), b.targets, []pipeline.LogsSink{b.sink}
		b.stop = func() {}
		f(b)
		b.stop()
	})
}

// start runs a new source, as after a restart or a reload.
func (b *bench) start() {
	b.t.Helper()
	b.stop()
	s, err := NewSourceDocker(b.cfg, component.Options{
		ID: "loki.source.docker.test", Dir: b.dir, Metrics: prometheus.NewRegistry(),
		Logger: slog.New(slog.NewTextHandler(b.log, nil)),
	})
	if err != nil {
		b.t.Fatal(err)
	}
	client := b.daemon.Client()
	s.engine, err = docker.NewPool(nil).Engine(docker.Config{Host: b.daemon.Host(), Client: client, Key: "test"})
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Run(ctx); err != nil {
			b.t.Errorf("Run: %v", err)
		}
	}()
	b.source = s
	b.stop = func() {
		cancel()
		<-done
		client.CloseIdleConnections()
		b.stop = func() {}
	}
}

// discover watches the source's Engine, as discovery.docker does, until the
// function it returns is called.
func (b *bench) discover() (stop func()) {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := b.source.engine.(*docker.Engine).Run(ctx, 0); err != nil {
			b.t.Errorf("watch the Engine: %v", err)
		}
	}()
	b.settle(time.Second)
	return func() {
		cancel()
		<-done
	}
}

// settle lets d pass and waits until nothing moves.
func (b *bench) settle(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// container starts a container and makes it a target.
func (b *bench) container(c dockertest.Container, extra ...string) string {
	id := b.daemon.Run(c)
	b.target(id, extra...)
	return id
}

// target makes or replaces the target of a container; extra are more labels.
func (b *bench) target(id string, extra ...string) {
	b.removeTarget(id)
	targets, _ := b.targets.Targets()
	pairs := append([]string{containerIDLabel, id, "container", "app"}, extra...)
	b.targets.Replace(append(append([]discovery.Target{}, targets...), labels.FromStrings(pairs...)))
}

func (b *bench) removeTarget(id string) {
	targets, _ := b.targets.Targets()
	var kept []discovery.Target
	for _, t := range targets {
		if t.Get(containerIDLabel) != id {
			kept = append(kept, t)
		}
	}
	b.targets.Replace(kept)
}

func (b *bench) hasCursor(id string) bool {
	s := b.source.store
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.entries[id]
	return ok
}

func (b *bench) wantLines(want ...string) {
	b.t.Helper()
	if d := cmp.Diff(append([]string{}, want...), b.sink.lines()); d != "" {
		b.t.Fatalf("lines (-want +got):\n%s\nlog:\n%s", d, b.log)
	}
}

// valueOf is the value of a counter.
func valueOf(m prometheus.Metric) float64 {
	var out dto.Metric
	if m.Write(&out) != nil {
		return -1
	}
	return out.GetCounter().GetValue()
}

func numbered(from, to int) []string {
	var out []string
	for i := from; i < to; i++ {
		out = append(out, "line "+strconv.Itoa(i))
	}
	return out
}

func text(lines []string) string { return strings.Join(lines, "\n") + "\n" }

func parseSince(t *testing.T, s string) time.Time {
	t.Helper()
	seconds, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatalf("since %q: %v", s, err)
	}
	return time.Unix(0, int64(seconds*1e9))
}

// wantEach fails unless got has each line of want once.
func wantEach(t *testing.T, want, got []string) {
	t.Helper()
	count := make(map[string]int)
	for _, l := range got {
		count[l]++
	}
	lost, repeated := 0, 0
	for _, l := range want {
		if count[l] == 0 {
			lost++
		}
		if count[l] > 1 {
			repeated++
		}
	}
	if lost+repeated > 0 || len(got) != len(want) {
		t.Errorf("of %d lines, %d are lost and %d are repeated; %d came", len(want), lost, repeated, len(got))
	}
}
