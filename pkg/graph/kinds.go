package graph

import (
	"encoding/json"
	"fmt"
	"reflect"

	"collector/pkg/component"
	"collector/pkg/config"
	"collector/pkg/mask"
	"collector/pkg/pipeline"
)

// kinds are the kinds of values that the language itself does not know.
type kinds []pipeline.Kind

// of is the kind of v; its Type is nil if v is of none.
func (ks kinds) of(v any) pipeline.Kind {
	for _, k := range ks {
		if k.Holds(v) {
			return k
		}
	}
	return pipeline.Kind{}
}

// typeName names a type in the reference.
func (ks kinds) typeName(t reflect.Type) string {
	for _, k := range ks {
		if k.Type == t {
			return k.Name
		}
	}
	return ""
}

// absent is an export of the type of that name, of a component that cannot be
// made here.
func (ks kinds) absent(typeName string) any {
	for _, k := range ks {
		if k.Name == typeName {
			return k.Absent()
		}
	}
	return unknown{}
}

// hooks decode values of all kinds but the live ones for a block called name.
func (ks kinds) hooks(name string) map[reflect.Type]func(any) (any, error) {
	hooks := map[reflect.Type]func(any) (any, error){}
	for _, k := range ks {
		if k.New == nil {
			hooks[k.Type] = func(v any) (any, error) { return ks.decode(k, name, v) }
		}
	}
	return hooks
}

// decode is the value v of the kind k, for a block called name.
func (ks kinds) decode(k pipeline.Kind, name string, v any) (any, error) {
	o, opaque := v.(*config.Opaque)
	if opaque && k.Holds(o.Value) {
		return o.Value, nil
	}
	object, ok := v.(map[string]any)
	other := ks.ofOpaque(v)
	switch {
	case k.Optional && (v == nil || ok && len(object) == 0):
		return reflect.Zero(k.Type).Interface(), nil
	case k.Carries == "" && opaque:
		return nil, fmt.Errorf("%s cannot be used here: %s come from %s", o, k.Is, k.From)
	case k.Carries == "":
		return nil, fmt.Errorf("%s come from %s", k.Is, k.From)
	case opaque && other.Carries != "":
		return nil, fmt.Errorf("%s takes %s; %s sends %s", o.Path, other.Carries, name, k.Carries)
	case opaque:
		return nil, fmt.Errorf("%s is not a receiver; %s sends %s", o, name, k.Carries)
	}
	return nil, fmt.Errorf("%s sends %s, which only a receiver accepts, such as %s", name, k.Carries, k.From)
}

// forExpression is v, to which path leads, as expressions see it: itself if it is
// plain, wrapped if they can only pass it along.
func (ks kinds) forExpression(v value, path string) any {
	if o, ok := v.raw.(*config.Opaque); ok {
		return &config.Opaque{Value: o.Value, Path: path, Is: o.Is, Owner: o.Owner}
	}
	kind := ks.of(v.raw)
	if isPlain(v.raw) && kind.Type == nil {
		return v.raw
	}
	o := &config.Opaque{Value: v.raw, Path: path, Is: kind.Is}
	if len(v.from) > 0 {
		o.Owner = v.from[0]
	}
	return o
}

// ofOpaque is the kind of what v forwards, if it is opaque.
func (ks kinds) ofOpaque(v any) pipeline.Kind {
	if o, ok := v.(*config.Opaque); ok {
		return ks.of(o.Value)
	}
	return pipeline.Kind{}
}

// show is an export as it is shown.
func (ks kinds) show(v any) any {
	switch v := v.(type) {
	case nil, component.Secret:
		return v
	case *config.Opaque:
		return ks.show(v.Value)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = ks.show(v[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for name := range v {
			out[name] = ks.show(v[name])
		}
		return out
	}
	if changing, ok := v.(pipeline.Live); ok {
		value, _ := changing.Now()
		return encode(value)
	}
	switch k := ks.of(v); {
	case k.Show != nil:
		return encode(k.Show(v))
	case k.Carries != "":
		return receiverOf(k)
	case reflect.TypeOf(v).Kind() == reflect.Pointer:
		return "(" + reflect.TypeOf(v).Elem().Name() + ")"
	}
	return v
}

func receiverOf(k pipeline.Kind) string { return "(receiver of " + k.Carries + ")" }

// encode is v as it may be shown: of lists of objects and of configuration
// structs, what is secret is hidden.
func encode(v any) any {
	if objects, ok := v.([]map[string]string); ok {
		shown := make([]map[string]string, len(objects))
		for i, object := range objects {
			shown[i] = make(map[string]string, len(object))
			for name, value := range object {
				shown[i][name] = mask.Shown(name, value)
			}
		}
		return shown
	}
	list := reflect.ValueOf(v)
	if list.Kind() != reflect.Slice || list.Type().Elem().Kind() != reflect.Struct {
		return v
	}
	shown := []json.RawMessage{}
	for i := range list.Len() {
		shown = append(shown, config.Encode(list.Index(i).Interface(), func(any) (any, bool) { return nil, false }))
	}
	return shown
}
