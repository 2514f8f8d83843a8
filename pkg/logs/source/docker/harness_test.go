package docker

import (
	"bytes"
	"context"
	"log/slog"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/docker"
	"collector/pkg/docker/dockertest"
	"collector/pkg/logs/logstest"
	"collector/pkg/pipeline"
)

// bench is a Docker Engine, a set of targets and a sink for a source.
type bench struct {
	t       *testing.T
	daemon  *dockertest.Daemon
	targets *discovery.Set
	sink    *logstest.Sink
	cfg     Config
	dir     string
	log     *bytes.Buffer
	source  *Source
	stop    func()
}

// inBubble runs f with a bench in a synctest bubble: time is fake, and passes
// when everything waits.
func inBubble(t *testing.T, f func(b *bench)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := &bench{t: t, daemon: dockertest.NewPipe(t), targets: discovery.NewSet(), sink: &logstest.Sink{}, dir: dir, log: &bytes.Buffer{}}
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
	s, err := New(b.cfg, component.Options{
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
	if d := cmp.Diff(append([]string{}, want...), b.sink.Lines()); d != "" {
		b.t.Fatalf("lines (-want +got):\n%s\nlog:\n%s", d, b.log)
	}
}

func parseSince(t *testing.T, s string) time.Time {
	t.Helper()
	seconds, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatalf("since %q: %v", s, err)
	}
	return time.Unix(0, int64(seconds*1e9))
}
