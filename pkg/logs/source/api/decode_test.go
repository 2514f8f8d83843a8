package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/grafana/loki/pkg/push"
	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/protobuf/encoding/protowire"

	"collector/pkg/listen"
	"collector/pkg/pipeline"
)

// decoding is a decoder of a source without rules and labels.
func decoding(t testing.TB) (*decoder, *listen.Claim) {
	budget := listen.NewBudget(64 << 20)
	claim := budget.Claim("client", nil)
	t.Cleanup(func() {
		claim.Release()
		if used := budget.Used(); used != 0 {
			t.Errorf("%d bytes are still claimed", used)
		}
	})
	d := new(decoder)
	d.begin(&Source{config: Config{UseIncomingTimestamp: true}}, claim, "")
	return d, claim
}

// read is what was decoded, in words.
func (d *decoder) read() (out []string) {
	for _, s := range d.streams {
		for _, e := range s.Entries {
			out = append(out, fmt.Sprintf("%s %d %q %s", s.Labels, e.Time.UnixNano(), e.Line, e.Metadata))
		}
	}
	return out
}

// asJSON is what was decoded as a push in JSON.
func (d *decoder) asJSON(t testing.TB) []byte {
	streams := []any{}
	for _, s := range d.streams {
		values := []any{}
		for _, e := range s.Entries {
			values = append(values, []any{strconv.FormatInt(e.Time.UnixNano(), 10), e.Line, e.Metadata.Map()})
		}
		streams = append(streams, map[string]any{"values": values, "stream": s.Labels.Map()})
	}
	body, err := json.Marshal(map[string]any{"streams": streams})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// FuzzJSON checks that what is accepted is valid JSON, in whichever pieces it
// comes, and that what was read of it is read again when it is written again.
func FuzzJSON(f *testing.F) {
	for _, body := range []string{
		one(`{"a":"b"}`, "x"), `{}`, `null`, `{"streams":null}`, `{"streams":[{"values":[["1","\u00e9\n",{"k":"v"},[{}]]],"more":[1,{}],"stream":{"a":"b","a":"c"}}]}`,
		`{"streams":[]}{"Streams":[{"stream":{"z":"1"},"values":[["-5",""],["9223372036854775807","y"]]}]}`, `{"streams":[{"stream":{}}]}`, `{"streams":[[`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		d, _ := decoding(t)
		err := d.json(bytes.NewReader(body))
		pieces, _ := decoding(t)
		if again := pieces.json(iotest.OneByteReader(bytes.NewReader(body))); fmt.Sprint(again) != fmt.Sprint(err) {
			t.Fatalf("in pieces: %v, at once: %v", again, err)
		}
		if err != nil {
			return
		}
		for decoder := json.NewDecoder(bytes.NewReader(bytes.ReplaceAll(body, []byte("\xef\xbb\xbf"), nil))); decoder.More(); {
			var v any
			if err := decoder.Decode(&v); err != nil {
				t.Fatalf("%q is accepted: %v", body, err)
			}
		}
		if diff := cmp.Diff(d.read(), pieces.read()); diff != "" {
			t.Fatal(diff)
		}
		if strings.ToValidUTF8(fmt.Sprint(d.streams), "") != fmt.Sprint(d.streams) {
			return // JSON cannot hold it
		}
		fresh, _ := decoding(t)
		if err := fresh.json(bytes.NewReader(d.asJSON(t))); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(d.read(), fresh.read()); diff != "" {
			t.Errorf("%s\n%s\n%s", body, d.asJSON(t), diff)
		}
	})
}

