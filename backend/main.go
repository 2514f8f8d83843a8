// Command backend is an example of an instrumented service: what it does does not matter,
// only that it can be observed. Package observe is the part to copy.
//
// "backend healthcheck" asks the running service whether it is up.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"collector/backend/observe"
	"collector/backend/service"
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
		return serve(ctx, s, stdout)
	case len(args) == 1 && args[0] == "healthcheck":
		return healthcheck(ctx, "http://127.0.0.1:"+strconv.Itoa(s.port))
	}
	return fmt.Errorf("arguments %q: want none, or healthcheck", args)
}

func serve(ctx context.Context, s settings, stdout io.Writer) error {
	slog.SetDefault(observe.NewLogger(stdout, s.logLevel)) // for libraries
	listener, err := net.Listen("tcp", s.listenAddress())
	if err != nil {
		return err
	}
	return service.Run(ctx, listener, service.Settings{
		Name: s.appName, Version: version, LogLevel: s.logLevel, OTLPEndpoint: s.otlpEndpoint(), PyroscopeURL: s.pyroscopeURL(),
		FaroURL: s.faroURL,
	}, stdout)
}
