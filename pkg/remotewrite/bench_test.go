package remotewrite

import (
	"testing"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
)

const benchSeries = 2000

func benchEncoder() *encoder {
	return newEncoder(nil, shape{}, newCodec(), new(activeSeries), defaultItems)
}

// BenchmarkEncode is a scrape of known series becoming a WriteRequest; the
// library's way is BenchmarkEncodeLibrary.
func BenchmarkEncode(b *testing.B) {
	m, e := scrape(benchSeries), benchEncoder()
	b.ReportAllocs()
	for b.Loop() {
		if err := e.encode(m, func(*batch) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchSeries, "ns/sample")
}

func BenchmarkEncodeLibrary(b *testing.B) {
	m := scrape(benchSeries)
	var raw []byte
	w := prompb.WriteRequest{Timeseries: make([]prompb.TimeSeries, len(m.Samples))}
	b.ReportAllocs()
	for b.Loop() {
		for i := range m.Samples {
			s := &m.Samples[i]
			ts := &w.Timeseries[i]
			ts.Labels = prompb.FromLabels(s.Series.Labels, ts.Labels)
			ts.Samples = append(ts.Samples[:0], prompb.Sample{Timestamp: s.T, Value: s.V})
		}
		n := w.Size()
		if cap(raw) < n {
			raw = make([]byte, n)
		}
		if _, err := w.MarshalToSizedBuffer(raw[:n]); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchSeries, "ns/sample")
}

// BenchmarkBlock includes compression.
func BenchmarkBlock(b *testing.B) {
	for _, enc := range []encoding{encodingZstd, encodingSnappy} {
		b.Run(string(enc), func(b *testing.B) {
			m, e := scrape(benchSeries), benchEncoder()
			size, raw := 0, 0
			b.ReportAllocs()
			for b.Loop() {
				err := e.encode(m, func(x *batch) error {
					size, raw = len(e.codec.block(x, enc).Data), len(x.raw)
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(size), "bytes")
			b.ReportMetric(float64(raw)/float64(size), "ratio")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchSeries, "ns/sample")
		})
	}
}

func BenchmarkBlockLibrary(b *testing.B) {
	m := scrape(benchSeries)
	var raw, out []byte
	w := prompb.WriteRequest{Timeseries: make([]prompb.TimeSeries, len(m.Samples))}
	b.ReportAllocs()
	for b.Loop() {
		for i := range m.Samples {
			s := &m.Samples[i]
			ts := &w.Timeseries[i]
			ts.Labels = prompb.FromLabels(s.Series.Labels, ts.Labels)
			ts.Samples = append(ts.Samples[:0], prompb.Sample{Timestamp: s.T, Value: s.V})
		}
		n := w.Size()
		if cap(raw) < n {
			raw = make([]byte, n)
		}
		if _, err := w.MarshalToSizedBuffer(raw[:n]); err != nil {
			b.Fatal(err)
		}
		out = snappy.Encode(out[:cap(out)], raw[:n])
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchSeries, "ns/sample")
}

func BenchmarkRelabelAtSending(b *testing.B) {
	e := benchEncoder()
	var raw []byte
	if err := e.encode(scrape(benchSeries), func(x *batch) error { raw = append(raw, x.raw...); return nil }); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		for tail := raw; len(tail) > 0; {
			var x entry
			var err error
			if x, tail, err = nextEntry(tail); err != nil {
				b.Fatal(err)
			}
			lset, err := decodeLabels(x.labels)
			if err != nil {
				b.Fatal(err)
			}
			_ = labels.NewBuilder(lset)
		}
	}
}