// FuzzProtobuf compares with Loki's own types what is read.
func FuzzProtobuf(f *testing.F) {
	for _, request := range []push.PushRequest{
		{},
		{Streams: []push.Stream{{Labels: `{a="b"}`, Hash: 5, Entries: []push.Entry{
			{Timestamp: at(1, 2), Line: "x", StructuredMetadata: push.LabelsAdapter{{Name: "k", Value: "v"}, {Name: "", Value: ""}}, Parsed: push.LabelsAdapter{{Name: "p"}}},
			{Timestamp: at(-5, 0), Line: "\xff"},
		}}, {Labels: `{}`}}},
	} {
		data, err := request.Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d, _ := decoding(t)
		err := d.protobuf(data)
		var want push.PushRequest
		if want.Unmarshal(data) != nil || !wellFormed(data, fieldStreams, fieldEntries, fieldTimestamp) || !wellFormed(data, fieldStreams, fieldEntries, fieldMetadata) {
			return // it knows more fields, and takes what no other library takes as unknown fields
		}
		reference, _ := decoding(t)
		var wrong error
		for _, s := range want.Streams {
			var entries []pipeline.Entry
			for _, e := range s.Entries {
				reference.pairs = nil
				for _, l := range e.StructuredMetadata {
					reference.pairs = append(reference.pairs, labels.Label(l))
				}
				entry := pipeline.Entry{Time: e.Timestamp, Line: e.Line, Metadata: reference.metadata()}
				if e.Timestamp.IsZero() {
					return // it is now, then
				}
				entries, _ = reference.append(entries, entry)
			}
			if reference.pairs, wrong = parseLabels(s.Labels, nil); wrong != nil {
				break
			}
			if err := reference.stream(entries); err != nil {
				t.Fatal(err)
			}
		}
		if (wrong == nil) != (err == nil) {
			t.Fatalf("got %v, Loki's types %v", err, wrong)
		}
		if wrong != nil {
			return
		}
		if diff := cmp.Diff(reference.read(), d.read()); diff != "" {
			t.Error(diff)
		}
	})
}

// wellFormed reports whether data is protobuf, with what is in a push by its
// fields' numbers: streams, entries, and times or metadata.
func wellFormed(data []byte, messages ...protowire.Number) bool {
	for len(data) > 0 {
		n, kind, size := protowire.ConsumeField(data)
		if size < 0 {
			return false
		}
		if len(messages) > 0 && n == messages[0] && kind == protowire.BytesType {
			_, _, tag := protowire.ConsumeTag(data)
			content, _ := protowire.ConsumeBytes(data[tag:])
			if !wellFormed(content, messages[1:]...) {
				return false
			}
		}
		data = data[size:]
	}
	return true
}

