package graph

import (
	"fmt"
	"reflect"

	"collector/pkg/component"
	"collector/pkg/config"
	"collector/pkg/discovery"
	"collector/pkg/pipeline"
)

// sinkKind is one of the four kinds of receivers.
type sinkKind struct {
	typ  reflect.Type
	name string // of the type, in the reference
	data string // what flows into it, in the words of messages
	// absent stands for a receiver of a component that cannot be made here.
	absent any
}

func sinkKinds() []sinkKind {
	return []sinkKind{
		{reflect.TypeFor[pipeline.LogsSink](), "LogsReceiver", "logs", absentLogs{}},
		{reflect.TypeFor[pipeline.MetricsSink](), "MetricsReceiver", "samples", absentMetrics{}},
		{reflect.TypeFor[pipeline.OTLPSink](), "otelcol.Consumer", "OTLP requests", absentOTLP{}},
		{reflect.TypeFor[pipeline.ProfilesSink](), "ProfilesReceiver", "profiles", absentProfiles{}},
	}
}

// TypeName names the types that the language itself does not know.
func TypeName(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[*discovery.Set]():
		return "list(map(string))"
	case reflect.TypeFor[*discovery.Rules]():
		return "RelabelRules"
	}
	for _, k := range sinkKinds() {
		if t == k.typ {
			return k.name
		}
	}
	return ""
}

// taken is what a receiver takes, or "" if v is none.
func taken(v any) string {
	for _, k := range sinkKinds() {
		if v != nil && reflect.TypeOf(v).Implements(k.typ) {
			return k.data
		}
	}
	return ""
}

// describe says in words what an opaque value is.
func describe(o *config.Opaque) string {
	if data := taken(o.Value); data != "" {
		return fmt.Sprintf("%s (a receiver of %s)", o.Path, data)
	}
	if _, ok := o.Value.(*discovery.Rules); ok {
		return o.Path + " (relabelling rules)"
	}
	return o.Path
}

// valueHooks decode receivers and rules for a block called name.
func valueHooks(name string) map[reflect.Type]func(any) (any, error) {
	hooks := map[reflect.Type]func(any) (any, error){
		reflect.TypeFor[*discovery.Rules](): decodeRules,
	}
	for _, k := range sinkKinds() {
		hooks[k.typ] = func(v any) (any, error) { return decodeSink(k, name, v) }
	}
	return hooks
}

func decodeSink(k sinkKind, name string, v any) (any, error) {
	o, ok := v.(*config.Opaque)
	if !ok {
		return nil, fmt.Errorf("%s sends %s, which only a receiver takes, such as <component>.<label>.receiver", name, k.data)
	}
	if reflect.TypeOf(o.Value).Implements(k.typ) {
		return o.Value, nil
	}
	if data := taken(o.Value); data != "" {
		return nil, fmt.Errorf("%s takes %s; %s sends %s", o.Path, data, name, k.data)
	}
	return nil, fmt.Errorf("%s is no receiver; %s sends %s", describe(o), name, k.data)
}

func decodeRules(v any) (any, error) {
	if o, ok := v.(*config.Opaque); ok {
		if rules, ok := o.Value.(*discovery.Rules); ok {
			return rules, nil
		}
		return nil, fmt.Errorf("%s cannot relabel; rules come from a relabel component, such as discovery.relabel.<label>.rules", describe(o))
	}
	if object, ok := v.(map[string]any); v == nil || ok && len(object) == 0 {
		return (*discovery.Rules)(nil), nil
	}
	return nil, fmt.Errorf("relabeling rules come from a relabel component, such as discovery.relabel.<label>.rules")
}

// forExpression is an export as expressions see it: itself if it is a plain
// value, wrapped if they can only pass it on.
func forExpression(v any, path string) any {
	if _, secret := v.(component.Secret); v == nil || secret {
		return v
	}
	switch reflect.TypeOf(v).Kind() {
	case reflect.Bool, reflect.String, reflect.Slice, reflect.Map, reflect.Float32, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if taken(v) == "" {
			return v
		}
	}
	return &config.Opaque{Value: v, Path: path}
}
