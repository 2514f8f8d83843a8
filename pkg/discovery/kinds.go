package discovery

import (
	"fmt"
	"reflect"
	"strconv"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/pipeline"
)

// Kinds are the kinds of values that come from discovery: lists of targets, which
// are live, and rules.
func Kinds() []pipeline.Kind {
	return []pipeline.Kind{
		{
			Type: reflect.TypeFor[*Set](), Name: "list(map(string))", Is: "a list of targets", From: "discovery.<component>.<label>.targets",
			Absent: func() any { return NewSet() }, New: func() pipeline.Live { return NewSet() },
		},
		{
			Type: reflect.TypeFor[*Rules](), Name: "RelabelRules", Is: "relabeling rules", From: "a relabel component, such as discovery.relabel.<label>.rules",
			Optional: true, Absent: func() any { return &Rules{} }, Show: func(v any) any { return v.(*Rules).Source() },
		},
	}
}

// Now is part of pipeline.Live: the targets as objects.
func (s *Set) Now() (any, <-chan struct{}) {
	targets, changed := s.Targets()
	out := make([]map[string]string, len(targets))
	for i, t := range targets {
		out[i] = t.Map()
	}
	return out, changed
}

// Assign is part of pipeline.Live: it takes a list of objects.
func (s *Set) Assign(value any) error {
	targets, err := parseTargets(value)
	if err == nil {
		s.Replace(targets)
	}
	return err
}

// parseTargets reads a list of objects. Labels without a value are omitted, as
// they mean the same as absent ones.
func parseTargets(value any) ([]Target, error) {
	list, ok := value.([]any)
	if !ok && value != nil {
		return nil, fmt.Errorf("this gives %s where a list of targets is needed, such as [{\"__address__\" = \"host:port\"}]", kind(value))
	}
	targets := make([]Target, 0, len(list))
	for i, element := range list {
		object, ok := element.(map[string]any)
		if !ok {
			hint := ""
			if _, nested := element.([]any); nested {
				hint = "; array.concat(...) joins lists"
			}
			return nil, fmt.Errorf("target %d is %s where an object is needed, such as {\"__address__\" = \"host:port\"}%s", i+1, kind(element), hint)
		}
		b := labels.NewBuilder(labels.EmptyLabels())
		for name, v := range object {
			text, err := labelValue(v)
			if err != nil {
				return nil, fmt.Errorf("label %q of target %d %w", name, i+1, err)
			}
			b.Set(name, text)
		}
		targets = append(targets, b.Labels())
	}
	return targets, nil
}

func labelValue(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case int:
		return strconv.Itoa(v), nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case uint64:
		return strconv.FormatUint(v, 10), nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	}
	return "", fmt.Errorf("is %s where a string is needed", kind(v))
}

func kind(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return "a string"
	case bool:
		return strconv.FormatBool(v)
	case int, int64, uint64, float64:
		return "a number"
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	case fmt.Stringer: // what expressions can only pass along
		return v.String()
	}
	return "a value of another kind"
}
