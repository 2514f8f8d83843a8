package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Together with what is left for the last traces and profiles, these stay
// below five seconds, and so below the ten after which Docker kills.
const (
	requestGrace   = 3 * time.Second        // for requests to end by themselves
	responseGrace  = 500 * time.Millisecond // for canceled ones to be answered
	telemetryGrace = 1 * time.Second        // to send the last traces and profiles
)

var errStopping = errors.New("the server is stopping")

// serve answers on listener until ctx ends. Then it accepts no more connections, lets
// requests finish, and cancels those that take too long.
func serve(ctx context.Context, listener net.Listener, handler http.Handler, log *slog.Logger) error {
	requests, callOff := context.WithCancelCause(context.WithoutCancel(ctx))
	defer callOff(nil)
	server := &http.Server{
		Handler:           handler,
		BaseContext:       func(net.Listener) context.Context { return requests },
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve on %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}

	log.Info("stopping")
	err := finishWithin(server, requestGrace)
	if err != nil {
		callOff(errStopping)
		err = finishWithin(server, responseGrace)
	}
	if err != nil {
		_ = server.Close()
		return fmt.Errorf("wait for requests: %w", err)
	}
	return nil
}

func finishWithin(server *http.Server, grace time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	return server.Shutdown(ctx)
}
