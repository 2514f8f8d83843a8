package profiles

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
	pushv1 "github.com/grafana/pyroscope/api/gen/proto/go/push/v1"
	typesv1 "github.com/grafana/pyroscope/api/gen/proto/go/types/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
)

// series makes a series of labels given as names and values.
func series(samples []string, labels ...string) *pushv1.RawProfileSeries {
	s := &pushv1.RawProfileSeries{}
	for i := 0; i < len(labels); i += 2 {
		s.Labels = append(s.Labels, &typesv1.LabelPair{Name: labels[i], Value: labels[i+1]})
	}
	for _, sample := range samples {
		s.Samples = append(s.Samples, &pushv1.RawSample{RawProfile: []byte(sample), ID: idOf(sample)})
	}
	return s
}

// idOf is the id of a sample, which has to be text.
func idOf(sample string) string { return fmt.Sprintf("id-%08x", crc32.ChecksumIEEE([]byte(sample))) }

func marshal(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func pushOf(series ...*pushv1.RawProfileSeries) *pushv1.PushRequest {
	return &pushv1.PushRequest{Series: series}
}

func rewritePush(body []byte, external map[string]string) ([]byte, error) {
	return changePush(body, delivered(false, external))
}

func rewriteSeries(pairs []labelPair, external map[string]string) (labelSet, error) {
	return delivered(false, external)(setOf(pairs))
}

func TestRewritePush(t *testing.T) {
	f := func(in, want *pushv1.PushRequest, external map[string]string) {
		t.Helper()
		body, err := rewritePush(marshal(t, in), external)
		if err != nil {
			t.Errorf("rewritePush: %v", err)
			return
		}
		got := &pushv1.PushRequest{}
		if err := proto.Unmarshal(body, got); err != nil {
			t.Errorf("rewritePush: %v", err)
		}
		if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
			t.Errorf("rewritePush: %s", diff)
		}
	}
	// The profile's name replaces a missing service name.
	f(pushOf(series([]string{"p"}, "__name__", "cpu")),
		pushOf(series([]string{"p"}, "__name__", "cpu", "service_name", "cpu")), nil)
	// A service name stays, and the profile's name becomes app_name.
	f(pushOf(series([]string{"p", "q"}, "service_name", "svc", "__name__", "cpu", "__delta__", "false")),
		pushOf(series([]string{"p", "q"}, "__delta__", "false", "__name__", "cpu", "app_name", "cpu", "service_name", "svc")), nil)
	// Reserved and empty labels are removed, and the last of equal labels wins.
	f(pushOf(series([]string{"p"}, "service_name", "a", "__session_id__", "1", "x", "1", "x", "2", "e", "", "service_name", "b")),
		pushOf(series([]string{"p"}, "service_name", "b", "x", "2")), nil)
	// External labels replace, an empty one removes; each series gets them.
	f(pushOf(series([]string{"p"}, "service_name", "a", "r", "1"), series([]string{"q"}, "service_name", "b", "old", "1")),
		pushOf(series([]string{"p"}, "host", "h", "r", "2", "service_name", "a"), series([]string{"q"}, "host", "h", "r", "2", "service_name", "b")),
		map[string]string{"host": "h", "r": "2", "old": ""})
}

func TestRewritePushLeavesBytesAloneThatNeedNothing(t *testing.T) {
	body := marshal(t, pushOf(series([]string{"p"}, "z", "1", "service_name", "a", "b", "2")))
	// A field that this version of the protocol does not know, where encoding
	// again would not put it.
	unknown := protowire.AppendVarint(protowire.AppendTag(nil, 99, protowire.VarintType), 7)
	body = append(bytes.Clone(unknown), body...)
	got, err := rewritePush(body, map[string]string{"b": "2"})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, body) {
		t.Errorf("the bytes changed: %x, want %x", got, body)
	}
	got, err = rewritePush(body, map[string]string{"b": "3"})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasSuffix(got, unknown) {
		t.Errorf("the unknown field was lost: %x", got)
	}
}

func TestRewritePushRejectsWhatPyroscopeWould(t *testing.T) {
	for name, request := range map[string]*pushv1.PushRequest{
		"no labels":      pushOf(series([]string{"p"})),
		"reserved rune":  pushOf(series([]string{"p"}, "service_name", "a", "a-b", "1")),
		"nameless label": pushOf(series([]string{"p"}, "service_name", "a", "", "1")),
	} {
		if _, err := rewritePush(marshal(t, request), nil); err == nil {
			t.Errorf("%s: want an error", name)
		}
	}
	if _, err := rewritePush([]byte("\x0a\xffgarbage"), nil); !errors.Is(err, errMalformed) {
		t.Errorf("garbage: got %v", err)
	}
}

func TestSplitPushKeepsEverythingInOrder(t *testing.T) {
	request := pushOf(series([]string{"1", "2", "3"}, "service_name", "a"), series([]string{"4"}, "service_name", "b"), series([]string{"5", "6", "7"}, "service_name", "c"))
	var split func(body []byte) []string
	split = func(body []byte) []string {
		first, second, n := splitPush(body)
		if n == 0 {
			m := &pushv1.PushRequest{}
			if err := proto.Unmarshal(body, m); err != nil {
				t.Fatal(err)
			}
			if len(m.Series) != 1 || len(m.Series[0].Samples) != 1 {
				t.Fatalf("not cut to one profile: %v", m)
			}
			return []string{fmt.Sprintf("%s%s", m.Series[0].Labels[0].Value, m.Series[0].Samples[0].RawProfile)}
		}
		return append(split(first), split(second)...)
	}
	want := []string{"a1", "a2", "a3", "b4", "c5", "c6", "c7"}
	if diff := cmp.Diff(want, split(marshal(t, request))); diff != "" {
		t.Error(diff)
	}
}

