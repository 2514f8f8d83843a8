package wire

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

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
		groups, err := GroupBy(s, data, points, func(Item) (string, error) {
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
		groups, err := GroupBy(s, data, false, func(Item) (string, error) { return "x", nil })
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
	if _, err := GroupBy(pipeline.SignalTraces, data, false, func(Item) (string, error) { return "", errDepth }); !errors.Is(err, errDepth) {
		t.Errorf("got %v", err)
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
		groups, err := GroupBy(s, data, false, Item.TraceID)
		if err != nil || len(groups) != 2 || groups[0].Key != id || groups[1].Key != "" {
			t.Errorf("%s: %+v, %v", s, groups, err)
		}
	}
}
