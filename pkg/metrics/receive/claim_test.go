package receive

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/golang/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"collector/pkg/listen"
)

// allocated is how many bytes do allocates.
func allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// shared are references to the labels of a series m, and to n labels that share the
// text of symbol 3.
func shared(n int) []uint32 {
	refs := []uint32{1, 2}
	for i := range n {
		refs = append(refs, 4+uint32(i), 3)
	}
	return refs
}

// A request of some KiB may refer to one long text many times.
func TestTheTextThatReferencesRepeatIsClaimed(t *testing.T) {
	symbols := []string{"", "__name__", "m", strings.Repeat("x", 1<<20)}
	for i := range 400 {
		symbols = append(symbols, fmt.Sprintf("a%d", i))
	}
	for name, series := range map[string]writev2.TimeSeries{
		"labels":    {LabelsRefs: shared(400), Samples: []writev2.Sample{{Value: 1}}},
		"exemplars": {LabelsRefs: shared(0), Exemplars: slices.Repeat([]writev2.Exemplar{{LabelsRefs: shared(400)}}, 5)},
	} {
		message := encoded(t, &writev2.Request{Symbols: symbols, Timeseries: []writev2.TimeSeries{series}})
		claim := listen.NewBudget(4<<20).Claim("test", nil)
		d := new(decoder)
		d.begin(claim, newInterned(largestInterned))
		var err error
		if n := allocated(func() { err = d.version2(message) }); n > 16<<20 {
			t.Errorf("%s: %d bytes were made: %v", name, n, err)
		}
		if cap(d.key) > maxKeptKey && d.end() {
			t.Errorf("%s: the decoder is used again with a key of %d bytes", name, cap(d.key))
		}
		claim.Release()
	}
}

func TestADecoderWithALongKeyIsNotUsedAgain(t *testing.T) {
	long := prompb.TimeSeries{Labels: []prompb.Label{{Name: "__name__", Value: strings.Repeat("m", 2*maxKeptKey)}}}
	d, err := decode(encoded(t, &prompb.WriteRequest{Timeseries: []prompb.TimeSeries{long}}), false)
	if err != nil || cap(d.key) <= maxKeptKey {
		t.Fatalf("%v, %d", err, cap(d.key))
	}
	if d.end() {
		t.Error("it is used again")
	}
}

func TestExemplarsThatNobodyStoresAreDroppedAndCounted(t *testing.T) {
	with := func(pairs ...string) prompb.Exemplar {
		e := prompb.Exemplar{Value: 1}
		for i := 0; i < len(pairs); i += 2 {
			e.Labels = append(e.Labels, prompb.Label{Name: pairs[i], Value: pairs[i+1]})
		}
		return e
	}
	r := request1()
	e := &r.Timeseries[0].Exemplars
	*e = append(*e,
		with("a", strings.Repeat("x", largestExemplar)),
		with("a", strings.Repeat("x", largestExemplar-1)),
		with("a", "1", "a", "2"))
	d, err := decode(encoded(t, r), false)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.out.Exemplars) != 2 || d.lostExemplars.tooLong != 1 || d.lostExemplars.invalid != 1 {
		t.Errorf("%d exemplars; lost: %+v", len(d.out.Exemplars), d.lostExemplars)
	}
}

func TestAClientOfVersion2LearnsOfInvalidSeries(t *testing.T) {
	for _, two := range []bool{false, true} {
		var to sink
		_, url := start(t, &to)
		r1, r2 := request1(), request2()
		r1.Timeseries = append(r1.Timeseries, prompb.TimeSeries{Samples: []prompb.Sample{{Value: 1}}})
		r2.Timeseries = append(r2.Timeseries, writev2.TimeSeries{Samples: []writev2.Sample{{Value: 1}}})
		body, contentType, want := encoded(t, r1), protobuf, http.StatusNoContent
		if two {
			body, contentType, want = encoded(t, r2), protobuf+";proto="+message2, http.StatusBadRequest
		}
		resp, text := post(t, url, snappy.Encode(nil, body), "Content-Type", contentType, "Content-Encoding", "snappy")
		if resp.StatusCode != want || two && !strings.Contains(text, "no name") {
			t.Errorf("2.0 %v: %s %s", two, resp.Status, text)
		}
		if n := resp.Header.Get("X-Prometheus-Remote-Write-Samples-Written"); two && n != "3" {
			t.Errorf("%q samples written", n)
		}
		if n := len(to.take()); n == 0 {
			t.Errorf("2.0 %v: nothing was forwarded", two)
		}
	}
}

// The first frame may be a skippable one, and say nothing about the ones after it.
func TestTheWindowOfEachZstdFrameIsClaimed(t *testing.T) {
	var packed bytes.Buffer
	w, err := zstd.NewWriter(&packed, zstd.WithWindowSize(zstdWindow), zstd.WithSingleSegment(false))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 * zstdWindow / (64 << 10) { // of unknown length, so that its header has the window
		if _, err := w.Write(make([]byte, 64<<10)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	skipped := binary.LittleEndian.AppendUint32(nil, 0x184D2A50)
	skipped = binary.LittleEndian.AppendUint32(skipped, 0)
	small, err := zstd.NewWriter(nil, zstd.WithWindowSize(zstd.MinWindowSize))
	if err != nil {
		t.Fatal(err)
	}
	for name, first := range map[string][]byte{"nothing": nil, "a skipped frame": skipped, "a small frame": small.EncodeAll([]byte("x"), nil)} {
		// The budget has room for one message, and not for the window.
		budget := listen.NewBudget(zstdWindow / aloneShare)
		claim := budget.Claim("test", nil)
		data := slices.Concat(first, packed.Bytes())
		n := allocated(func() { _, err = format{zstd: true}.unpack(claim, data, 64<<20) })
		if n > zstdWindow+(1<<20) || err == nil {
			t.Errorf("%s: %d bytes were made; %v", name, n, err)
		}
		claim.Release()
		claim = listen.NewBudget(256<<20).Claim("test", nil)
		message, err := format{zstd: true}.unpack(claim, data, 64<<20)
		if err != nil || len(message) < 3*zstdWindow {
			t.Errorf("%s: %d bytes; %v", name, len(message), err)
		}
	}
}

// FuzzZstdFrames: what the library unpacks has frames whose windows suffice.
func FuzzZstdFrames(f *testing.F) {
	w, err := zstd.NewWriter(nil)
	if err != nil {
		f.Fatal(err)
	}
	one := w.EncodeAll(bytes.Repeat([]byte("text"), 1000), nil)
	f.Add(one)
	f.Add(slices.Concat(one, w.EncodeAll(nil, nil), one))
	f.Add(append([]byte{0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 1, 1}, one...))
	r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdWindow), zstd.WithDecoderMaxMemory(64<<20))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		whole, err := r.DecodeAll(data, nil)
		if err != nil {
			_, _, _ = zstdFrames(data)
			return
		}
		claim := listen.NewBudget(256<<20).Claim("test", nil)
		defer claim.Release()
		message, err := format{zstd: true}.unpack(claim, data, 64<<20)
		if err != nil || !bytes.Equal(message, whole) {
			t.Errorf("%d bytes of %d: %v", len(message), len(whole), err)
		}
	})
}

// aloneShare is how many times its budget a request that is alone may take.
const aloneShare = 3
