package explore

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	pprof "github.com/google/pprof/profile"
	pushv1 "github.com/grafana/pyroscope/api/gen/proto/go/push/v1"
	typesv1 "github.com/grafana/pyroscope/api/gen/proto/go/types/v1"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"collector/pkg/live"
	"collector/pkg/pipeline"
)

// anyProfile has stacks of all shapes: inlined and recursive functions, places
// without functions, values that are negative or 0.
func anyProfile(random *rand.Rand) *pprof.Profile {
	p := &pprof.Profile{SampleType: []*pprof.ValueType{{Type: "cpu", Unit: "ns"}, {Type: "alloc", Unit: "bytes"}}}
	for i := range 12 {
		p.Function = append(p.Function, &pprof.Function{ID: uint64(i + 1), Name: fmt.Sprint("f", i%9)})
	}
	for i := range 20 {
		location := &pprof.Location{ID: uint64(1000*i + 1)}
		for range random.IntN(4) {
			location.Line = append(location.Line, pprof.Line{Function: p.Function[random.IntN(len(p.Function))]})
		}
		p.Location = append(p.Location, location)
	}
	for range random.IntN(400) {
		sample := &pprof.Sample{Value: []int64{random.Int64N(50) - 2, random.Int64N(1e12)}, Label: map[string][]string{"thread": {"main"}}}
		for range random.IntN(12) {
			sample.Location = append(sample.Location, p.Location[random.IntN(len(p.Location))])
		}
		p.Sample = append(p.Sample, sample)
	}
	return p
}

// reference sums up what the library for pprof decodes.
func reference(p *pprof.Profile, i int) (*Flame, map[string]Function) {
	root, functions := &Flame{Name: "total"}, map[string]Function{}
	for _, sample := range p.Sample {
		v := sample.Value[i]
		if v <= 0 {
			continue
		}
		var names []string // the innermost first
		for _, location := range sample.Location {
			for _, line := range location.Line {
				names = append(names, line.Function.Name)
			}
		}
		f := root
		f.Value += v
		for _, name := range slices.Backward(names) {
			at := slices.IndexFunc(f.Children, func(c *Flame) bool { return c.Name == name })
			if at < 0 {
				at = len(f.Children)
				f.Children = append(f.Children, &Flame{Name: name})
			}
			f = f.Children[at]
			f.Value += v
		}
		f.Self += v
		for at, name := range names {
			counted := functions[name]
			counted.Name = name
			if at == 0 {
				counted.Self += v
			}
			if !slices.Contains(names[:at], name) {
				counted.Total += v
			}
			functions[name] = counted
		}
	}
	root.finish(max(1, root.Value/flameShare))
	return root, functions
}

func TestAFlameGraphHasWhatTheLibraryForProfilesReads(t *testing.T) {
	for seed := range uint64(30) {
		p := anyProfile(rand.New(rand.NewPCG(seed, 1)))
		var raw bytes.Buffer
		if err := p.Write(&raw); err != nil {
			t.Fatal(err)
		}
		for i, kind := range p.SampleType {
			want, functions := reference(p, i)
			found := []Profile{{raw: raw.Bytes(), Types: []ProfileType{{Name: kind.Type, Unit: kind.Unit}}}}
			got := must[FlameResult](t)(sumUp(t.Context(), found, kind.Type, 1<<20))
			check(t, fmt.Sprint("trees of seed ", seed), string(must[[]byte](t)(json.Marshal(got.Root))), string(must[[]byte](t)(json.Marshal(want))))
			if len(got.Functions) != len(functions) || got.Cut {
				t.Errorf("seed %d: %d functions, want %d; cut: %v", seed, len(got.Functions), len(functions), got.Cut)
			}
			for _, f := range got.Functions {
				check(t, fmt.Sprint("functions of seed ", seed), f, functions[f.Name])
			}
		}
	}
}

