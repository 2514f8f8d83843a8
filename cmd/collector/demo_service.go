//go:build !no_demo

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"collector/backend/service"
	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/pipeline"
)

// demoConfig is the user's part of demo.service.
type demoConfig struct {
	RequestsPerSecond float64             `alloy:"requests_per_second,attr,optional"`
	OTLPEndpoint      string              `alloy:"otlp_endpoint,attr"`
	PyroscopeURL      string              `alloy:"pyroscope_url,attr"`
	ForwardTo         []pipeline.LogsSink `alloy:"forward_to,attr"`
}

// demoRunner is the component demo.service: the example service, what it logs,
// and requests to it.
type demoRunner struct {
	config  demoConfig
	options component.Options
	targets *discovery.Set
}

func newDemoService(c demoConfig, o component.Options) (*demoRunner, error) {
	return &demoRunner{config: c, options: o.WithDefaults(), targets: discovery.NewSet()}, nil
}

// Exports are the service's metrics page as a target.
func (d *demoRunner) Exports() map[string]any { return map[string]any{"targets": d.targets} }

// labels are those that a container of the service would have.
func (d *demoRunner) labels() *labels.Builder {
	host, _ := os.Hostname()
	b := labels.NewBuilder(labels.EmptyLabels())
	for name, value := range map[string]string{"project": "demo", "service": "backend", "container": "demo-backend", "host": host} {
		b.Set(name, value)
	}
	return b
}

// Run serves on a free port of the loopback interface until ctx ends.
func (d *demoRunner) Run(ctx context.Context) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	address := listener.Addr().String()
	d.targets.Replace([]discovery.Target{d.labels().Set("__address__", address).Labels()})
	defer d.targets.Replace(nil)

	// What is still logged while the service stops has to be read, so that its
	// writes end.
	output, stdout := io.Pipe()
	var parts sync.WaitGroup
	defer parts.Wait()
	parts.Go(func() { d.tail(ctx, output) })
	loading, stopLoad := context.WithCancel(ctx)
	defer stopLoad()
	parts.Go(func() { newDemoLoad("http://"+address, d.config.RequestsPerSecond).run(loading) })

	defer stdout.Close()
	err = service.Run(ctx, listener, service.Settings{
		Name: "backend", Version: version, Instance: "demo-backend",
		OTLPEndpoint: d.config.OTLPEndpoint, PyroscopeURL: d.config.PyroscopeURL,
		SpansEvery: time.Second, ProfilesEvery: 3 * time.Second,
	}, stdout)
	if err != nil {
		return fmt.Errorf("run the example service: %w", err)
	}
	return nil
}

// tail forwards the lines of output, as the tail of a container would, until it
// is closed.
func (d *demoRunner) tail(ctx context.Context, output io.Reader) {
	stream := d.labels().Set("stream", "stdout").Labels()
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		entry := pipeline.Entry{Time: time.Now(), Line: lines.Text()}
		logs := pipeline.Logs{Streams: []pipeline.Stream{{Labels: stream, Entries: []pipeline.Entry{entry}}}}
		for _, sink := range d.config.ForwardTo {
			if err := sink.WriteLogs(ctx, logs); err != nil && !errors.Is(err, context.Canceled) {
				d.options.Logger.Warn("a log line of the example service was dropped", "err", err)
			}
		}
	}
	_, _ = io.Copy(io.Discard, output) // after a line too long for the scanner, which the example service never writes
}
