// Package otlp is otelcol.receiver.otlp: OTLP over gRPC and HTTP, received as bytes.
package otlp

import (
	"context"
	"crypto/tls"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"sync"

	"collector/pkg/component"
	"collector/pkg/listen"
	"collector/pkg/otlp/rawgrpc"
	"collector/pkg/otlp/security"
)

// Receiver is otelcol.receiver.otlp.
type Receiver struct {
	config Config
	o      component.Options
	grpc   *grpcServer // nil: not served
	http   *httpServer // nil: not served
	tally  *listen.Tally

	mu                         sync.Mutex
	grpcListener, httpListener net.Listener // taken by Bind, until Run or Close; guarded by mu
}

//go:embed otelcol.receiver.otlp.md
var page string

// Definition defines otelcol.receiver.otlp.
func Definition() component.Definition {
	return component.Define("otelcol.receiver.otlp", New, component.Doc{Page: page})
}

// New checks c and starts nothing.
func New(c Config, o component.Options) (*Receiver, error) {
	o = o.WithDefaults()
	rawgrpc.Setup()
	c.DebugMetrics.Warn(o)
	r := &Receiver{config: c, o: o}
	in := newIntake(c.Output, newMetrics(o.Metrics), o.Logger)
	r.tally = in.tally
	paths, limit := listen.NewPaths(o.Metrics, o.Logger), listen.NewLimit(listen.MaxConnections(), o.Metrics, o.Logger)
	paths.Tally = in.tally
	if c.GRPC != nil {
		r.grpc = &grpcServer{config: c.GRPC.withDefaults(), intake: in, logger: o.Logger, limit: limit, paths: paths}
	}
	if c.HTTP != nil {
		r.http = newHTTPServer(*c.HTTP, nil, in, o.Logger)
		r.http.paths, r.http.limit = paths, limit
		if cors := c.HTTP.CORS; cors != nil && len(cors.AllowedOrigins) == 0 {
			o.Warn("http/cors", "without allowed_origins, no web page may send")
		}
	}
	if err := r.loadTLS(); err != nil && !component.Lacks(err) {
		return nil, err
	}
	return r, nil
}

// loadTLS reads the certificates. Run retries until their files exist, as Alloy starts
// without them, too.
func (r *Receiver) loadTLS() error {
	var err1, err2 error
	if r.grpc != nil && r.grpc.tls == nil {
		r.grpc.tls, err1 = serverTLS("grpc", r.grpc.config.TLS, "h2")
	}
	if r.http != nil && r.http.tls == nil {
		r.http.tls, err2 = serverTLS("http", r.http.config.TLS, "h2", "http/1.1")
	}
	return errors.Join(err1, err2)
}

func serverTLS(block string, settings *security.TLSServer, protocols ...string) (*tls.Config, error) {
	if settings == nil {
		return nil, nil
	}
	c, err := settings.Config(protocols...)
	return c, component.At(block+"/tls", err)
}

// Bind takes the listeners. Calling it again does nothing.
func (r *Receiver) Bind() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var err error
	if r.grpc != nil && r.grpcListener == nil {
		c := r.grpc.config
		if r.grpcListener, err = r.o.Listeners.Listen(c.Transport, c.Endpoint, r.o.ID+": grpc > endpoint"); err != nil {
			r.grpcListener = nil
			return err
		}
	}
	if r.http != nil && r.httpListener == nil {
		if r.httpListener, err = r.o.Listeners.Listen("tcp", r.http.config.Endpoint, r.o.ID+": http > endpoint"); err != nil {
			r.httpListener = nil
			if r.grpcListener != nil {
				r.grpcListener.Close()
				r.grpcListener = nil
			}
			return err
		}
	}
	return nil
}

// Close gives back what Bind took.
func (r *Receiver) Close() {
	for _, l := range r.take() {
		if l != nil {
			l.Close()
		}
	}
}

// take passes the listeners: gRPC's and HTTP's, nil where there is none.
func (r *Receiver) take() [2]net.Listener {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := [2]net.Listener{r.grpcListener, r.httpListener}
	r.grpcListener, r.httpListener = nil, nil
	return l
}

// Run serves until ctx ends, and gives requests in progress stopGrace to end.
func (r *Receiver) Run(ctx context.Context) error {
	if err := r.loadTLS(); err != nil {
		r.Close()
		return err
	}
	if err := r.Bind(); err != nil {
		return err
	}
	listeners := r.take()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	var errs [2]error
	serve := func(i int, f func(context.Context, net.Listener) error) {
		if listeners[i] == nil {
			return
		}
		r.o.Logger.Info("receiving OTLP", "transport", [2]string{transportGRPC, transportHTTP}[i], "address", listeners[i].Addr().String())
		wg.Go(func() {
			defer cancel() // one that fails ends the other
			if err := f(ctx, listeners[i]); err != nil {
				errs[i] = fmt.Errorf("serve %s on %s: %w", [2]string{transportGRPC, transportHTTP}[i], listeners[i].Addr(), err)
			}
		})
	}
	if r.grpc != nil {
		serve(0, r.grpc.serve)
	}
	if r.http != nil {
		serve(1, r.http.serve)
	}
	if r.grpc == nil && r.http == nil {
		<-ctx.Done()
	}
	wg.Wait()
	return errors.Join(errs[0], errs[1])
}
