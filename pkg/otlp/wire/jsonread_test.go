package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"collector/pkg/jsonscan"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/pipeline"
)

// readJSON turns JSON into a request in protobuf.
func readJSON(s pipeline.Signal, body []byte) ([]byte, Unheld, error) {
	h := holding(20<<20, 1<<40, 0)
	var d JSONReader
	lost, err := d.Read(s, bytes.NewReader(body), h)
	return h.b, lost, err
}

// fromJSON is readJSON where nothing can be lost.
func fromJSON(s pipeline.Signal, body []byte) ([]byte, error) {
	b, _, err := readJSON(s, body)
	return b, err
}

// canonical is a request in protobuf as the library encodes it.
func canonical(t *testing.T, s pipeline.Signal, data []byte) []byte {
	t.Helper()
	_, b, err := library(s, data)
	if err != nil {
		t.Fatalf("the library cannot read %x: %v", data, err)
	}
	return b
}

// FuzzJSON: what the library can read, the receiver reads, and as the library
// does; what comes out is no larger than what went in by more than a number may
// be that was one digit.
func FuzzJSON(f *testing.F) {
	for i, s := range flow.Signals() {
		whole, err := ToJSON(s, otlptest.Request(f, s, 1, 1, 1, 3))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(byte(i), whole)
		for n := 1; n < len(whole); n += 40 {
			f.Add(byte(i), whole[:n])
		}
		for _, change := range []struct{ from, to string }{
			{`"stringValue"`, `"string_value"`}, {`"1700000000000000000"`, `17e17`}, {`"1"`, `1.0`}, {`"`, `"\ud83d\ude00`},
			{`"intValue"`, `"doubleValue"`}, {`{`, `{"unknown":[{"a":[1,true,null,"x"]}],`}, {`"AAEC"`, `"AA"`}, {"2", "SPAN_KIND_SERVER"},
		} {
			f.Add(byte(i), bytes.ReplaceAll(whole, []byte(change.from), []byte(change.to)))
		}
	}
	f.Add(byte(0), []byte(`{"resourceSpans":[{"deprecatedScopeSpans":[{"spans":[{"kind":2,"kind":0,"name":"a","name":"b"}]}]}]}`))
	f.Fuzz(func(t *testing.T, which byte, body []byte) {
		s := flow.Signals()[int(which)%3]
		got, lost, err := readJSON(s, body)
		if len(got) > 16*len(body)+16 {
			t.Fatalf("%d bytes became %d", len(body), len(got))
		}
		if err == nil {
			canonical(t, s, got)
		}
		// The library takes an empty name for the end of an object, and strings
		// that are no text; null differs on purpose.
		if !json.Valid(body) || !utf8.Valid(body) || bytes.Contains(body, []byte("null")) || bytes.Contains(body, []byte(`""`)) {
			return
		}
		r := newRequest(s)
		if libErr := r.UnmarshalJSON(body); libErr != nil {
			return
		}
		want, libErr := r.MarshalProto()
		if libErr != nil {
			t.Fatal(libErr)
		}
		if errors.Is(err, errDepth) || errors.Is(err, jsonscan.ErrLongToken) {
			return
		}
		if err != nil || lost.Values > 0 {
			t.Fatalf("the library reads what the receiver does not: %v, %+v", err, lost)
		}
		if diff := cmp.Diff(canonical(t, s, want), canonical(t, s, got)); diff != "" {
			t.Fatalf("library -, receiver +: %s", diff)
		}
	})
}

// span is a request in JSON of one span with these fields.
func spanJSON(fields string) string {
	return `{"resourceSpans":[{"scopeSpans":[{"spans":[{` + fields + `}]}]}]}`
}

func pointJSON(kind, fields string) string {
	return `{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","` + kind + `":{"dataPoints":[{` + fields + `}]}}]}]}]}`
}

// same checks that two documents are one request.
func same(t *testing.T, s pipeline.Signal, want, body string) Unheld {
	t.Helper()
	wanted, _, err := readJSON(s, []byte(want))
	if err != nil {
		t.Fatalf("%s: %v", want, err)
	}
	got, lost, err := readJSON(s, []byte(body))
	if err != nil {
		t.Errorf("%s: %v", body, err)
		return lost
	}
	if diff := cmp.Diff(string(canonical(t, s, wanted)), string(canonical(t, s, got))); diff != "" {
		t.Errorf("%s is not read as %s: %s", body, want, diff)
	}
	return lost
}