// FuzzRaw compares with the simple way to split a text.
func FuzzRaw(f *testing.F) {
	f.Add([]byte("a\n\r\nb\r\nc\rd\n\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		d, _ := decoding(t)
		if err := d.raw(iotest.HalfReader(bytes.NewReader(text))); err != nil {
			t.Fatal(err)
		}
		var want, got []string
		for line := range strings.SplitSeq(string(text), "\n") {
			if line = strings.TrimRight(line, "\r\n"); line != "" {
				want = append(want, line)
			}
		}
		for _, s := range d.streams {
			for _, e := range s.Entries {
				got = append(got, e.Line)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

// FuzzLabels checks that labels are read as they are written.
func FuzzLabels(f *testing.F) {
	f.Add("a", "b\"\\\n", "größe", "'`")
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2 string) {
		want := labels.FromMap(map[string]string{name1: value1, name2: value2})
		if name1 == "" || name2 == "" || strings.ToValidUTF8(name1+name2+value1+value2, "") != name1+name2+value1+value2 {
			return
		}
		for _, text := range []string{want.String(), strings.ReplaceAll(want.String(), ", ", " ,\n# comment\n") + " "} {
			if strings.Contains(name1+name2+value1+value2, ", ") {
				text = want.String()
			}
			pairs, err := parseLabels(text, nil)
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			got := labels.New(distinct(pairs)...)
			if !labels.Equal(got, want) {
				t.Errorf("%s was read as %s", text, got)
			}
		}
	})
}

func TestLabelsInEveryForm(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                             `{}`,
		` { a = "b" , } `:                `{a="b"}`,
		`up{a='it\'s "b"', c=` + "`\\`}": `{__name__="up", a="it's \"b\"", c="\\"}`,
		`{"up", "x-y"="é\u00e9\x41"}`:    `{__name__="up", "x-y"="ééA"}`,
		`{a="1", a="2"}`:                 `{a="2"}`,
		"{a=\"b\"} # end":                `{a="b"}`,
	} {
		pairs, err := parseLabels(text, nil)
		if got := labels.New(distinct(pairs)...).String(); err != nil || got != want {
			t.Errorf("%s was read as %s, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{``, `{`, `a`, `{a}`, `{a=}`, `{a=b}`, `{a="b}`, `{a="b\q"}`, `{a="b"}x`, `{1a="b"}`, `{a-b="c"}`, `{a="b" c="d"}`, "{a=\"b\nc\"}", `{,}`, "{a=\"b\"\x00}", `{a=~"b"}`, "\x00{}"} {
		if pairs, err := parseLabels(text, nil); err == nil {
			t.Errorf("%q was read as %v", text, pairs)
		}
	}
}

func TestWhatDecodingMakesIsClaimed(t *testing.T) {
	for name, decode := range map[string]func(*decoder) error{
		"raw":         func(d *decoder) error { return d.raw(strings.NewReader(strings.Repeat("x\n", 1<<20))) },
		"a long line": func(d *decoder) error { return d.raw(strings.NewReader(strings.Repeat("x", 16<<20))) },
		"entries": func(d *decoder) error {
			return d.json(strings.NewReader(`{"streams":[{"stream":{"a":"b"},"values":[` + strings.Repeat(`["1",""],`, 1<<20)))
		},
		"streams": func(d *decoder) error {
			return d.json(strings.NewReader(`{"streams":[` + strings.Repeat(`{"stream":{"a":"b"},"values":[["1",""]]},`, 1<<18)))
		},
		"labels": func(d *decoder) error {
			return d.json(strings.NewReader(`{"streams":[{"stream":{` + strings.Repeat(`"a":"",`, 1<<20)))
		},
		"in protobuf": func(d *decoder) error {
			return d.protobuf(bytes.Repeat([]byte{10, 13, 10, 7, '{', 'a', '=', '"', 'b', '"', '}', 18, 2, 18, 0}, 1<<20))
		},
		"metadata": func(d *decoder) error { return d.protobuf(nested(1, nested(2, bytes.Repeat([]byte{26, 0}, 1<<20)))) },
		"a large value": func(d *decoder) error {
			return d.json(strings.NewReader(`{"streams":[{"stream":{"a":"` + strings.Repeat("x", 16<<20)))
		},
	} {
		budget := listen.NewBudget(4 << 20)
		claim := budget.Claim("client", nil)
		d := new(decoder)
		d.begin(&Source{}, claim, "")
		if err := decode(d); err == nil || !strings.Contains(err.Error(), listen.ErrTooLarge.Error()) {
			t.Errorf("%s: got %v, want %v", name, err, listen.ErrTooLarge)
		}
		claim.Release()
	}
}

// nested is a field of protobuf.
func nested(number byte, content []byte) []byte {
	out := []byte{number<<3 | 2}
	for n := len(content); ; n >>= 7 {
		if n < 0x80 {
			return append(append(out, byte(n)), content...)
		}
		out = append(out, byte(n)|0x80)
	}
}

func BenchmarkJSON(b *testing.B) {
	var body strings.Builder
	body.WriteString(`{"streams":[{"stream":{"job":"shop","level":"info"},"values":[`)
	for i := range 1000 {
		if i > 0 {
			body.WriteString(",")
		}
		fmt.Fprintf(&body, `["%d","%s"]`, 1700000000000000000+i, strings.Repeat("x", 100))
	}
	body.WriteString(`]}]}`)
	benchmark(b, func(d *decoder) error { return d.json(strings.NewReader(body.String())) })
}

func BenchmarkProtobuf(b *testing.B) {
	request := push.PushRequest{Streams: []push.Stream{{Labels: `{job="shop", level="info"}`}}}
	for i := range 1000 {
		request.Streams[0].Entries = append(request.Streams[0].Entries, push.Entry{Timestamp: at(1700000000, int64(i)), Line: strings.Repeat("x", 100)})
	}
	data, err := request.Marshal()
	if err != nil {
		b.Fatal(err)
	}
	benchmark(b, func(d *decoder) error { return d.protobuf(data) })
}

func benchmark(b *testing.B, decode func(*decoder) error) {
	claim := listen.NewBudget(64<<20).Claim("client", nil)
	s, d := &Source{config: Config{UseIncomingTimestamp: true}}, new(decoder)
	b.ReportAllocs()
	for b.Loop() {
		d.begin(s, claim, "")
		if err := decode(d); err != nil {
			b.Fatal(err)
		}
		d.end()
		claim.Release()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*1000), "ns/entry")
}
