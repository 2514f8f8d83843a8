// Package service is the example service as a whole: its API behind the
// middlewares of package observe, with its telemetry. A program runs it.
package service

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"collector/backend/api"
	"collector/backend/observe"
	"collector/backend/page"
)

// Settings are what the program decides.
type Settings struct {
	Name    string
	Version string
	// Instance distinguishes replicas; the host's name, if it is empty.
	Instance     string
	LogLevel     slog.Level
	OTLPEndpoint string // host:port, of OTLP over gRPC
	PyroscopeURL string
	FaroURL      string // for browsers; empty: the page sends no telemetry
	// SpansEvery and ProfilesEvery are how long spans and samples are gathered
	// before they are sent; 0 means 5 s and 10 s.
	SpansEvery, ProfilesEvery time.Duration
}

// Run serves on listener, which it closes, until ctx ends, and writes its log to
// out. Telemetry starts before the service and stops after it, so that the last
// requests are seen, too.
func Run(ctx context.Context, listener net.Listener, s Settings, out io.Writer) error {
	defer listener.Close()
	log := observe.NewLogger(out, s.LogLevel)
	if s.Instance == "" {
		s.Instance, _ = os.Hostname() // without one, replicas only look alike
	}
	about := observe.Service{Name: s.Name, Version: s.Version, Instance: s.Instance}
	tracing, err := observe.StartTracing(ctx, s.OTLPEndpoint, about, s.SpansEvery, log)
	if err != nil {
		return err
	}
	profiling, err := observe.StartProfiling(s.PyroscopeURL, about, s.ProfilesEvery, log)
	if err != nil {
		return errors.Join(err, flush(tracing.Stop))
	}
	backend := api.New(api.Options{Name: s.Name, Version: s.Version, Log: log, Provider: tracing.Provider})
	pages := page.Routes(page.Options{Name: s.Name, Version: s.Version, FaroURL: s.FaroURL})
	handler := newHandler(backend, pages, tracing.Provider, observe.NewMetrics(s.Version), log)

	log.Info("listening", "address", listener.Addr().String(), "version", s.Version,
		"otlp", s.OTLPEndpoint, "pyroscope", s.PyroscopeURL)
	served := serve(ctx, listener, handler, log)
	if err := flush(tracing.Stop, profiling.Stop); err != nil {
		// The collector may have stopped already, which is not this program's failure.
		log.Warn("telemetry is incomplete", "error", err)
	}
	log.Info("stopped")
	return served
}

// flush runs all at once, within what is left of the time to stop.
func flush(stops ...func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), telemetryGrace)
	defer cancel()
	errs := make([]error, len(stops))
	var all sync.WaitGroup
	for i, stop := range stops {
		all.Go(func() { errs[i] = stop(ctx) })
	}
	all.Wait()
	return errors.Join(errs...)
}
