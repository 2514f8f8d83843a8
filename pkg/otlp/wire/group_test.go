package wire

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/pipeline"
)

// Groups hold the items of the request between them, each what has its key.
func TestGroupByKeepsContent(t *testing.T) {
	for _, s := range flow.Signals() {
		data := otlptest.Request(t, s, 2, 3, 7, 100)
		n := 0
		points := s == pipeline.SignalMetrics
		groups, err := GroupBy(s, data, points, 1<<20, func(Item) (string, error) {
			n++
			return fmt.Sprint(n % 3), nil
		})
		if err != nil || len(groups) != 3 || groups[0].Key != "1" || groups[1].Key != "2" || groups[2].Key != "0" {
			t.Fatalf("%s: %d groups, %v", s, len(groups), err)
		}
		var got []string
		for _, g := range groups {
			items, err := walk(s, g.Data)
			if err != nil || items != g.Items {
				t.Errorf("%s: a group of %d items counts %d: %v", s, items, g.Items, err)
			}
			got = append(got, otlptest.Flatten(t, s, g.Data)...)
		}
		want := otlptest.Flatten(t, s, data)
		slices.Sort(got)
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: the groups are not the whole: %s", s, diff)
		}
	}
}

func TestGroupByOneKeyIsTheRequest(t *testing.T) {
	for _, s := range flow.Signals() {
		data := otlptest.Request(t, s, 2, 3, 4, 50)
		groups, err := GroupBy(s, data, false, 1<<20, func(Item) (string, error) { return "x", nil })
		if err != nil || len(groups) != 1 {
			t.Fatalf("%s: %d groups, %v", s, len(groups), err)
		}
		if diff := cmp.Diff(otlptest.Flatten(t, s, data), otlptest.Flatten(t, s, groups[0].Data)); diff != "" {
			t.Errorf("%s: %s", s, diff)
		}
	}
}

func TestGroupByFailsWithItsKey(t *testing.T) {
	data := otlptest.Request(t, pipeline.SignalTraces, 1, 1, 1, 10)
	if _, err := GroupBy(pipeline.SignalTraces, data, false, 1<<20, func(Item) (string, error) { return "", errDepth }); !errors.Is(err, errDepth) {
		t.Errorf("got %v", err)
	}
}

// A resource of 100 KiB is in each of the groups.
func TestGroupsHaveAsManyBytesMoreThanTheirRequestAsAllowed(t *testing.T) {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("a", strings.Repeat("x", 100<<10))
	spans := rs.ScopeSpans().AppendEmpty().Spans()
	for i := range 50 {
		spans.AppendEmpty().SetTraceID(pcommon.TraceID{1, byte(i)})
	}
	data, err := pipeline.OTLP{}.With(pipeline.SignalTraces, pipeline.Decoded{Traces: td}).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	for room, fits := range map[int64]bool{50 * 100 << 10: true, 48 * 100 << 10: false, 0: false} {
		groups, err := GroupBy(pipeline.SignalTraces, data, false, room, Item.TraceID)
		if fits && (err != nil || len(groups) != 50) || !fits && !errors.Is(err, ErrTooLarge) {
			t.Errorf("%d bytes more: %d groups, %v", room, len(groups), err)
		}
	}
	one := func(Item) (string, error) { return "", nil }
	if _, err := GroupBy(pipeline.SignalTraces, data, false, 0, one); err != nil {
		t.Errorf("a single group repeats nothing: %v", err)
	}
}

func TestTraceIDMatchesTheItems(t *testing.T) {
	for _, s := range []pipeline.Signal{pipeline.SignalTraces, pipeline.SignalLogs} {
		id := "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10"
		text := `{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"0102030405060708090a0b0c0d0e0f10","spanId":"0102030405060708","name":"x"},{"name":"y"}]}]}]}`
		if s == pipeline.SignalLogs {
			text = `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"x"},"traceId":"0102030405060708090a0b0c0d0e0f10"},{"body":{"stringValue":"y"}}]}]}]}`
		}
		data, err := otlptest.JSON(t, s, text).Bytes()
		if err != nil {
			t.Fatal(err)
		}
		groups, err := GroupBy(s, data, false, 1<<20, Item.TraceID)
		if err != nil || len(groups) != 2 || groups[0].Key != id || groups[1].Key != "" {
			t.Errorf("%s: %+v, %v", s, groups, err)
		}
	}
}