// FuzzStacks checks that what the library for pprof takes is read, with the same
// sums.
func FuzzStacks(f *testing.F) {
	f.Add(cpuProfile(f))
	var raw bytes.Buffer
	if err := anyProfile(rand.New(rand.NewPCG(1, 1))).WriteUncompressed(&raw); err != nil {
		f.Fatal(err)
	}
	f.Add(raw.Bytes())
	f.Fuzz(func(t *testing.T, raw []byte) {
		raw, err := unpack(raw, 1<<20)
		if err != nil {
			return
		}
		read, err := readStacks(raw)
		if err == nil {
			err = read.totals()
		}
		decoded, theirs := pprof.ParseUncompressed(raw)
		if theirs == nil {
			theirs = decoded.CheckValid()
		}
		if theirs != nil {
			return
		}
		if err != nil {
			t.Fatalf("the library reads it: %v", err)
		}
		for i, kind := range decoded.SampleType {
			total := int64(0)
			for _, sample := range decoded.Sample {
				total += sample.Value[i]
			}
			if total != read.types[i].Total {
				t.Errorf("%s: %d, want %d", kind.Type, read.types[i].Total, total)
			}
		}
	})
}

func zip(t testing.TB, raw []byte) []byte {
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	if _, err := w.Write(raw); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return zipped.Bytes()
}

// uploaded is a raw profile of the service shop.
func uploaded(body []byte) pipeline.Profile {
	return pipeline.Profile{Route: pipeline.ProfileIngest, Query: "name=shop&format=pprof", Body: body, Items: 1}
}

// allocated is how many bytes f allocates, with all else that runs.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func statsOf(t testing.TB, w *Window, s live.Signal) Stats {
	t.Helper()
	return must[[]Stats](t)(w.Stats(t.Context()))[s]
}

// A few kilobytes that unpack to more than a million samples were half a
// gigabyte of memory in a flame graph.
func TestASmallUploadOfManySamplesTakesLittleMemory(t *testing.T) {
	w := running(t, 16<<20)
	raw := slices.Grow(unzip(t, cpuProfile(t)), 4<<20)
	sample := []byte("\x12\x06\x08\x01\x10\x01\x10\x01") // of location 1, with the values 1 and 1
	for range 400_000 {
		raw = append(raw, sample...)
	}
	body := zip(t, raw)
	if len(body) > 64<<10 {
		t.Fatalf("%d bytes are not few", len(body))
	}
	taken := allocated(func() {
		w.ObserveProfile(edge, uploaded(body))
		check(t, "stats", statsOf(t, w, live.Profiles), Stats{Signal: live.Profiles, Limit: 16 << 20, Skipped: 1})
	})
	if taken > 64<<20 {
		t.Errorf("%d bytes were allocated", taken)
	}
	// As many as are taken cost little more than their bytes.
	w.ObserveProfile(edge, uploaded(zip(t, raw[:len(raw)-(400_000-maxSamples/2)*len(sample)])))
	taken = allocated(func() {
		r := must[FlameResult](t)(w.Flame(t.Context(), ProfileQuery{Type: "cpu"}))
		check(t, "the sum", r.Root.Value, int64(maxSamples/2+40))
	})
	if taken > 32<<20 {
		t.Errorf("%d bytes were allocated", taken)
	}
}

func unzip(t testing.TB, zipped []byte) []byte {
	t.Helper()
	return must[[]byte](t)(unpack(zipped, maxUnpacked))
}

// field appends a field of bytes.
func field(to []byte, number protowire.Number, data []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(to, number, protowire.BytesType), data)
}

func TestWhatIsReadOfAProfileIsBounded(t *testing.T) {
	numbered := func(i int) []byte { return protowire.AppendVarint([]byte{8}, uint64(i+100)) }
	for name, part := range map[string]struct {
		most int
		make func(i int) []byte
	}{
		"samples":   {maxSamples, func(int) []byte { return field(nil, 2, []byte("\x10\x01\x10\x01")) }},
		"locations": {maxLocations, func(i int) []byte { return field(nil, 4, numbered(i)) }},
		"functions": {maxLocations, func(i int) []byte { return field(nil, 5, numbered(i)) }},
		"lines": {maxLines / 50, func(i int) []byte {
			return field(nil, 4, append(numbered(i), strings.Repeat("\x22\x02\x08\x01", 50)...))
		}},
		"strings":         {maxStrings, func(int) []byte { return field(nil, 6, nil) }},
		"types of values": {maxTypes, func(int) []byte { return field(nil, 1, nil) }},
	} {
		raw := unzip(t, cpuProfile(t))
		for i := range part.most {
			raw = append(raw, part.make(i)...)
		}
		if _, err := readStacks(raw); err == nil || !strings.HasSuffix(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w := running(t, 100_000)
	w.ObserveProfile(edge, uploaded(zip(t, field(unzip(t, cpuProfile(t)), 100, make([]byte, 300_000)))))
	w.ObserveProfile(edge, uploaded(zip(t, field(unzip(t, cpuProfile(t)), 100, make([]byte, 500_000)))))
	if s := statsOf(t, w, live.Profiles); s.Items != 1 || s.Skipped != 1 {
		t.Errorf("of two, the second of which is too large: %+v", s)
	}
}

func TestWhatIsUnpackedInASecondIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newProfileStore(16 << 20)
		large := uploaded(zip(t, field(unzip(t, cpuProfile(t)), 100, make([]byte, 8<<20))))
		broken := uploaded(append([]byte{0x1f, 0x8b}, make([]byte, 1<<20)...))
		keep := func(p pipeline.Profile, kept, skipped int) {
			t.Helper()
			for range 5 {
				s.keep(p, time.Now())
			}
			check(t, "stats", s.stats(), Stats{Items: kept, Skipped: uint64(skipped), Bytes: s.bytes, Oldest: s.stats().Oldest})
		}
		keep(large, 3, 2) // of which the fourth would be more than what is left
		time.Sleep(time.Second)
		keep(uploaded(cpuProfile(t)), 8, 2)
		keep(broken, 8, 7)
		keep(uploaded(cpuProfile(t)), 8, 12)
	})
}

