package receive

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/google/go-cmp/cmp"
	"github.com/grafana/loki/pkg/push"
	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/prometheus/prompb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"

	"collector-bench/wire"
)

var now = time.UnixMilli(1700000000000)

// start serves s and returns its URL.
func start(t *testing.T, s *server) string {
	t.Helper()
	s.now = func() time.Time { return now }
	server := httptest.NewUnstartedServer(nil)
	server.Config = s.httpServer()
	server.Listener = countingListener{server.Listener}
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}

func post(t *testing.T, url, encoding string, body []byte) int {
	t.Helper()
	request, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if encoding != "" {
		request.Header.Set("Content-Encoding", encoding)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	io.Copy(io.Discard, response.Body)
	return response.StatusCode
}

func writeRequest(t *testing.T) []byte {
	t.Helper()
	series := func(name string, value float64) prompb.TimeSeries {
		return prompb.TimeSeries{Labels: []prompb.Label{{Name: "__name__", Value: name}}, Samples: []prompb.Sample{{Value: value, Timestamp: now.UnixMilli() - 50}}}
	}
	b, err := (&prompb.WriteRequest{Timeseries: []prompb.TimeSeries{series("bench_pages_total", 12), series("bench_a", 5), series("up", 1), series("up", 0)}}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// without is t less what depends on the length of headers.
func without(t Tally) Tally {
	t.Wire = 0
	return t
}

func TestSamplesAreCountedInBothCompressions(t *testing.T) {
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	plain := writeRequest(t)
	for encoding, body := range map[string][]byte{"snappy": snappy.Encode(nil, plain), "zstd": encoder.EncodeAll(plain, nil)} {
		s := newServer(true)
		url := start(t, s)
		if status := post(t, url+"/api/v1/write", encoding, body); status != http.StatusNoContent {
			t.Errorf("%s: status %d", encoding, status)
		}
		got := s.samples.read()
		if got.P99 < 50*time.Millisecond || got.P99 > 54*time.Millisecond {
			t.Errorf("%s: age is %v, want 50 ms", encoding, got.P99)
		}
		got.P99 = 0
		if got.Wire < uint64(len(body))+50 || got.Wire > uint64(len(body))+500 {
			t.Errorf("%s: %d bytes on the wire for a body of %d", encoding, got.Wire, len(body))
		}
		if diff := cmp.Diff(Tally{Items: 2, Sum: 12, Others: 2, Failed: 1, Requests: 1}, without(got)); diff != "" {
			t.Errorf("%s: %s", encoding, diff)
		}
	}
}

func TestZstdIsRejectedWhereItIsNotMeasured(t *testing.T) {
	s := newServer(false)
	if status := post(t, start(t, s)+"/api/v1/write", "zstd", []byte("any")); status != http.StatusUnsupportedMediaType {
		t.Errorf("status %d, want 415", status)
	}
	if got := s.samples.read(); got.Requests != 0 || got.Bad != 0 {
		t.Errorf("it is counted: %+v", got)
	}
}

// TestWhatCannotBeReadIsCounted: and nothing of it counts as arrived.
func TestWhatCannotBeReadIsCounted(t *testing.T) {
	s := newServer(true)
	url := start(t, s)
	for path, body := range map[string][]byte{"/api/v1/write": snappy.Encode(nil, append(writeRequest(t), 0x0a, 9)), "/loki/api/v1/push": snappy.Encode(nil, []byte{0x0a, 9}), "/ingest?from=1": []byte("x")} {
		if status := post(t, url+path, "snappy", body); status != http.StatusBadRequest {
			t.Errorf("%s: status %d", path, status)
		}
	}
	for name, tally := range map[string]Tally{"samples": s.samples.read(), "lines": s.lines.read(), "profiles": s.profiles.read()} {
		if diff := cmp.Diff(Tally{Requests: 1, Bad: 1}, without(tally)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestLinesAndProfilesAreCounted(t *testing.T) {
	s := newServer(true)
	url := start(t, s)
	line := string(wire.AppendLine(nil, wire.Line{Number: 7, At: now.UnixNano() - 1e6}, 100))
	body, err := (&push.PushRequest{Streams: []push.Stream{{Labels: `{a="b"}`, Entries: []push.Entry{{Line: line}, {Line: "other"}}}}}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if status := post(t, url+"/loki/api/v1/push", "", snappy.Encode(nil, body)); status != http.StatusNoContent {
		t.Errorf("lines: status %d", status)
	}
	if status := post(t, url+fmt.Sprintf("/ingest?name=a&from=11&until=%d", now.UnixNano()), "", []byte("profile")); status != http.StatusOK {
		t.Errorf("profile: status %d", status)
	}
	for name, c := range map[string]struct{ got, want Tally }{
		"lines":    {s.lines.read(), Tally{Items: 1, Sum: 7, Others: 1, Requests: 1, P99: 1023 * time.Microsecond}},
		"profiles": {s.profiles.read(), Tally{Items: 1, Sum: 11, Requests: 1}},
	} {
		if diff := cmp.Diff(c.want, without(c.got)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestAWindowForgetsAges(t *testing.T) {
	var s tally
	for range 2 {
		var b batch
		b.add(1, time.Hour)
		s.take(&b, nil)
		if s.read().P99 == 0 {
			t.Error("no age is kept")
		}
		s.window()
	}
	if got := s.read(); got.P99 != 0 || got.Items != 2 {
		t.Errorf("%+v", got)
	}
}

func TestSpansAreCountedInBothCompressions(t *testing.T) {
	s := &spans{now: func() time.Time { return now }}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := newGRPCServer(s)
	t.Cleanup(server.Stop)
	go server.Serve(countedListener{listener, &s.tally})
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.ForceCodecV2(RawCodec{})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	request := wire.NewSpanRequest(10)
	request.Fill(1, now)
	var read uint64
	for n, options := range [][]grpc.CallOption{nil, {grpc.UseCompressor(gzip.Name)}} {
		var answer []byte
		if err := conn.Invoke(t.Context(), "/opentelemetry.proto.collector.trace.v1.TraceService/Export", request.Bytes, &answer, options...); err != nil {
			t.Fatal(err)
		}
		got := s.read()
		if got.Items != 10*uint64(n+1) || got.Sum != 55*uint64(n+1) || got.Bad != 0 {
			t.Errorf("%+v", got)
		}
		if size := got.Wire - read; n == 0 && size < uint64(len(request.Bytes)) || n == 1 && size > uint64(len(request.Bytes))/2 {
			t.Errorf("request %d: %d bytes on the wire, %d uncompressed", n, size, len(request.Bytes))
		}
		read = got.Wire
	}
}
