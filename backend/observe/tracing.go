package observe

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	otelpyroscope "github.com/grafana/otel-profiling-go"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// A Service is how a program introduces itself in traces and profiles.
type Service struct {
	Name     string
	Version  string
	Instance string // distinguishes replicas; a container's host name will do
}

// Tracing sends spans to a collector.
type Tracing struct {
	// Provider is for Trace and for whoever makes spans. It puts the span's id
	// onto the profile samples taken while a request is served, and the
	// attribute pyroscope.profile.id onto the request's span.
	Provider trace.TracerProvider

	sdk *sdktrace.TracerProvider
}

// StartTracing sends spans in batches by OTLP gRPC to endpoint ("host:port"),
// each gathered for as long as every says; 0 leaves that to the library.
// It does not wait for the collector, nor does anything that makes spans: what
// cannot be delivered is kept as far as it fits a queue, and then dropped.
func StartTracing(ctx context.Context, endpoint string, service Service, every time.Duration, log *slog.Logger) (*Tracing, error) {
	exporter, err := otlptracegrpc.New(ctx,
		otlptracegrpc.WithEndpoint(endpoint),
		otlptracegrpc.WithInsecure(),
		// Long enough for a collector that is being replaced by a newer one.
		otlptracegrpc.WithTimeout(30*time.Second),
		otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig{
			Enabled:         true,
			InitialInterval: time.Second,
			MaxInterval:     5 * time.Second,
			MaxElapsedTime:  30 * time.Second,
		}),
		// By default, gRPC retries an unreachable server only every two minutes.
		otlptracegrpc.WithDialOption(grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: time.Second, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 5 * time.Second},
			MinConnectTimeout: 5 * time.Second,
		})),
	)
	if err != nil {
		return nil, fmt.Errorf("make the OTLP exporter for %q: %w", endpoint, err)
	}
	about, err := describe(ctx, service)
	if err != nil {
		return nil, err
	}
	var batching []sdktrace.BatchSpanProcessorOption
	if every > 0 {
		batching = append(batching, sdktrace.WithBatchTimeout(every))
	}
	t := newTracing(sdktrace.NewBatchSpanProcessor(exporter, batching...), about)

	// Libraries find their provider here, and report their errors here.
	otel.SetTracerProvider(t.Provider)
	otel.SetTextMapPropagator(propagation.TraceContext{})
	failures := &throttle{log: log, message: "traces cannot be delivered"}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { failures.failed(err.Error()) }))
	return t, nil
}

func newTracing(processor sdktrace.SpanProcessor, about *resource.Resource) *Tracing {
	sdk := sdktrace.NewTracerProvider(
		sdktrace.WithSpanProcessor(processor),
		sdktrace.WithResource(about),
	)
	return &Tracing{Provider: otelpyroscope.NewTracerProvider(sdk), sdk: sdk}
}

// describe makes the attributes that all spans of the process share. More may
// be given by OTEL_RESOURCE_ATTRIBUTES.
func describe(ctx context.Context, service Service) (*resource.Resource, error) {
	about, err := resource.New(ctx,
		resource.WithTelemetrySDK(),
		resource.WithFromEnv(),
		resource.WithAttributes(
			semconv.ServiceName(service.Name),
			semconv.ServiceVersion(service.Version),
			semconv.ServiceInstanceID(service.Instance),
		),
	)
	if err != nil {
		return nil, fmt.Errorf("describe the service: %w", err)
	}
	return about, nil
}

// Stop sends what is waiting, until ctx ends.
func (t *Tracing) Stop(ctx context.Context) error {
	if err := t.sdk.Shutdown(ctx); err != nil {
		return fmt.Errorf("send the last traces: %w", err)
	}
	return nil
}
