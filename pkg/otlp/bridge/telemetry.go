package bridge

import (
	"context"
	"log/slog"
	"maps"
	"slices"

	"github.com/prometheus/otlptranslator"
	otelcomponent "go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/pcommon"
	sdkprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"collector/pkg/component"
	"collector/pkg/throttle"
)

// host is what a processor knows of the program: that it has no extensions.
type host struct{}

func (host) GetExtensions() map[otelcomponent.ID]otelcomponent.Component { return nil }

// telemetryOf lets a processor log and count as a component does: its metrics are
// in the component's registry, and leave with it.
func telemetryOf(o component.Options) (otelcomponent.TelemetrySettings, error) {
	reader, err := sdkprometheus.New(sdkprometheus.WithRegisterer(o.Metrics), sdkprometheus.WithoutTargetInfo(),
		sdkprometheus.WithTranslationStrategy(otlptranslator.UnderscoreEscapingWithSuffixes))
	if err != nil {
		return otelcomponent.TelemetrySettings{}, err
	}
	return otelcomponent.TelemetrySettings{
		Logger:         Logger(o),
		TracerProvider: o.Spans.Of(o.ID),
		MeterProvider:  metric.NewMeterProvider(metric.WithReader(reader)),
		Resource:       pcommon.NewResource(),
	}, nil
}

// Logger lets code of the Collector log as a component does.
func Logger(o component.Options) *zap.Logger {
	return zap.New(logCore{logger: o.Logger, failures: &throttle.Log{}})
}

// logCore writes what a processor logs to the component's log. Processors report each
// item that they fail on: warnings and errors of the same text are logged once in a
// while.
type logCore struct {
	logger   *slog.Logger
	failures *throttle.Log
}

func levelOf(l zapcore.Level) slog.Level {
	switch {
	case l >= zapcore.ErrorLevel:
		return slog.LevelError
	case l == zapcore.WarnLevel:
		return slog.LevelWarn
	case l == zapcore.InfoLevel:
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

func (c logCore) Enabled(l zapcore.Level) bool {
	return c.logger.Enabled(context.Background(), levelOf(l))
}

func (c logCore) With(fields []zapcore.Field) zapcore.Core {
	return logCore{c.logger.With(arguments(fields)...), c.failures}
}

func (c logCore) Check(e zapcore.Entry, to *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return to.AddCore(e, c)
	}
	return to
}

func (c logCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	level := levelOf(e.Level)
	if level >= slog.LevelWarn {
		c.failures.Log(c.logger, level, "", e.Message, arguments(fields)...)
		return nil
	}
	c.logger.Log(context.Background(), level, e.Message, arguments(fields)...)
	return nil
}

func (logCore) Sync() error { return nil }

// arguments are fields as a slog.Logger takes them. An error is called err, as
// everywhere in the log.
func arguments(fields []zapcore.Field) (all []any) {
	values := zapcore.NewMapObjectEncoder()
	for _, f := range fields {
		f.AddTo(values)
	}
	for _, name := range slices.Sorted(maps.Keys(values.Fields)) {
		value := values.Fields[name]
		if name == "error" {
			name = "err"
		}
		all = append(all, name, value)
	}
	return all
}

func buildInfo() otelcomponent.BuildInfo {
	return otelcomponent.BuildInfo{Command: "collector", Description: "collector", Version: "unknown"}
}