// dwindling is a context that ends after some looks at it.
type dwindling struct {
	context.Context
	looks int
}

func (d *dwindling) Err() error {
	if d.looks--; d.looks < 0 {
		return context.Canceled
	}
	return nil
}

func TestASumIsGivenUpInTheMiddleOfAProfile(t *testing.T) {
	raw := unzip(t, cpuProfile(t))
	for range 2 * lookEvery {
		raw = field(raw, 2, []byte("\x08\x01\x10\x01\x10\x01"))
	}
	found := []Profile{{raw: raw, Types: []ProfileType{{Name: "cpu", Unit: "nanoseconds"}}}}
	if _, err := sumUp(&dwindling{t.Context(), 1}, found, "cpu", 1<<20); err != context.Canceled {
		t.Errorf("the context ended after a look at it: %v", err)
	}
	must[FlameResult](t)(sumUp(&dwindling{t.Context(), 3}, found, "cpu", 1<<20))
}

func TestASumIsBounded(t *testing.T) {
	one := Profile{raw: cpuProfile(t), Types: []ProfileType{{Name: "cpu", Unit: "nanoseconds"}}}
	found := []Profile{one, one, one}
	for name, bound := range map[string]func(*sum){
		"bytes":  func(s *sum) { s.unpacked = len(unzip(t, one.raw)) + 1 },
		"frames": func(s *sum) { s.frames = 7 }, // each has 4
	} {
		s := newSum("cpu", 1<<20)
		bound(s)
		r := must[FlameResult](t)(s.all(t.Context(), found, 1<<20))
		if r.Profiles != 2 || !r.Cut {
			t.Errorf("%s: %d profiles, cut: %v", name, r.Profiles, r.Cut)
		}
	}
	s := newSum("cpu", 1<<20)
	s.room = 4 * (nodeSize + len("main")) // for two functions, and for both in the tree
	r := must[FlameResult](t)(s.all(t.Context(), found, 1<<20))
	if main := r.Root.Children[0]; r.Root.Value != 120 || !r.Cut || main.Value != 120 || len(main.Children) != 1 || len(r.Functions) != 2 {
		t.Errorf("no room for all: %s", must[[]byte](t)(json.Marshal(r)))
	}
	if r := must[FlameResult](t)(newSum("cpu", 1<<20).all(t.Context(), found, 1<<20)); r.Cut || r.Profiles != 3 {
		t.Errorf("room for all: %d, cut: %v", r.Profiles, r.Cut)
	}
}

func TestASumIsMadeOnce(t *testing.T) {
	w := running(t, 1<<20)
	w.ObserveProfile(edge, uploaded(cpuProfile(t)))
	sum := func(kind string) *Flame {
		t.Helper()
		return must[FlameResult](t)(w.Flame(t.Context(), ProfileQuery{Type: kind})).Root
	}
	first := sum("cpu")
	if sum("cpu") != first {
		t.Error("the same sum was computed again")
	}
	if sum("samples").Value != 4 || sum("cpu") != first {
		t.Error("the sum of another type changes something")
	}
	w.ObserveProfile(edge, uploaded(cpuProfile(t)))
	if sum("cpu").Value != 80 {
		t.Error("a profile that has come is not in the sum")
	}
	if len(w.sums.kept) != maxSums {
		t.Errorf("%d sums are kept", len(w.sums.kept))
	}
	second := sum("cpu")
	w.sums.forget(time.Now().Add(time.Hour))
	if len(w.sums.kept) != 0 || sum("cpu") == second {
		t.Error("a sum is kept forever")
	}
}

