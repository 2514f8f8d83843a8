package conformance

import (
	"slices"
	"strconv"
	"strings"
)

// comparable is an output without what does not count: volatile keys, what is ignored,
// the order of OTLP's lists, and repetitions in it.
func (c *Case) comparable(output map[string]any) map[string]any {
	out := map[string]any{}
	for name, value := range output {
		if slices.Contains(c.Ignore, name) {
			continue
		}
		value = c.strip(value)
		switch name {
		case "traces", "metrics", "logs":
			if value = items(value); len(value.([]any)) == 0 {
				continue // requests of nothing
			}
		case "samples":
			value = c.samples(value)
		case "responses":
			value = responses(value)
		case "self":
			if value = c.counted(value); len(value.([]any)) == 0 {
				continue
			}
		case "other":
			value = sorted(value)
		}
		out[name] = value
	}
	return out
}

// strip copies v without volatile keys.
func (c *Case) strip(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, value := range v {
			if !slices.Contains(c.Volatile, key) {
				out[key] = c.strip(value)
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = c.strip(v[i])
		}
		return out
	}
	return v
}

func list(v any) []any {
	out, _ := v.([]any)
	return out
}

func sorted(v any) any {
	out := append([]any{}, list(v)...)
	slices.SortStableFunc(out, func(a, b any) int { return strings.Compare(encoded(a), encoded(b)) })
	return out
}

// counted are metrics without the counters at 0 that Alloy does not show before
// they have counted something.
func (c *Case) counted(v any) any {
	recorded := list(c.Output["self"])
	return sorted(slices.DeleteFunc(slices.Clone(list(v)), func(line any) bool {
		text, _ := line.(string)
		return strings.HasSuffix(text, " 0") && !slices.Contains(recorded, line)
	}))
}

// responses are without the words of errors, which need not be the same.
func responses(v any) any {
	for _, answer := range list(v) {
		answer, _ := answer.(map[string]any)
		if status, _ := answer["status"].(float64); status >= 400 {
			delete(answer, "body")
		}
		if answer["error"] != nil {
			answer["error"] = true
		}
	}
	return v
}

// samples has values in one notation. Metadata counts where it was recorded:
// Alloy sends it once a minute, and most cases are shorter.
func (c *Case) samples(v any) any {
	object, ok := v.(map[string]any)
	if !ok {
		return v
	}
	series, _ := object["series"].(map[string]any)
	out := map[string]any{}
	for name, value := range series {
		text, _ := value.(string)
		if f, err := strconv.ParseFloat(text, 64); err == nil {
			value = strconv.FormatFloat(f, 'g', -1, 64)
		} else if before, _, found := strings.Cut(text, " timestamp:"); found {
			value = before // of a native histogram; when it was scraped does not matter
		}
		out[name] = value
	}
	result := map[string]any{"series": out}
	if recorded, _ := c.Output["samples"].(map[string]any); len(list(recorded["metadata"])) > 0 {
		result["metadata"] = sorted(object["metadata"])
	}
	return result
}

// lists of OTLP by the level: what holds the next one.
var (
	resourceLists = []string{"resourceSpans", "resourceMetrics", "resourceLogs"}
	scopeLists    = []string{"scopeSpans", "scopeMetrics", "scopeLogs"}
	itemLists     = []string{"spans", "metrics", "logRecords"}
	pointHolders  = []string{"gauge", "sum", "histogram", "exponentialHistogram", "summary"}
)

// items lists the spans, metrics and log records of OTLP payloads, each once,
// with its resource and scope: how they are spread over requests does not count.
func items(payloads any) any {
	found := map[string]bool{}
	var out []any
	each(list(payloads), resourceLists, func(resource map[string]any) {
		each([]any{resource}, scopeLists, func(scope map[string]any) {
			each([]any{scope}, itemLists, func(item map[string]any) {
				for _, one := range points(item) {
					whole := unordered(map[string]any{
						"resource": resource["resource"], "resource schema": resource["schemaUrl"],
						"scope": scope["scope"], "scope schema": scope["schemaUrl"], "item": one,
					})
					if key := encoded(whole); !found[key] {
						found[key] = true
						out = append(out, whole)
					}
				}
			})
		})
	})
	return sorted(out)
}

// each visits what the lists of those names hold, in every one of parents.
func each(parents []any, names []string, visit func(map[string]any)) {
	for _, parent := range parents {
		object, _ := parent.(map[string]any)
		for _, name := range names {
			for _, child := range list(object[name]) {
				if child, ok := child.(map[string]any); ok {
					visit(child)
				}
			}
		}
	}
}

// points is a metric once for each of its points; what isn't one is itself.
func points(item map[string]any) []map[string]any {
	for _, holder := range pointHolders {
		data, ok := item[holder].(map[string]any)
		if !ok || len(list(data["dataPoints"])) == 0 {
			continue
		}
		var out []map[string]any
		for _, point := range list(data["dataPoints"]) {
			one, kind := map[string]any{}, map[string]any{}
			for k, v := range item {
				one[k] = v
			}
			for k, v := range data {
				kind[k] = v
			}
			kind["dataPoints"] = point
			one[holder] = kind
			out = append(out, one)
		}
		return out
	}
	return []map[string]any{item}
}

// unordered copies v with its attributes in the order of their names, and
// without what is empty.
func unordered(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, value := range v {
			value = unordered(value)
			if key == "attributes" {
				value = sorted(value)
			}
			if !empty(value) {
				out[key] = value
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = unordered(v[i])
		}
		return out
	}
	return v
}

func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	case string:
		return v == ""
	}
	return false
}