// items calls f for each item of a request, as GroupBy has them.
func items(t *testing.T, s pipeline.Signal, points bool, text string, f func(Item) (string, error)) (got []string) {
	t.Helper()
	data, err := otlptest.JSON(t, s, text).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	_, err = GroupBy(s, data, points, 1<<20, func(i Item) (string, error) {
		value, err := f(i)
		got = append(got, value)
		return value, err
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestAttributesOfResourceScopeAndItemAreFound(t *testing.T) {
	const text = `{"resourceSpans":[
		{"resource":{"attributes":[{"key":"a","value":{"stringValue":"resource"}}]},"scopeSpans":[{"scope":{"attributes":[{"key":"a","value":{"stringValue":"scope"}}]},"spans":[{"name":"x"}]}]},
		{"scopeSpans":[{"scope":{"attributes":[{"key":"b","value":{"stringValue":"x"}},{"key":"a","value":{"stringValue":"scope"}}]},"spans":[{"attributes":[{"key":"a","value":{"stringValue":"span"}}]}]}]},
		{"scopeSpans":[{"spans":[{"attributes":[{"key":"a","value":{"stringValue":"span"}},{"key":"a","value":{"stringValue":"second"}}]},{"attributes":[{"key":"a","value":{"intValue":"3"}}]},{}]}]}]}`
	got := items(t, pipeline.SignalTraces, false, text, func(i Item) (string, error) { return i.Attribute("a") })
	if diff := cmp.Diff([]string{"resource", "scope", "span", "", ""}, got); diff != "" {
		t.Error(diff)
	}
}

func TestStreamIDsDifferInEachPartOfASeries(t *testing.T) {
	point := func(resource, scope, name, unit, kind, attributes string) string {
		return fmt.Sprintf(`{"resourceMetrics":[{"resource":{"attributes":[%s]},"scopeMetrics":[{"scope":{"name":"%s"},"metrics":[{"name":"%s","description":"of %d","unit":"%s",%s}]}]}]}`,
			resource, scope, name, len(attributes), unit, fmt.Sprintf(kind, attributes))
	}
	const (
		a      = `{"key":"a","value":{"stringValue":"x"}}`
		b      = `{"key":"b","value":{"intValue":"1"}}`
		gauge  = `"gauge":{"dataPoints":[{"asInt":"1","attributes":[%s]}]}`
		delta  = `"sum":{"aggregationTemporality":1,"dataPoints":[{"asInt":"1","attributes":[%s]}]}`
		total  = `"sum":{"aggregationTemporality":2,"dataPoints":[{"asInt":"1","attributes":[%s]}]}`
		bucket = `"histogram":{"dataPoints":[{"count":"1","attributes":[%s]}]}`
	)
	of := func(text string, f func(Item) (string, error)) string {
		return items(t, pipeline.SignalMetrics, true, text, f)[0]
	}
	all := map[string]string{}
	for _, text := range []string{
		point(a, "s", "m", "1", gauge, ``), point(b, "s", "m", "1", gauge, ``), point(a, "r", "m", "1", gauge, ``), point(a, "s", "n", "1", gauge, ``),
		point(a, "s", "m", "2", gauge, ``), point(a, "s", "m", "1", delta, ``), point(a, "s", "m", "1", total, ``), point(a, "s", "m", "1", bucket, ``),
		point(a, "s", "m", "1", gauge, b), point(a, "s", "m", "1", bucket, b), point("", "s", "m", "1", gauge, a),
	} {
		id := of(text, Item.StreamID)
		if other := all[id]; other != "" {
			t.Errorf("%s has the identity of %s", text, other)
		}
		all[id] = text
	}
	one, other := point(a+","+b, "s", "m", "1", gauge, a+","+b), point(b+","+a, "s", "m", "1", gauge, b+","+a)
	if of(one, Item.StreamID) != of(other, Item.StreamID) || of(one, Item.ResourceID) != of(other, Item.ResourceID) {
		t.Error("the order of attributes matters")
	}
	if of(one, Item.ResourceID) == of(point(a, "s", "m", "1", gauge, ``), Item.ResourceID) {
		t.Error("resources are not distinguished")
	}
	if got := of(one, Item.MetricName); got != "m" {
		t.Errorf("the name of a point's metric is %q", got)
	}
	if got := items(t, pipeline.SignalMetrics, false, one, Item.MetricName); got[0] != "m" {
		t.Errorf("the name of a metric is %q", got)
	}
}
