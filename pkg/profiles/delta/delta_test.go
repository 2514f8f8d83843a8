package delta

import (
	"bytes"
	"fmt"
	"maps"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	library "github.com/google/pprof/profile"
)

// heap is a profile of allocations: the four values of each stack, which is
// functions with ">" between them, and a label behind a "#". from is the first id.
func heap(t testing.TB, from uint64, stacks map[string][4]int64) []byte {
	t.Helper()
	p := &library.Profile{
		SampleType: []*library.ValueType{
			{Type: "alloc_objects", Unit: "count"}, {Type: "alloc_space", Unit: "bytes"},
			{Type: "inuse_objects", Unit: "count"}, {Type: "inuse_space", Unit: "bytes"},
		},
		Mapping: []*library.Mapping{{ID: 1, Start: 0x1000, File: "/bin/app", BuildID: "b1"}},
		Period:  512 << 10, PeriodType: &library.ValueType{Type: "space", Unit: "bytes"}, DefaultSampleType: "inuse_space",
	}
	locations := map[string]*library.Location{}
	for _, stack := range slices.Sorted(maps.Keys(stacks)) {
		values := stacks[stack]
		path, label, _ := strings.Cut(stack, "#")
		s := &library.Sample{Value: values[:]}
		if label != "" {
			s.Label, s.NumLabel = map[string][]string{"kind": {label}}, map[string][]int64{"bytes": {64}}
		}
		for _, name := range strings.Split(path, ">") {
			name = strings.TrimSpace(name)
			if locations[name] == nil {
				f := &library.Function{ID: from + uint64(len(p.Function)), Name: name, SystemName: name, Filename: name + ".go"}
				l := &library.Location{ID: from + uint64(len(p.Location)), Mapping: p.Mapping[0], Address: uint64(0x1000 + len(name)*16), Line: []library.Line{{Function: f, Line: 7}}}
				p.Function, p.Location, locations[name] = append(p.Function, f), append(p.Location, l), l
			}
			s.Location = append(s.Location, locations[name])
		}
		p.Sample = append(p.Sample, s)
	}
	var b bytes.Buffer
	if err := p.WriteUncompressed(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// stacksOf reads what heap makes.
func stacksOf(t testing.TB, data []byte) map[string][4]int64 {
	t.Helper()
	p, err := library.ParseUncompressed(data)
	if err == nil {
		err = p.CheckValid()
	}
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][4]int64{}
	for _, s := range p.Sample {
		var names []string
		for _, l := range s.Location {
			names = append(names, l.Line[0].Function.Name)
		}
		stack := strings.Join(names, ">")
		if kind := s.Label["kind"]; kind != nil {
			stack += "#" + kind[0]
		}
		out[stack] = [4]int64(s.Value)
	}
	return out
}

func allocations() *Computer {
	return New(ValueType{"alloc_objects", "count"}, ValueType{"alloc_space", "bytes"})
}

// deltas are what a Computer makes of some profiles, one after the other; nil for
// none.
func deltas(t *testing.T, profiles ...[]byte) (out []map[string][4]int64) {
	t.Helper()
	c := allocations()
	for _, p := range profiles {
		d, err := c.Delta(p)
		if err != nil {
			t.Fatal(err)
		}
		if d == nil {
			out = append(out, nil)
			continue
		}
		out = append(out, stacksOf(t, d))
	}
	return out
}

func TestADeltaIsWhatHasBeenAdded(t *testing.T) {
	got := deltas(t,
		heap(t, 1, map[string][4]int64{"a>main": {1, 10, 1, 10}, "b>main": {5, 50, 0, 0}, "c>main#x": {7, 70, 7, 70}}),
		heap(t, 100, map[string][4]int64{"a>main": {3, 30, 1, 10}, "b>main": {5, 50, 0, 0}, "c>main#x": {7, 70, 6, 60}, "c>main#y": {1, 2, 3, 4}}),
		heap(t, 5, map[string][4]int64{"a>main": {3, 30, 0, 0}, "c>main#y": {2, 4, 3, 4}, "b>main": {5, 50, 0, 0}, "c>main#x": {7, 70, 0, 0}}),
	)
	want := []map[string][4]int64{
		nil, // there is nothing to compare it with
		{"a>main": {2, 20, 1, 10}, "c>main#x": {0, 0, 6, 60}, "c>main#y": {1, 2, 3, 4}},
		{"c>main#y": {1, 2, 3, 4}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAfterARestartAllHasBeenAdded(t *testing.T) {
	got := deltas(t,
		heap(t, 1, map[string][4]int64{"a>main": {100, 1000, 1, 10}}),
		heap(t, 1, map[string][4]int64{"a>main": {3, 30, 2, 20}, "b>main": {1, 1, 1, 1}}),
		heap(t, 1, map[string][4]int64{"a>main": {4, 40, 2, 20}, "b>main": {1, 1, 0, 0}}),
	)
	want := []map[string][4]int64{
		nil,
		{"a>main": {3, 30, 2, 20}, "b>main": {1, 1, 1, 1}},
		{"a>main": {1, 10, 2, 20}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Values are estimates, which can get a little smaller.
func TestNoValueIsNegative(t *testing.T) {
	got := deltas(t,
		heap(t, 1, map[string][4]int64{"a>main": {10, 1000, 1, 10}, "b>main": {1, 1, 1, 1}}),
		heap(t, 1, map[string][4]int64{"a>main": {12, 999, 1, 10}, "b>main": {0, 0, 1, 1}}),
	)
	want := []map[string][4]int64{nil, {"a>main": {2, 0, 1, 10}, "b>main": {0, 0, 1, 1}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWhatNoSampleNeedsIsOmitted(t *testing.T) {
	many, one := map[string][4]int64{}, map[string][4]int64{}
	for i := range 500 {
		stack := fmt.Sprintf("some.package/with.LongName%d>main", i)
		many[stack], one[stack] = [4]int64{1, 1, 0, 0}, [4]int64{1, 1, 0, 0}
	}
	one["some.package/with.LongName7>main"] = [4]int64{2, 2, 0, 0}
	c := allocations()
	if _, err := c.Delta(heap(t, 1, many)); err != nil {
		t.Fatal(err)
	}
	data := heap(t, 1, one)
	got, err := c.Delta(data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string][4]int64{"some.package/with.LongName7>main": {1, 1, 0, 0}}, stacksOf(t, got)); diff != "" {
		t.Error(diff)
	}
	p, err := library.ParseUncompressed(got)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Location) != 2 || len(p.Function) != 2 || len(p.Mapping) != 1 || p.Mapping[0].BuildID != "b1" || p.DefaultSampleType != "inuse_space" || p.PeriodType.Type != "space" {
		t.Errorf("%v", p)
	}
	if len(got) > len(data)/10 {
		t.Errorf("%d of %d bytes are left", len(got), len(data))
	}
}

func TestSamplesOfOneStackAreOne(t *testing.T) {
	twice := func(n int64) []byte {
		data := heap(t, 1, map[string][4]int64{"a>main": {n, n, n, n}})
		p, err := library.ParseUncompressed(data)
		if err != nil {
			t.Fatal(err)
		}
		p.Sample = append(p.Sample, &library.Sample{Location: p.Sample[0].Location, Value: []int64{1, 1, 1, 1}})
		var b bytes.Buffer
		if err := p.WriteUncompressed(&b); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	got := deltas(t, twice(1), twice(5))
	if diff := cmp.Diff([]map[string][4]int64{nil, {"a>main": {4, 4, 6, 6}}}, got); diff != "" {
		t.Error(diff)
	}
}

func TestAProfileOfOtherTypesStaysAsItIs(t *testing.T) {
	c := New(ValueType{"contentions", "count"}, ValueType{"delay", "nanoseconds"})
	for range 2 {
		if _, err := c.Delta(heap(t, 1, map[string][4]int64{"a>main": {1, 2, 3, 4}})); err != nil {
			t.Fatal(err)
		}
	}
	got, err := c.Delta(heap(t, 1, map[string][4]int64{"a>main": {1, 2, 3, 4}}))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string][4]int64{"a>main": {1, 2, 3, 4}}, stacksOf(t, got)); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsNoProfileIsAnError(t *testing.T) {
	good := heap(t, 1, map[string][4]int64{"a>main": {1, 2, 3, 4}})
	c := allocations()
	if _, err := c.Delta(good); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"nothing": {}, "text": []byte("<html>no</html>"), "an end": good[:len(good)-1], "no types": {0x32, 0}, "a sample without values": append(bytes.Clone(good), 0x12, 0),
	} {
		if got, err := c.Delta(data); err == nil {
			t.Errorf("%s: %x", name, got)
		}
	}
	// The profile before is still the same.
	got, err := c.Delta(heap(t, 1, map[string][4]int64{"a>main": {2, 2, 3, 4}}))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string][4]int64{"a>main": {1, 0, 3, 4}}, stacksOf(t, got)); diff != "" {
		t.Error(diff)
	}
}

var kept [][]byte

// What the runtime itself writes: the library's own difference is the same.
func TestTheDeltaOfARealHeapMatchesTheLibrary(t *testing.T) {
	defer func(rate int) { runtime.MemProfileRate, kept = rate, nil }(runtime.MemProfileRate)
	runtime.MemProfileRate = 1
	var written []*library.Profile
	c := allocations()
	for round := range 2 {
		for range 100 * (round + 1) {
			kept = append(kept, make([]byte, 1000))
		}
		runtime.GC()
		var b bytes.Buffer
		if err := pprof.Lookup("allocs").WriteTo(&b, 0); err != nil {
			t.Fatal(err)
		}
		p, err := library.Parse(&b)
		if err != nil {
			t.Fatal(err)
		}
		written = append(written, p)
	}
	for i, p := range written {
		var plain bytes.Buffer
		if err := p.WriteUncompressed(&plain); err != nil {
			t.Fatal(err)
		}
		got, err := c.Delta(plain.Bytes())
		if err != nil || (got == nil) != (i == 0) {
			t.Fatalf("%d: %d bytes, %v", i, len(got), err)
		}
		if i == 1 {
			compare(t, written, got)
		}
	}
}

// compare compares a delta with what the library makes of the two profiles.
func compare(t *testing.T, written []*library.Profile, delta []byte) {
	t.Helper()
	before := written[0].Copy()
	before.Scale(-1)
	want, err := library.Merge([]*library.Profile{before, written[1]})
	if err != nil {
		t.Fatal(err)
	}
	got, err := library.ParseUncompressed(delta)
	if err != nil {
		t.Fatal(err)
	}
	sum := func(p *library.Profile, at int) (n int64) {
		for _, s := range p.Sample {
			n += s.Value[at]
		}
		return n
	}
	for at := range 2 {
		if g, w := sum(got, at), sum(want, at); g != w || g == 0 {
			t.Errorf("%s: %d, want %d", got.SampleType[at].Type, g, w)
		}
	}
	if g, w := sum(got, 3), sum(written[1], 3); g != w {
		t.Errorf("in use: %d bytes, want %d", g, w)
	}
}

// FuzzDelta compares any profile with itself: nothing has been added, and what
// comes out can be read.
func FuzzDelta(f *testing.F) {
	f.Add(heap(f, 1, map[string][4]int64{"a>main": {1, 2, 3, 4}, "b>a>main#x": {1, 0, 0, 0}}))
	f.Add([]byte("\x0a\x04\x08\x01\x10\x02\x12\x02\x12\x00\x32\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := allocations()
		first, err := c.Delta(data)
		if first != nil {
			t.Fatal("the first profile is a delta")
		}
		if err != nil {
			return
		}
		same, err := c.Delta(data)
		if err != nil {
			t.Fatalf("the second time: %v", err)
		}
		p, err := c.read(same)
		if err != nil {
			t.Fatalf("the delta cannot be read: %v", err)
		}
		if len(same) > len(data)+16*len(p.samples)*len(p.types)+16 {
			t.Fatalf("%d bytes became %d", len(data), len(same))
		}
		for i := range p.entries {
			if n := p.counts(&p.entries[i]); n != (counts{}) {
				t.Fatalf("%v has been added to what is the same", n)
			}
		}
	})
}