func TestJSONNullIsUnset(t *testing.T) {
	for body, want := range map[string]string{
		spanJSON(`"name":null,"traceId":null,"kind":null,"startTimeUnixNano":null,"attributes":null,"events":null,"status":null,"flags":null`):      spanJSON(``),
		spanJSON(`"attributes":[{"key":"a","value":{"doubleValue":null}},{"key":"b","value":{"intValue":null}},{"key":null,"value":null}]`):         spanJSON(`"attributes":[{"key":"a","value":{}},{"key":"b","value":{}},{}]`),
		spanJSON(`"attributes":[{"key":"a","value":{"stringValue":null,"boolValue":null,"arrayValue":null,"kvlistValue":null,"bytesValue":null}}]`): spanJSON(`"attributes":[{"key":"a","value":{}}]`),
		spanJSON(`"attributes":[{"key":"a","value":{"arrayValue":{"values":[null,{"intValue":1}]}}}]`):                                              spanJSON(`"attributes":[{"key":"a","value":{"arrayValue":{"values":[{},{"intValue":1}]}}}]`),
		`{"resourceSpans":null}`: `{}`, `null`: `{}`,
		`{"resourceSpans":[{"resource":null,"schemaUrl":null,"scopeSpans":null}]}`: `{"resourceSpans":[{}]}`,
	} {
		if lost := same(t, pipeline.SignalTraces, want, body); lost.Values != 0 {
			t.Errorf("%s: %+v", body, lost)
		}
	}
	metric := pointJSON("gauge", `"asDouble":null,"timeUnixNano":"1"`)
	if lost := same(t, pipeline.SignalMetrics, pointJSON("gauge", `"timeUnixNano":1`), metric); lost.Values != 0 {
		t.Errorf("%s: %+v", metric, lost)
	}
}

func TestJSONNumbersAreAcceptedInAnyForm(t *testing.T) {
	value := func(field, v string) string {
		return spanJSON(`"attributes":[{"key":"a","value":{"` + field + `":` + v + `}}]`)
	}
	forms := map[string][]string{
		`"5"`:                    {`5`, `5.0`, `5.000`, `0.5e1`, `50e-1`, `5e0`, `5E+00`, `"5.0"`, `"5e0"`, `"+5"`, `"005"`},
		`"-9223372036854775808"`: {`-9223372036854775808`, `-9223372036854775808.0`, `-9.223372036854775808e18`, `"-9223372036854775808"`},
		`"9223372036854775807"`:  {`9223372036854775807`, `9223372036854775807.0e0`, `0.9223372036854775807E+19`},
		`"0"`:                    {`0`, `-0`, `0.0`, `0e999999999999999999999`, `"0"`, `0e-5`},
		`"1000000"`:              {`1e6`, `1E6`, `10e5`, `"1e6"`},
	}
	for want, list := range forms {
		for _, form := range list {
			if lost := same(t, pipeline.SignalTraces, value("intValue", want), value("intValue", form)); lost.Values != 0 {
				t.Errorf("%s: %+v", form, lost)
			}
		}
	}
	for want, list := range map[string][]string{
		`1e21`: {`1000000000000000000000`, `"1e21"`, `1E+21`}, `0.25`: {`2.5e-1`, `"0.25"`}, `5`: {`5.0`, `"5"`},
	} {
		for _, form := range list {
			same(t, pipeline.SignalTraces, value("doubleValue", want), value("doubleValue", form))
		}
	}
	same(t, pipeline.SignalTraces, spanJSON(`"startTimeUnixNano":"18446744073709551615"`), spanJSON(`"startTimeUnixNano":18446744073709551615.0`))
	same(t, pipeline.SignalTraces, spanJSON(`"kind":3,"flags":4294967295`), spanJSON(`"kind":"SPAN_KIND_CLIENT","flags":"4294967295"`))
	same(t, pipeline.SignalMetrics, pointJSON("exponentialHistogram", `"scale":-3,"positive":{"offset":-7,"bucketCounts":["1",2]}`),
		pointJSON("exponentialHistogram", `"scale":"-3.0","positive":{"offset":-0.7e1,"bucket_counts":[1e0,"2.0"]}`))
}

func TestJSONHasNaNAndInfinitiesAsInProtobufsMapping(t *testing.T) {
	data, _, err := readJSON(pipeline.SignalMetrics, []byte(pointJSON("histogram", `"sum":"NaN","min":"-Infinity","max":"Infinity","bucketCounts":[1,2],"explicitBounds":["Infinity"]`)))
	if err != nil {
		t.Fatal(err)
	}
	r := pmetricotlp.NewExportRequest()
	if err := r.UnmarshalProto(data); err != nil {
		t.Fatal(err)
	}
	p := r.Metrics().ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Histogram().DataPoints().At(0)
	if got := fmt.Sprint(p.Sum(), p.Min(), p.Max(), p.ExplicitBounds().AsRaw()); got != "NaN -Inf +Inf [+Inf]" {
		t.Error(got)
	}
}