func TestPushedProfilesAreKeptByTheirSeries(t *testing.T) {
	pairs := func(n int, of ...string) (all []*typesv1.LabelPair) {
		for i := range n {
			of = append(of, fmt.Sprint("l", i), "v")
		}
		for i := 0; i < len(of); i += 2 {
			all = append(all, &typesv1.LabelPair{Name: of[i], Value: of[i+1]})
		}
		return all
	}
	raw, sample := cpuProfile(t), func(raw []byte) *pushv1.RawSample { return &pushv1.RawSample{RawProfile: raw, ID: "x"} }
	request := &pushv1.PushRequest{Series: []*pushv1.RawProfileSeries{
		{Labels: pairs(0, "service_name", "shop", "zone", "a"), Samples: []*pushv1.RawSample{sample(raw), sample([]byte("no")), sample(raw)}},
		{Labels: pairs(maxLabels+1, "service_name", "crowd"), Samples: []*pushv1.RawSample{sample(raw)}},
		{Labels: pairs(0, "service_name", "bank"), Samples: []*pushv1.RawSample{sample(raw)}},
	}}
	body := must[[]byte](t)(proto.Marshal(request))
	w := running(t, 1<<20)
	w.ObserveProfile(edge, pipeline.Profile{Route: pipeline.ProfilePush, Body: body, Items: 5})
	var got []string
	for _, p := range must[[]Profile](t)(w.Profiles(t.Context(), ProfileQuery{})) {
		got = append(got, fmt.Sprint(p.Service, " ", p.Labels["zone"], " ", p.Size == len(raw), " ", len(p.Types)))
	}
	check(t, "profiles", got, []string{"bank  true 2", "shop a true 2", "shop a true 2"})
	check(t, "skipped", statsOf(t, w, live.Profiles).Skipped, uint64(2))
	w.ObserveProfile(edge, pipeline.Profile{Route: pipeline.ProfilePush, Body: body[:len(body)-3], Items: 5})
	check(t, "skipped, of a request that is cut", statsOf(t, w, live.Profiles).Skipped, uint64(5))
}

func TestALevelIsFoundOnce(t *testing.T) {
	w := running(t, 1<<20)
	logs := logLines("shop", "x")
	logs.Streams[0].Labels = labels.FromStrings("level", "error", "severity", "info")
	logs.Streams[0].Entries[0].Metadata = labels.FromStrings("level", "error")
	w.ObserveLogs(edge, logs)
	r := must[LogResult](t)(w.Logs(t.Context(), LogQuery{Level: "error"}))
	if len(r.Entries) != 1 || r.Entries[0].Level != "error" {
		t.Errorf("got %+v", r)
	}
}

func TestOfNativeHistogramsTheCountAndTheSumAreKept(t *testing.T) {
	w := running(t, 1<<20)
	series := pipeline.NewSeries(labels.FromStrings(labels.MetricName, "latency", "job", "x"))
	now := time.Now().UnixMilli()
	w.ObserveMetrics(edge, pipeline.Metrics{Histograms: []pipeline.HistogramSample{
		{Series: series, T: now - 2, H: &histogram.Histogram{Count: 3, Sum: 1.5}},
		{Series: series, T: now - 1, FH: &histogram.FloatHistogram{Count: 4, Sum: 2.5}},
		{Series: series, T: now, H: &histogram.Histogram{Sum: math.Float64frombits(value.StaleNaN)}},
	}})
	for name, want := range map[string][]Point{"latency_count": {{now - 2, 3}, {now - 1, 4}}, "latency_sum": {{now - 2, 1.5}, {now - 1, 2.5}}} {
		r := must[MetricResult](t)(w.Metrics(t.Context(), MetricQuery{Name: name, Labels: map[string]string{"job": "x"}}))
		if len(r.Series) != 1 {
			t.Fatalf("%s: %+v", name, r)
		}
		check(t, name, r.Series[0].Points, want)
	}
}
