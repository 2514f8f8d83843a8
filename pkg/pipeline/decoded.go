package pipeline

import (
	"fmt"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Decoded is what is in a request. The field of its signal is set. Two are equal if they
// are the same object, not if they have the same content.
type Decoded struct {
	Traces  ptrace.Traces
	Metrics pmetric.Metrics
	Logs    plog.Logs
}

func decode(s Signal, data []byte) (d Decoded, err error) {
	switch s {
	case SignalTraces:
		d.Traces, err = (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(data)
	case SignalMetrics:
		d.Metrics, err = (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics(data)
	case SignalLogs:
		d.Logs, err = (&plog.ProtoUnmarshaler{}).UnmarshalLogs(data)
	default:
		err = fmt.Errorf("signal %q is unknown", s)
	}
	if err != nil {
		return Decoded{}, Permanent(fmt.Errorf("decode the request: %w", err))
	}
	return d, nil
}

func (d Decoded) encode(s Signal) (data []byte, err error) {
	switch s {
	case SignalTraces:
		data, err = (&ptrace.ProtoMarshaler{}).MarshalTraces(d.Traces)
	case SignalMetrics:
		data, err = (&pmetric.ProtoMarshaler{}).MarshalMetrics(d.Metrics)
	case SignalLogs:
		data, err = (&plog.ProtoMarshaler{}).MarshalLogs(d.Logs)
	default:
		err = fmt.Errorf("signal %q is unknown", s)
	}
	if err != nil {
		return nil, Permanent(fmt.Errorf("encode the request: %w", err))
	}
	return data, nil
}

// copied is a copy that may be changed.
func (d Decoded) copied(s Signal) (own Decoded) {
	switch s {
	case SignalTraces:
		own.Traces = ptrace.NewTraces()
		d.Traces.CopyTo(own.Traces)
	case SignalMetrics:
		own.Metrics = pmetric.NewMetrics()
		d.Metrics.CopyTo(own.Metrics)
	case SignalLogs:
		own.Logs = plog.NewLogs()
		d.Logs.CopyTo(own.Logs)
	}
	return own
}

// freeze makes every later attempt to change d panic.
func (d Decoded) freeze(s Signal) {
	switch s {
	case SignalTraces:
		d.Traces.MarkReadOnly()
	case SignalMetrics:
		d.Metrics.MarkReadOnly()
	case SignalLogs:
		d.Logs.MarkReadOnly()
	}
}

func (d Decoded) frozen(s Signal) bool {
	switch s {
	case SignalTraces:
		return d.Traces.IsReadOnly()
	case SignalMetrics:
		return d.Metrics.IsReadOnly()
	case SignalLogs:
		return d.Logs.IsReadOnly()
	}
	return false
}

// items counts spans, data points or log records.
func (d Decoded) items(s Signal) int {
	switch s {
	case SignalTraces:
		return d.Traces.SpanCount()
	case SignalMetrics:
		return d.Metrics.DataPointCount()
	case SignalLogs:
		return d.Logs.LogRecordCount()
	}
	return 0
}
