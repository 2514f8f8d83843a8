package pipeline

import (
	"context"
	"reflect"
)

// Kind is a kind of value that a component exports for others to use, such as a receiver
// of logs. Expressions can pass such values along, but not look into them, unless they
// are Live.
type Kind struct {
	// Type is an interface that the values implement, or the type that they have.
	Type reflect.Type
	// Name is the type's name in the documentation, such as "LogsReceiver".
	Name string
	// Is says in words what a value is, such as "a receiver of logs", and From
	// where such values come from.
	Is, From string
	// Carries is what flows into a value, in the words of messages; empty if
	// nothing does.
	Carries string
	// Optional means that null and {} represent no value.
	Optional bool
	// Absent is what represents a value of a component that cannot be made on this
	// machine, where a configuration is only checked.
	Absent func() any
	// Wrap puts tap in front of a value into which something flows.
	Wrap func(v any, tap Tap) any
	// Show is the value as it is shown; nil: what it is, in words.
	Show func(v any) any
	// New makes an empty value of a kind whose values are Live; nil for others.
	New func() Live
}

// Live is a value that changes while components run. Where an expression is made
// of some, its value is one too, which follows them.
type Live interface {
	// Now is the value as expressions see it, and a channel that is closed when it
	// changes.
	Now() (value any, changed <-chan struct{})
	// Assign replaces the value by the value of an expression. After an error it has
	// the one before.
	Assign(value any) error
}

// StatePrefix begins the names of the members that a Live value's owner sets in an
// element to show its state: for example, that a container has exited. They come and go,
// and the element stays the same.
const StatePrefix = "__collector_"

// Holds reports whether v is of this kind.
func (k Kind) Holds(v any) bool {
	return v != nil && reflect.TypeOf(v).AssignableTo(k.Type)
}

// Tap sees what a sink was given, and the sink's answer, once it has answered.
type Tap interface {
	// Expects announces that only items of this signal will come.
	Expects(Signal)
	// Watches reports whether TapOTLP looks into requests of this signal now.
	Watches(Signal) bool
	TapLogs(Logs, error)
	TapMetrics(Metrics, error)
	TapOTLP(OTLP, error)
	TapProfile(Profile, error)
}

// Kinds are the four kinds of receivers.
func Kinds() []Kind {
	return []Kind{
		receiver[LogsSink]("LogsReceiver", "logs", func() any { return absentLogs{} }, func(v any, tap Tap) any {
			tap.Expects(SignalLogs)
			return &tappedLogs{v.(LogsSink), tap}
		}),
		receiver[MetricsSink]("MetricsReceiver", "samples", func() any { return absentMetrics{} }, func(v any, tap Tap) any {
			tap.Expects(SignalMetrics)
			return &tappedMetrics{v.(MetricsSink), tap}
		}),
		receiver[OTLPSink]("otelcol.Consumer", "OTLP requests", func() any { return absentOTLP{} }, func(v any, tap Tap) any {
			return &tappedOTLP{v.(OTLPSink), tap}
		}),
		receiver[ProfilesSink]("ProfilesReceiver", "profiles", func() any { return absentProfiles{} }, func(v any, tap Tap) any {
			tap.Expects(SignalProfiles)
			return &tappedProfiles{v.(ProfilesSink), tap}
		}),
	}
}

func receiver[S any](name, carries string, absent func() any, wrap func(any, Tap) any) Kind {
	return Kind{
		Type: reflect.TypeFor[S](), Name: name, Carries: carries, Is: "a receiver of " + carries,
		From: "<component>.<label>.receiver", Absent: absent, Wrap: wrap,
	}
}

type tappedLogs struct {
	next LogsSink
	tap  Tap
}

func (t *tappedLogs) WriteLogs(ctx context.Context, logs Logs) error {
	err := t.next.WriteLogs(ctx, logs)
	t.tap.TapLogs(logs, err)
	return err
}

type tappedMetrics struct {
	next MetricsSink
	tap  Tap
}

func (t *tappedMetrics) WriteMetrics(ctx context.Context, m Metrics) error {
	err := t.next.WriteMetrics(ctx, m)
	t.tap.TapMetrics(m, err)
	return err
}

type tappedOTLP struct {
	next OTLPSink
	tap  Tap
}

func (t *tappedOTLP) WriteOTLP(ctx context.Context, r OTLP) error {
	if r.IsDecoded() && t.tap.Watches(r.Signal) {
		r = r.Shared() // otherwise next may change what the tap is going to show
	}
	err := t.next.WriteOTLP(ctx, r)
	t.tap.TapOTLP(r, err)
	return err
}

// ReadsOTLP is what next says.
func (t *tappedOTLP) ReadsOTLP(s Signal) bool { return ReadsOTLP(t.next, s) }

type tappedProfiles struct {
	next ProfilesSink
	tap  Tap
}

func (t *tappedProfiles) WriteProfile(ctx context.Context, p Profile) error {
	err := t.next.WriteProfile(ctx, p)
	t.tap.TapProfile(p, err)
	return err
}

// The receivers of components that cannot be made here. Nothing that is running would
// send to them.
type (
	absentLogs     struct{}
	absentMetrics  struct{}
	absentOTLP     struct{}
	absentProfiles struct{}
)

func (absentLogs) WriteLogs(context.Context, Logs) error           { return ErrClosed }
func (absentMetrics) WriteMetrics(context.Context, Metrics) error  { return ErrClosed }
func (absentOTLP) WriteOTLP(context.Context, OTLP) error           { return ErrClosed }
func (absentProfiles) WriteProfile(context.Context, Profile) error { return ErrClosed }
