package graph

import (
	"encoding/json"
	"fmt"
	"reflect"

	"collector/pkg/component"
	"collector/pkg/config"
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
		return nil, fmt.Errorf("%s is no receiver; %s sends %s", o, name, k.Carries)
	}
	return nil, fmt.Errorf("%s sends %s, which only a receiver takes, such as %s", name, k.Carries, k.From)
}

// opaque is v for expressions that can only pass it on.
func (ks kinds) opaque(v any, path string) *config.Opaque {
	return &config.Opaque{Value: v, Path: path, Is: ks.of(v).Is}
}

// forExpression is an export as expressions see it: itself if it is a plain
// value, wrapped if they can only pass it on.
func (ks kinds) forExpression(v any, path string) any {
	if _, secret := v.(component.Secret); v == nil || secret {
		return v
	}
	switch reflect.TypeOf(v).Kind() {
	case reflect.Bool, reflect.String, reflect.Slice, reflect.Map, reflect.Float32, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if ks.of(v).Type == nil {
			return v
		}
	}
	return ks.opaque(v, path)
}

// ofOpaque is the kind of what v passes on, if it is opaque.
func (ks kinds) ofOpaque(v any) pipeline.Kind {
	if o, ok := v.(*config.Opaque); ok {
		return ks.of(o.Value)
	}
	return pipeline.Kind{}
}

// show is an export as it is shown.
func (ks kinds) show(v any) any {
	if _, secret := v.(component.Secret); secret || v == nil {
		return v
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
				shown[i][name] = config.Shown(name, value)
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