func TestAJSONValueThatCannotBeHeldAffectsNoOther(t *testing.T) {
	rest := `"name":"kept","attributes":[{"key":"a","value":{%s}},{"key":"b","value":{"intValue":7}}]`
	for _, v := range []string{
		`"intValue":1e21`, `"intValue":1.5`, `"intValue":9223372036854775808`, `"intValue":-9223372036854775809`, `"intValue":"1e400000000000"`,
		`"intValue":"NaN"`, `"doubleValue":1e400`, `"doubleValue":"-1e400"`, `"intValue":0.` + strings.Repeat("0", 300) + `1`,
	} {
		lost := same(t, pipeline.SignalTraces, spanJSON(fmt.Sprintf(rest, "")), spanJSON(fmt.Sprintf(rest, v)))
		if lost.Values != 1 || lost.Items != 0 || !strings.Contains(lost.First, "Value ") {
			t.Errorf("%s: %+v", v, lost)
		}
	}
	for _, v := range []string{`"startTimeUnixNano":-1`, `"startTimeUnixNano":1.5`, `"flags":4294967296`, `"kind":"SPAN_KIND_OF_TOMORROW"`, `"kind":3e9`, `"droppedEventsCount":-3`} {
		if lost := same(t, pipeline.SignalTraces, spanJSON(`"name":"x"`), spanJSON(`"name":"x",`+v)); lost.Values != 1 {
			t.Errorf("%s: %+v", v, lost)
		}
	}
	// A list without one of its values says something else: its data point is dropped.
	for _, kind := range []string{"histogram", "exponentialHistogram"} {
		good, bad := `"count":3,"bucketCounts":[1,2],"explicitBounds":[1]`, `"count":4,"bucketCounts":[1,2,1],"explicitBounds":[1,null]`
		if kind == "exponentialHistogram" {
			good, bad = `"count":3,"positive":{"bucketCounts":[1,2]}`, `"count":4,"positive":{"bucketCounts":[1,-2]}`
		}
		if lost := same(t, pipeline.SignalMetrics, pointJSON(kind, good), pointJSON(kind, bad+`},{`+good)); lost.Values != 1 || lost.Items != 1 {
			t.Errorf("%s: %+v", kind, lost)
		}
	}
}

func TestJSONOfOtherTypesIsRejected(t *testing.T) {
	for _, body := range []string{
		``, ` `, `{`, `[]`, `"x"`, `5`, `{}x`, `{"resourceSpans":{}}`, `{"resourceSpans":[{}`, `{"resourceSpans":[{},]}`, `{"resourceSpans":[{}]`, `{"resourceSpans"}`,
		spanJSON(`"name":5`), spanJSON(`"traceId":"zz"`), spanJSON(`"traceId":"` + strings.Repeat("z", 32) + `"`), spanJSON(`"status":[]`), spanJSON(`"flags":"x"`), spanJSON(`"flags":""`),
		spanJSON(`"flags":true`), spanJSON(`"flags":01`), spanJSON(`"flags":+1`), spanJSON(`"flags":1.`), spanJSON(`"flags":.1`), spanJSON(`"flags":1e`), spanJSON(`"flags":-`),
		spanJSON(`"attributes":[{"value":{"boolValue":"true"}}]`), spanJSON(`"attributes":[{"value":{"bytesValue":"!"}}]`), spanJSON(`"attributes":[{"value":{"bytesValue":"AA==="}}]`),
		spanJSON(`"name":"` + "\n" + `"`), spanJSON(`"name":"\x"`), spanJSON(`"name":"\u12"`), spanJSON(`"name":nul`), `{"unknown":[}`, `{"unknown":{1:2}}`, `{"unknown":tru}`,
		"\x00", "{}\x00", "\xef\xbb", "\xef\xbbx{}", `{"` + strings.Repeat("x", jsonscan.MaxToken+1) + `":1}`, strings.Repeat("[", 1<<20), strings.Repeat(`{"unknown":`, 1<<20),
	} {
		if _, _, err := readJSON(pipeline.SignalTraces, []byte(body)); err == nil || !utf8.ValidString(err.Error()) || len(err.Error()) > 500 {
			t.Errorf("%.60q: %v", body, err)
		}
	}
}

