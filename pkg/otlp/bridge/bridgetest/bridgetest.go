// Package bridgetest measures what a component costs beside the processor of the
// OpenTelemetry Collector that does its work.
package bridgetest

import (
	"context"
	"testing"

	otelcomponent "go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	otelprocessor "go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"

	"collector/pkg/component"
	"collector/pkg/otlp/bridge"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/pipeline"
)

// host has no extensions.
type host struct{}

func (host) GetExtensions() map[otelcomponent.ID]otelcomponent.Component { return nil }

// encoded is a sink that needs the bytes of requests, as exporters do.
type encoded struct{}

func (encoded) WriteOTLP(_ context.Context, r pipeline.OTLP) error {
	_, err := r.Bytes()
	return err
}

// Compare measures a request of 100 items of a signal, from bytes to bytes, through a
// component and through its library alone.
func Compare(b *testing.B, s pipeline.Signal, factory otelprocessor.Factory, settings bridge.Settings, make func(flow.Output, component.Options) (*bridge.Processor, error)) {
	data := otlptest.Request(b, s, 1, 1, 100, 20)
	b.Run("component", func(b *testing.B) {
		p, err := make(otlptest.All(encoded{}), component.Options{ID: "x"})
		if err != nil {
			b.Fatal(err)
		}
		otlptest.Run(b, p)
		b.ReportAllocs()
		for b.Loop() {
			if err := p.WriteOTLP(b.Context(), pipeline.OTLP{Signal: s, Data: data, Items: 100}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("library", func(b *testing.B) {
		consume := plain(b, s, factory, settings)
		b.ReportAllocs()
		for b.Loop() {
			if err := consume(data); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// plain is a processor as the Collector would run it, between a decoder and an
// encoder.
func plain(b *testing.B, s pipeline.Signal, factory otelprocessor.Factory, settings bridge.Settings) func([]byte) error {
	config, err := settings.Config(factory)
	if err != nil {
		b.Fatal(err)
	}
	set := otelprocessor.Settings{ID: otelcomponent.NewIDWithName(factory.Type(), "x"), TelemetrySettings: otelcomponent.TelemetrySettings{
		Logger: zap.NewNop(), TracerProvider: noop.NewTracerProvider(), MeterProvider: metric.NewMeterProvider(), Resource: pcommon.NewResource(),
	}}
	ctx := b.Context()
	var made otelcomponent.Component
	var consume func([]byte) error
	switch s {
	case pipeline.SignalTraces:
		next, nerr := consumer.NewTraces(func(_ context.Context, td ptrace.Traces) error {
			_, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
			return err
		})
		p, perr := factory.CreateTraces(ctx, set, config, next)
		must(b, nerr, perr)
		made, consume = p, func(data []byte) error {
			td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(data)
			must(b, err)
			return p.ConsumeTraces(ctx, td)
		}
	case pipeline.SignalMetrics:
		next, nerr := consumer.NewMetrics(func(_ context.Context, md pmetric.Metrics) error {
			_, err := (&pmetric.ProtoMarshaler{}).MarshalMetrics(md)
			return err
		})
		p, perr := factory.CreateMetrics(ctx, set, config, next)
		must(b, nerr, perr)
		made, consume = p, func(data []byte) error {
			md, err := (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics(data)
			must(b, err)
			return p.ConsumeMetrics(ctx, md)
		}
	default:
		next, nerr := consumer.NewLogs(func(_ context.Context, ld plog.Logs) error {
			_, err := (&plog.ProtoMarshaler{}).MarshalLogs(ld)
			return err
		})
		p, perr := factory.CreateLogs(ctx, set, config, next)
		must(b, nerr, perr)
		made, consume = p, func(data []byte) error {
			ld, err := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(data)
			must(b, err)
			return p.ConsumeLogs(ctx, ld)
		}
	}
	must(b, made.Start(ctx, host{}))
	b.Cleanup(func() { must(b, made.Shutdown(context.Background())) })
	return consume
}

func must(b *testing.B, errs ...error) {
	b.Helper()
	for _, err := range errs {
		if err != nil {
			b.Fatal(err)
		}
	}
}
