package logs_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/docker/dockertest"
	"collector/pkg/logs/logstest"
	"collector/pkg/logs/lokitest"
	"collector/pkg/logs/source/docker"
	"collector/pkg/logs/write"
	"collector/pkg/pipeline"
)

// childEnv makes the test binary a collector of logs: its value is the
// directory, the Engine, the push URL and the containers, separated by blanks.
const childEnv = "LOGS_TEST_CHILD"

func TestMain(m *testing.M) {
	for env, run := range map[string]func([]string) error{childEnv: collect, configEnv: runConfig} {
		if job := os.Getenv(env); job != "" {
			if err := run(strings.Fields(job)); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			return
		}
	}
	os.Exit(m.Run())
}

// writeConfig is a loki.write that sends at once and retries soon.
func writeConfig(url string) write.Config {
	var e write.Endpoint
	e.SetToDefault()
	e.URL, e.BatchWait, e.MinBackoff, e.MaxBackoff = url, time.Millisecond, time.Millisecond, 10*time.Millisecond
	var cfg write.Config
	cfg.SetToDefault()
	cfg.Endpoints = []write.Endpoint{e}
	return cfg
}

// collect runs loki.source.docker and loki.write until the process is killed, or its
// parent ends.
func collect(job []string) error {
	dir, host, url, ids := job[0], job[1], job[2], job[3:]
	to, err := write.New(writeConfig(url), component.Options{Dir: filepath.Join(dir, "write"), Metrics: prometheus.NewRegistry()})
	if err != nil {
		return err
	}
	var targets []discovery.Target
	for _, id := range ids {
		targets = append(targets, labels.FromStrings("__meta_docker_container_id", id, "container", id[:8]))
	}
	var cfg docker.Config
	cfg.SetToDefault()
	cfg.Host, cfg.Targets, cfg.ForwardTo = host, discovery.NewSet(targets...), []pipeline.LogsSink{to}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if firstLine := os.Getenv(firstLineEnv); firstLine != "" {
		joined, err := childProcess(firstLine, dir, to)
		if err != nil {
			return err
		}
		cfg.ForwardTo = []pipeline.LogsSink{joined}
		if cfg.RelabelRules, err = streamRule(); err != nil {
			return err
		}
		go joined.Run(ctx)
	}
	source, err := docker.New(cfg, component.Options{Dir: filepath.Join(dir, "source"), Metrics: prometheus.NewRegistry()})
	if err != nil {
		return err
	}
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	go to.Run(ctx)
	return source.Run(ctx)
}

// Killed again and again under load, and while Loki is down, the collector
// delivers each line; what it repeats is identical, so that Loki stores it once.
func TestAKilledCollectorLosesNothing(t *testing.T) {
	engine, loki, dir := dockertest.New(t), lokitest.New(t), t.TempDir()
	ids := []string{engine.Run(dockertest.Container{}), engine.Run(dockertest.Container{})}
	job := strings.Join(append([]string{dir, engine.Host(), loki.URL()}, ids...), " ")

	start := func() (kill func()) { return logstest.StartChild(t, nil, childEnv+"="+job) }
	written := 0
	load := func(stop <-chan struct{}) {
		for {
			for i, stream := range []string{"stdout", "stderr"} {
				engine.Print(ids[i], stream, logstest.Text(logstest.Numbered(written, written+50)))
				engine.Print(ids[i], "stdout", logstest.Text(logstest.Numbered(written+50, written+100)))
				written += 100
			}
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
	killAgainAndAgain(t, loki, start, load)
	loki.AwaitEntries(t.Context(), written)
	var want, got []string
	want = logstest.Numbered(0, written)
	for _, e := range loki.Entries() {
		got = append(got, e.Line)
	}
	logstest.WantEach(t, want, got)
	t.Logf("%d lines, %d repeated identically", written, loki.Repeated())
}

// killAgainAndAgain kills the collector nine times under load, in each third
// round while Loki is down, and leaves one running.
func killAgainAndAgain(t *testing.T, loki *lokitest.Server, start func() (kill func()), load func(stop <-chan struct{})) {
	t.Helper()
	for round := range 9 {
		loki.Respond(nil)
		if round%3 == 2 {
			loki.Respond(func(lokitest.Request) *lokitest.Answer { return &lokitest.Answer{Status: 503, Body: "down"} })
		}
		seen, stop := len(loki.Requests()), make(chan struct{})
		kill := start()
		var loading sync.WaitGroup
		loading.Go(func() { load(stop) })
		loki.Await(t.Context(), func(_ []lokitest.Entry, requests []lokitest.Request) bool { return len(requests) > seen+round })
		kill()
		close(stop)
		loading.Wait()
	}
	loki.Respond(nil)
	start()
}
