// Command backend is an example of an instrumented service: what it does is of
// no matter, that it can be watched doing it is. Package observe is the part
// to copy.
//
// "backend healthcheck" asks the running service whether it is up.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"

	"collector/backend/api"
	"collector/backend/observe"
)

// version is set when the program is linked.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdout)
	stop()
	if err != nil {
		observe.NewLogger(os.Stdout, slog.LevelError).Error("backend ended", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, getenv func(string) string, stdout io.Writer) error {
	s, err := readSettings(getenv)
	if err != nil {
		return fmt.Errorf("read the settings: %w", err)
	}
	switch {
	case len(args) == 0:
		return runService(ctx, s, observe.NewLogger(stdout, s.logLevel))
	case len(args) == 1 && args[0] == "healthcheck":
		return healthcheck(ctx, "http://127.0.0.1:"+strconv.Itoa(s.port))
	}
	return fmt.Errorf("arguments %q: want none, or healthcheck", args)
}

// runService starts telemetry before the service and stops it afterwards, so
// that the last requests are seen, too.
func runService(ctx context.Context, s settings, log *slog.Logger) error {
	slog.SetDefault(log) // for libraries
	listener, err := net.Listen("tcp", s.listenAddress())
	if err != nil {
		return err
	}
	defer listener.Close()

	hostname, _ := os.Hostname() // without one, replicas look alike, no more
	service := observe.Service{Name: s.appName, Version: version, Instance: hostname}
	tracing, err := observe.StartTracing(ctx, s.otlpEndpoint(), service, log)
	if err != nil {
		return err
	}
	profiling, err := observe.StartProfiling(s.pyroscopeURL(), service, log)
	if err != nil {
		return err
	}
	backend := api.New(api.Options{Name: s.appName, Version: version, Log: log, Provider: tracing.Provider})
	handler := newHandler(backend, tracing.Provider, observe.NewMetrics(version), log)

	log.Info("listening", "address", listener.Addr().String(), "version", version,
		"otlp", s.otlpEndpoint(), "pyroscope", s.pyroscopeURL())
	served := serve(ctx, listener, handler, log)
	if err := flush(tracing.Stop, profiling.Stop); err != nil {
		// The collector may be gone already, which is no failure of ours.
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
