package tracing

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"collector/pkg/component"
	"collector/pkg/throttle"
)

const (
	askTime     = 10 * time.Second
	maxStrategy = 1 << 20 // bytes
)

// remote is the sampler that a Jaeger server describes. Until there is an answer, it is
// the one that it was made with; after a failure, the one before.
type remote struct {
	config    JaegerRemote
	url       string
	userAgent string
	client    *http.Client
	current   atomic.Pointer[sdktrace.Sampler]
	failed    atomic.Pointer[error]
	last      []byte // the answer in force; used by run alone
	failures  prometheus.Counter
	logger    *slog.Logger
	told      throttle.Log
}

func newRemote(c JaegerRemote, first sdktrace.Sampler, o component.Options) *remote {
	r := &remote{
		config: c, userAgent: o.UserAgent, logger: o.Logger,
		client: &http.Client{Timeout: askTime, Transport: &http.Transport{Proxy: http.ProxyFromEnvironment}},
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "collector_tracing_sampler_failures_total", Help: "Requests for sampling strategies that failed; the strategy before stays in force.",
		}),
	}
	o.Metrics.MustRegister(r.failures)
	u, _ := url.Parse(c.URL) // Validate has accepted it
	query := u.Query()
	query.Set("service", serviceName)
	u.RawQuery = query.Encode()
	r.url = u.String()
	r.current.Store(&first)
	return r
}

// ShouldSample implements sdktrace.Sampler.
func (r *remote) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	return (*r.current.Load()).ShouldSample(p)
}

// Description implements sdktrace.Sampler.
func (r *remote) Description() string {
	return "jaeger_remote: " + (*r.current.Load()).Description()
}

// failure is why the last request failed; nil if it did not.
func (r *remote) failure() error {
	if err := r.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// run asks the server, at once and then every refresh_interval, until ctx ends.
func (r *remote) run(ctx context.Context) {
	defer r.client.CloseIdleConnections()
	ticker := time.NewTicker(r.config.RefreshInterval)
	defer ticker.Stop()
	for {
		r.refresh(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (r *remote) refresh(ctx context.Context) {
	err := r.ask(ctx)
	switch {
	case ctx.Err() != nil:
	case err == nil:
		if r.failed.Swap(nil) != nil {
			r.told.Forget()
			r.logger.Info("sampling strategies can be read again")
		}
	default:
		err = fmt.Errorf("read sampling strategies of %s: %w", clean(r.config.URL), err)
		r.failed.Store(&err)
		r.failures.Inc()
		r.told.Warn(r.logger, "", "cannot read sampling strategies; the sampler before stays in force", "sampler", (*r.current.Load()).Description(), "err", err)
	}
}

// ask puts the server's answer in force.
func (r *remote) ask(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url, nil)
	if err != nil {
		return err
	}
	request.Header.Set("User-Agent", r.userAgent)
	answer, err := r.client.Do(request)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // the caller names the URL
		}
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("the server answered %s", answer.Status)
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxStrategy+1))
	if err != nil {
		return err
	}
	if len(body) > maxStrategy {
		return fmt.Errorf("the answer is longer than %d bytes", maxStrategy)
	}
	if bytes.Equal(body, r.last) {
		return nil // the balances of rate limits stay
	}
	sampler, err := parseStrategy(body, r.config.MaxOperations)
	if err != nil {
		return err
	}
	r.current.Store(&sampler)
	r.last = body
	return nil
}
