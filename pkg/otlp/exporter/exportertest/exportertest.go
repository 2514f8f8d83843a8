// Package exportertest runs exporters, and checks what every one has to do.
package exportertest

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/deliver"
	"collector/pkg/listen/listentest"
	"collector/pkg/otlp/exporter"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/otlp/wire"
	"collector/pkg/pipeline"
)

// DropsAndWarns checks that e accepts and drops the signals of off and has a destination
// for the others, and that it has warned once.
func DropsAndWarns(t *testing.T, e *exporter.Exporter, off []pipeline.Signal, warned []string, want string) {
	t.Helper()
	if len(warned) != 1 || !strings.HasPrefix(warned[0], want) || !strings.Contains(warned[0], "dropped and counted") {
		t.Errorf("warnings %q, want one about %s", warned, want)
	}
	on := e.QueueUse().Dirs
	for _, s := range flow.Signals() {
		isOn := slices.ContainsFunc(on, func(dir string) bool { return filepath.Base(dir) == string(s) })
		if isOn == slices.Contains(off[:], s) {
			t.Errorf("only %v have a destination", on)
		}
		if isOn {
			continue
		}
		if err := e.WriteOTLP(t.Context(), pipeline.OTLP{Signal: s, Data: otlptest.Request(t, s, 1, 1, 1, 1), Items: 1}); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
	to := e.Destinations()
	for _, d := range to {
		if !d.Off || d.Healthy || d.Received != 1 || d.Dropped[deliver.ReasonNoDestination] != 1 || !strings.Contains(d.Cause.Text, "switched off") {
			t.Errorf("%v are switched off, but go to %+v", off, d)
		}
	}
	if len(to) != len(off) {
		t.Errorf("%v are switched off, and %d are shown", off, len(to))
	}
}

// Exporter is an exporter under test.
type Exporter struct {
	*exporter.Exporter
	Metrics *prometheus.Registry
	// Stop ends what Run began, and waits for it. It may be called again.
	Stop func()
}

// Run runs e until the test ends or Stop is called.
func (e Exporter) Run(t *testing.T) Exporter {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Exporter.Run(ctx) }()
	var once sync.Once
	e.Stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	}
	t.Cleanup(e.Stop)
	return e
}

// Write writes a request, which change may change before.
func (e Exporter) Write(t *testing.T, s pipeline.Signal, data []byte, change func(*pipeline.OTLP)) {
	t.Helper()
	items, _, err := wire.Measure(s, data)
	if err != nil {
		t.Fatal(err)
	}
	r := pipeline.OTLP{Signal: s, Data: data, Items: items}
	if change != nil {
		change(&r)
	}
	if err := e.WriteOTLP(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

// Delivery is the delivery of the one signal that was written.
func (e Exporter) Delivery(t *testing.T) deliver.Status {
	t.Helper()
	all := e.Status().([]deliver.Status)
	if len(all) != 1 {
		t.Fatalf("%d signals have a status, want 1", len(all))
	}
	return all[0]
}

// Settled waits until nothing is queued any more, and checks the account.
func (e Exporter) Settled(t *testing.T) deliver.Status {
	t.Helper()
	var s deliver.Status
	listentest.Eventually(t, "the queue is empty", func() bool {
		s = e.Delivery(t)
		dropped := uint64(0)
		for _, n := range s.Dropped {
			dropped += n
		}
		if s.Received != s.Delivered+s.Queued+dropped {
			t.Errorf("received %d, delivered %d, queued %d, dropped %v", s.Received, s.Delivered, s.Queued, s.Dropped)
		}
		return s.Queued == 0
	})
	return s
}
