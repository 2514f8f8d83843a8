// Package receivertest runs an otelcol.receiver.otlp for the tests of exporters.
package receivertest

import (
	"context"
	"log/slog"
	"regexp"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/listen/listentest"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/otlptest"
	receiver "collector/pkg/otlp/receiver/otlp"
)

// Receiver is an otelcol.receiver.otlp that runs.
type Receiver struct {
	GRPC, HTTP string // addresses
	Log        *otlptest.Log
}

// Start runs a receiver on free ports. change may change its configuration.
func Start(t testing.TB, output flow.Output, change func(*receiver.Config)) Receiver {
	t.Helper()
	var c receiver.Config
	c.SetToDefault()
	c.GRPC, c.HTTP, c.Output = new(receiver.GRPCServer), new(receiver.HTTPServer), output
	c.GRPC.SetToDefault()
	c.HTTP.SetToDefault()
	c.GRPC.Endpoint, c.HTTP.Endpoint = "127.0.0.1:0", "127.0.0.1:0"
	if change != nil {
		change(&c)
	}
	log := new(otlptest.Log)
	r, err := receiver.New(c, component.Options{
		ID: "otelcol.receiver.otlp.test", Metrics: prometheus.NewRegistry(), Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	addressOf := func(transport string) (address string) {
		says := regexp.MustCompile(`msg="receiving OTLP".* transport=` + transport + ` address=(\S+)`)
		listentest.Eventually(t, "the receiver says where it listens", func() bool {
			match := says.FindStringSubmatch(log.String())
			if match != nil {
				address = match[1]
			}
			return match != nil
		})
		return address
	}
	return Receiver{GRPC: addressOf("grpc"), HTTP: addressOf("http"), Log: log}
}