func FuzzPush(f *testing.F) {
	f.Add(marshal(f, pushOf(series([]string{"p", "q"}, "__name__", "cpu"), series([]string{"r"}, "service_name", "s", "x", "1", "x", "2"))), "ext", "1")
	f.Add(marshal(f, pushOf(series([]string{"p"}, "service_name", "s"))), "service_name", "t")
	f.Add([]byte("\x0a\x02\x0a\x00\x98\x06\x07"), "a", "")
	f.Fuzz(func(t *testing.T, body []byte, name, value string) {
		if (&WriteConfig{ExternalLabels: map[string]string{name: value}}).Validate() != nil {
			return
		}
		original := &pushv1.PushRequest{}
		unmarshalErr := proto.Unmarshal(body, original)
		before, err := countPush(body)
		if err != nil {
			return
		}
		// Rewriting is stable and loses no profile.
		external := map[string]string{name: value}
		once, err := rewritePush(body, external)
		if err != nil {
			return
		}
		after, err := countPush(once)
		if err != nil || after != before {
			t.Fatalf("rewritePush(%x) = %x: %d profiles of %d, %v", body, once, after, before, err)
		}
		// Nothing but labels changes, if the library can read it at all.
		got := &pushv1.PushRequest{}
		if err := proto.Unmarshal(once, got); unmarshalErr == nil && err != nil {
			t.Fatalf("rewritePush(%x) = %x: %v", body, once, err)
		}
		for i, series := range got.Series {
			pairs := pairsOf(series)
			if !isSet(pairs, toSet(pairs)) {
				t.Fatalf("rewritePush(%x) has a label twice: %v", body, pairs)
			}
			if unmarshalErr == nil {
				want, err := rewriteSeries(pairsOf(original.Series[i]), external)
				if err != nil || !isSet(pairs, want) {
					t.Fatalf("rewritePush(%x): labels %v, want %v, %v", body, pairs, want, err)
				}
				original.Series[i].Labels, series.Labels = nil, nil
			}
		}
		if diff := cmp.Diff(original, got, protocmp.Transform(), protocmp.IgnoreUnknown()); unmarshalErr == nil && diff != "" {
			t.Fatalf("rewritePush(%x): %s", body, diff)
		}
		// Splitting distributes the profiles.
		if first, second, n := splitPush(once); n > 0 {
			left, _ := countPush(first)
			right, err := countPush(second)
			if err != nil || left != n || left+right != after {
				t.Fatalf("splitPush(%x) = %x, %x, %d", once, first, second, n)
			}
		}
	})
}

func pairsOf(series *pushv1.RawProfileSeries) (pairs []labelPair) {
	for _, label := range series.Labels {
		pairs = append(pairs, labelPair{label.GetName(), label.GetValue()})
	}
	return pairs
}

func toSet(pairs []labelPair) labelSet {
	set := make(labelSet)
	for _, pair := range pairs {
		set[pair.name] = pair.value
	}
	return set
}

// inside is a field with that content.
func inside(number protowire.Number, content []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), content)
}

// A request of a few kilobytes unpacks to millions of elements of two bytes. Reading it
// must not take memory for each.
func TestEmptyElementsOfAPushTakeNoMemory(t *testing.T) {
	const n = 2 << 20
	label := marshal(t, series(nil, "service_name", "a"))
	withLabel := func(repeated []byte) []byte { return append(bytes.Clone(label), repeated...) }
	for name, c := range map[string]struct {
		body     []byte
		profiles int // -1: the request is refused
	}{
		"series":           {bytes.Repeat(inside(fieldSeries, nil), n), -1},
		"labels":           {inside(fieldSeries, withLabel(bytes.Repeat(inside(fieldLabels, nil), n))), -1},
		"samples":          {inside(fieldSeries, withLabel(bytes.Repeat(inside(fieldSamples, nil), n))), -1},
		"series with name": {bytes.Repeat(inside(fieldSeries, label), n/16), -1},
		"unknown fields":   {inside(fieldSeries, withLabel(bytes.Repeat(inside(99, nil), n))), 0},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			profiles, err := checkPush(c.body)
			runtime.ReadMemStats(&after)
			if (err != nil) != (c.profiles < 0) || err == nil && profiles != c.profiles {
				t.Errorf("%d profiles, %v, want %d", profiles, err, c.profiles)
			}
			// Each series with a name makes garbage, but little of it at a time.
			if made := after.TotalAlloc - before.TotalAlloc; made > 1<<20 && name != "series with name" {
				t.Errorf("%d bytes of memory were made for a request of %d", made, len(c.body))
			}
			runtime.ReadMemStats(&before)
			rewritten, err := rewritePush(c.body, map[string]string{"host": "h"})
			first, _, _ := splitPush(c.body)
			runtime.ReadMemStats(&after)
			if made := after.TotalAlloc - before.TotalAlloc; err == nil && made > uint64(len(rewritten)+8*len(first))+1<<20 {
				t.Errorf("%d bytes of memory were made to deliver %d", made, len(rewritten))
			}
		})
	}
}