func TestJSONStringsAreText(t *testing.T) {
	for in, want := range map[string]string{
		`a\"\\\/\b\f\n\r\tz`: "a\"\\/\b\f\n\r\tz", `\u00e9\uD83D\uDE00`: "é😀", `\ud800`: "\uFFFD", `\ud800x`: "\uFFFDx", `\udc00\ud800`: "\uFFFD\uFFFD",
		`\ud800\ud83d\ude00`: "\uFFFD😀", `\ud800\u0041`: "\uFFFDA", `\u0000`: "\x00", "caf\xe9 \xff\xfe!": "caf\uFFFD \uFFFD\uFFFD!", strings.Repeat("é", 50_000): strings.Repeat("é", 50_000),
	} {
		data, _, err := readJSON(pipeline.SignalTraces, []byte(spanJSON(`"name":"`+in+`"`)))
		if err != nil {
			t.Errorf("%q: %v", in, err)
			continue
		}
		r := ptraceotlp.NewExportRequest()
		if err := r.UnmarshalProto(data); err != nil {
			t.Fatal(err)
		}
		if got := r.Traces().ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Name(); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func TestJSONIsReadInPieces(t *testing.T) {
	for _, s := range flow.Signals() {
		body, err := ToJSON(s, otlptest.Request(t, s, 2, 1, 30, 900))
		if err != nil {
			t.Fatal(err)
		}
		want, _, err := readJSON(s, body)
		if err != nil {
			t.Fatal(err)
		}
		h := holding(1<<30, 1<<30, 0)
		var d JSONReader
		if _, err := d.Read(s, iotest.OneByteReader(bytes.NewReader(body)), h); err != nil || !bytes.Equal(h.b, want) {
			t.Errorf("%s: other bytes when they come one by one: %v", s, err)
		}
		if diff := cmp.Diff(otlptest.Flatten(t, s, otlptest.Request(t, s, 2, 1, 30, 900)), otlptest.Flatten(t, s, want)); diff != "" {
			t.Errorf("%s: %s", s, diff)
		}
	}
}

func TestJSONBase64OfAnyKind(t *testing.T) {
	for _, text := range []string{"+/+/AA==", "-_-_AA==", "-_-_AA", `+\/+\/AA`, `+/+/\r\nAA==`} {
		data, _, err := readJSON(pipeline.SignalTraces, []byte(spanJSON(`"attributes":[{"key":"a","value":{"bytesValue":"`+text+`"}}]`)))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		r := ptraceotlp.NewExportRequest()
		if err := r.UnmarshalProto(data); err != nil {
			t.Fatal(err)
		}
		v, _ := r.Traces().ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes().Get("a")
		if v.Type() != pcommon.ValueTypeBytes || !bytes.Equal(v.Bytes().AsRaw(), []byte{0xfb, 0xff, 0xbf, 0}) {
			t.Errorf("%s became %v", text, v.AsRaw())
		}
	}
}

// TestJSONMakesNoMoreOfARequestThanItClaims: bodies that cost a decoder that builds a
// tree a hundred times their size.
func TestJSONMakesNoMoreOfARequestThanItClaims(t *testing.T) {
	const size = 20 << 20
	fill := func(begin, element string) []byte {
		return append([]byte(begin), bytes.Repeat([]byte(element), (size-len(begin))/len(element))...)
	}
	for name, body := range map[string][]byte{
		"empty objects":     fill(`{"resourceMetrics":[`, `{},`),
		"empty attributes":  fill(`{"resourceMetrics":[{"resource":{"attributes":[`, `{},`),
		"empty points":      fill(`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"gauge":{"dataPoints":[`, `{},`),
		"numbers":           fill(`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"histogram":{"dataPoints":[{"bucketCounts":[`, `0,`),
		"arrays":            fill(``, `[`),
		"nested arrays":     fill(`{"x":`, `[[],`),
		"nested values":     fill(`{"resourceMetrics":[{"resource":{"attributes":[{"value":`, `{"arrayValue":{"values":[`),
		"unknown fields":    fill(`{`, `"":0,`),
		"escapes":           fill(`{"resourceMetrics":[{"schemaUrl":"`, `\u0000`),
		"no text":           fill(`{"resourceMetrics":[{"schemaUrl":"`, "\xff"),
		"many documents":    fill(``, `{}`),
		"name without end":  fill(`{"`, `x`),
		"digits":            fill(`{"x":`, `1`),
		"white space":       fill(``, ` `),
		"unset list values": fill(`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"histogram":{"dataPoints":[{"explicitBounds":[`, `null,`),
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			h := holding(size, 1<<40, 0)
			d := new(JSONReader)
			runtime.ReadMemStats(&before)
			_, err := d.Read(pipeline.SignalMetrics, bytes.NewReader(body), h)
			runtime.ReadMemStats(&after)
			if err == nil {
				t.Error("it was taken")
			}
			// A buffer that grows leaves behind what it was before.
			if made := after.TotalAlloc - before.TotalAlloc; made > 3*uint64(cap(h.b))+1<<20 {
				t.Errorf("%d bytes were made, and %d claimed, before %v", made, cap(h.b), err)
			}
		})
	}
}
