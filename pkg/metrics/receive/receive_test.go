package receive

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"collector/pkg/component"
	"collector/pkg/httpserver"
	"collector/pkg/httpserver/httpservertest"
	"collector/pkg/pipeline"
)

// sink keeps what it receives, or answers as set.
type sink struct {
	mu     sync.Mutex
	answer func(context.Context) error // guarded by mu
	got    []string                    // guarded by mu
	series map[*pipeline.Series]bool   // guarded by mu
}

func (s *sink) WriteMetrics(ctx context.Context, m pipeline.Metrics) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answer != nil {
		if err := s.answer(ctx); err != nil {
			return err
		}
	}
	s.got = append(s.got, texts(m)...)
	if s.series == nil {
		s.series = map[*pipeline.Series]bool{}
	}
	for _, sample := range m.Samples {
		s.series[sample.Series] = true
	}
	return nil
}

func (s *sink) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	got := s.got
	s.got = nil
	return got
}

// start runs a receiver until the test ends, and returns its URL.
func start(t *testing.T, to ...pipeline.MetricsSink) (*Receive, string) {
	t.Helper()
	return startWith(t, func(*Config) {}, to...)
}

func startWith(t *testing.T, change func(*Config), to ...pipeline.MetricsSink) (*Receive, string) {
	t.Helper()
	var c Config
	c.SetToDefault()
	c.ForwardTo, c.HTTP.ListenAddress, c.HTTP.ListenPort = to, "127.0.0.1", 0
	change(&c)
	r, err := New(c, component.Options{ID: "prometheus.receive_http.test", Metrics: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Bind(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return r, "http://" + r.server.Address() + writePath
}

// post sends a request and returns its answer.
func post(t *testing.T, url string, body []byte, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(text)
}

type marshaler interface{ Marshal() ([]byte, error) }

func encoded(t testing.TB, m marshaler) []byte {
	t.Helper()
	b, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func zipped(t testing.TB, data []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(data, nil)
}

func TestSamplesArriveByEachVersionAndCoding(t *testing.T) {
	to := &sink{}
	r, url := start(t, to)
	one, two := encoded(t, request1()), encoded(t, request2())
	for _, test := range []struct {
		body    []byte
		headers []string
		want    []string
		written string
	}{
		{snappy.Encode(nil, one), nil, texts1(), ""},
		{snappy.Encode(nil, one), []string{"Content-Type", "application/x-protobuf", "Content-Encoding", "snappy", "X-Prometheus-Remote-Write-Version", "0.1.0"}, texts1(), ""},
		{snappy.Encode(nil, one), []string{"Content-Type", "application/x-protobuf;proto=prometheus.WriteRequest", "Content-Encoding", "snappy"}, texts1(), ""},
		{zipped(t, one), []string{"Content-Type", "application/x-protobuf", "Content-Encoding", "zstd"}, texts1(), ""},
		{snappy.Encode(nil, two), []string{"Content-Type", "application/x-protobuf;proto=io.prometheus.write.v2.Request", "Content-Encoding", "snappy"}, texts2(), "3 2 1"},
		{zipped(t, two), []string{"Content-Type", "application/x-protobuf;proto=io.prometheus.write.v2.Request", "Content-Encoding", "zstd"}, texts2(), "3 2 1"},
	} {
		resp, text := post(t, url, test.body, test.headers...)
		if resp.StatusCode != http.StatusNoContent {
			t.Errorf("%v: %s: %s", test.headers, resp.Status, text)
		}
		const prefix = "X-Prometheus-Remote-Write-"
		written := strings.TrimSpace(resp.Header.Get(prefix+"Samples-Written") + " " + resp.Header.Get(prefix+"Histograms-Written") + " " + resp.Header.Get(prefix+"Exemplars-Written"))
		if written != test.written {
			t.Errorf("%v: written: %s", test.headers, written)
		}
		if diff := cmp.Diff(test.want, to.take()); diff != "" {
			t.Errorf("%v: %s", test.headers, diff)
		}
	}
	// The same series is the same one, so that what receivers derive of it is made once.
	// One of them has an empty label in version 1.
	if len(to.series) != 3 {
		t.Errorf("%d series", len(to.series))
	}
	if s := r.Status().(Status); s.Received != 6*5 || s.Forwarded != 6*5 {
		t.Errorf("%+v", s)
	}
}

func TestRequestsThatAreNotAccepted(t *testing.T) {
	to := &sink{}
	r, url := start(t, to)
	good := snappy.Encode(nil, encoded(t, request1()))
	for name, test := range map[string]struct {
		body    []byte
		headers []string
		status  int
		text    string
		reason  string
	}{
		"rubbish":            {[]byte("rubbish"), nil, 400, "unpack the body from snappy: snappy: corrupt input\n", reasonMalformed},
		"no protobuf":        {snappy.Encode(nil, []byte("\xff\xff")), nil, 400, "the bytes are not a protobuf message\n", reasonMalformed},
		"a broken series":    {snappy.Encode(nil, []byte("\x0a\x02\x12\xff")), nil, 400, "series 1: the bytes are not a protobuf message\n", reasonMalformed},
		"another type":       {good, []string{"Content-Type", "text/plain"}, 415, "expected application/x-protobuf as the content type, got \"text/plain\"\n", reasonEncoding},
		"another message":    {good, []string{"Content-Type", "application/x-protobuf;proto=x.Y"}, 415, "the message \"x.Y\" is not supported; supported: prometheus.WriteRequest, io.prometheus.write.v2.Request\n", reasonEncoding},
		"another coding":     {good, []string{"Content-Encoding", "br"}, 415, "the Content-Encoding \"br\" is not supported; supported: snappy, zstd\n", reasonEncoding},
		"broken zstd":        {[]byte("no zstd at all"), []string{"Content-Encoding", "zstd"}, 400, "unpack the body from zstd: ", reasonMalformed},
		"no symbols":         {snappy.Encode(nil, nil), []string{"Content-Type", "application/x-protobuf;proto=io.prometheus.write.v2.Request"}, 400, "the first symbol is not empty\n", reasonMalformed},
		"a page":             {good, []string{"Origin", "http://elsewhere.example"}, 403, "rejected: ", reasonOtherSite},
		"a bomb in snappy":   {snappy.Encode(nil, make([]byte, largest+1)), nil, 413, "the request is too large", reasonTooLarge},
		"a bomb in zstd":     {zipped(t, make([]byte, largest+1)), []string{"Content-Encoding", "zstd"}, 413, "the request is too large", reasonTooLarge},
		"too large":          {make([]byte, largest+1), nil, 413, "the request is too large", reasonTooLarge},
		"a length that lies": {[]byte("\xff\xff\xff\xff\x0f"), nil, 413, "the request is too large", reasonTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			before := testutil.ToFloat64(r.metrics.refused.WithLabelValues(test.reason))
			resp, text := post(t, url, test.body, test.headers...)
			if resp.StatusCode != test.status || !strings.HasPrefix(text, test.text) {
				t.Errorf("%s: %q", resp.Status, text)
			}
			if n := testutil.ToFloat64(r.metrics.refused.WithLabelValues(test.reason)); n != before+1 {
				t.Errorf("%v are counted as %s", n-before, test.reason)
			}
			if shown := r.Receiving(); shown.Refused[test.reason] != uint64(before)+1 || !strings.HasPrefix(shown.Last.Client, "127.0.0.1:") {
				t.Errorf("shown as %+v", shown)
			}
		})
	}
	if got := to.take(); len(got) > 0 {
		t.Errorf("%q", got)
	}
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Error(resp.Status)
	}
	if resp, _ := post(t, strings.Replace(url, "/metrics", "", 1), good); resp.StatusCode != http.StatusNotFound {
		t.Error(resp.Status)
	}
}

func TestErrorsOfReceiversReachTheClient(t *testing.T) {
	good := snappy.Encode(nil, encoded(t, request1()))
	for _, test := range []struct {
		err    error
		status int
		reason string
	}{
		{pipeline.ErrFull, 503, reasonQueueFull},
		{pipeline.ErrClosed, 503, reasonStopped},
		{io.ErrUnexpectedEOF, 503, reasonQueueFailed},
		{pipeline.Permanent(io.ErrUnexpectedEOF), 400, reasonRejected},
	} {
		to := &sink{answer: func(context.Context) error { return test.err }}
		r, url := start(t, to)
		resp, text := post(t, url, good)
		if resp.StatusCode != test.status || (resp.Header.Get("Retry-After") == retryAfter) != (test.status == 503) {
			t.Errorf("%v: %s, %q", test.err, resp.Status, text)
		}
		if n := testutil.ToFloat64(r.metrics.refused.WithLabelValues(test.reason)); n != 1 {
			t.Errorf("%v: %v are counted as %s", test.err, n, test.reason)
		}
		if shown := r.Receiving().Signals[0]; shown.Items != 0 || shown.Refused != 5 {
			t.Errorf("%v: shown as %+v", test.err, shown)
		}
	}
}

func TestWhatOneOfSeveralReceiversDoesNotAcceptIsLostForItAlone(t *testing.T) {
	good, bad := &sink{}, &sink{answer: func(context.Context) error { return pipeline.ErrFull }}
	r, url := start(t, bad, good)
	if resp, text := post(t, url, snappy.Encode(nil, encoded(t, request1()))); resp.StatusCode != http.StatusNoContent {
		t.Errorf("%s: %s", resp.Status, text)
	}
	if n := testutil.ToFloat64(r.metrics.lost.WithLabelValues(reasonQueueFull)); n != 5 || len(good.take()) == 0 {
		t.Errorf("%v are lost", n)
	}
	if n := testutil.ToFloat64(r.metrics.forwarded); n != 5 {
		t.Errorf("%v are forwarded", n)
	}
	if shown := r.Receiving().Signals[0]; shown.Signal != "metrics" || shown.Items != 5 || shown.Last.IsZero() {
		t.Errorf("shown as %+v", shown)
	}
}

func TestWithoutReceiversSamplesAreDropped(t *testing.T) {
	r, url := start(t)
	if resp, _ := post(t, url, snappy.Encode(nil, encoded(t, request1()))); resp.StatusCode != http.StatusNoContent {
		t.Error(resp.Status)
	}
	if n := testutil.ToFloat64(r.metrics.dropped.WithLabelValues(reasonNoDestination)); n != 5 {
		t.Errorf("%v are dropped", n)
	}
}

// A request that is in progress when the component stops has a time to end.
func TestShutdownIsBounded(t *testing.T) {
	began := make(chan struct{})
	to := &sink{answer: func(ctx context.Context) error {
		close(began)
		<-ctx.Done()
		return ctx.Err()
	}}
	var c Config
	c.SetToDefault()
	c.ForwardTo, c.HTTP.ListenAddress, c.HTTP.ListenPort, c.GracefulShutdownTimeout = []pipeline.MetricsSink{to}, "127.0.0.1", 0, 10*time.Millisecond
	r, err := New(c, component.Options{Metrics: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Bind(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	answered := make(chan bool, 1)
	go func() {
		resp, err := http.Post("http://"+r.server.Address()+writePath, protobuf, bytes.NewReader(snappy.Encode(nil, encoded(t, request1()))))
		if err == nil {
			resp.Body.Close()
		}
		answered <- err == nil && resp.StatusCode == http.StatusNoContent
	}()
	<-began
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if <-answered {
		t.Error("a request was acknowledged that nobody has taken")
	}
}

func TestTheServerHasItsSettings(t *testing.T) {
	httpservertest.User{Path: writePath, ContentType: protobuf, Start: func(t *testing.T, server httpserver.Config) string {
		_, url := startWith(t, func(c *Config) { c.HTTP = server }, &sink{})
		return strings.TrimSuffix(strings.TrimPrefix(url, "http://"), writePath)
	}}.Test(t)
}

func TestABadTimeoutIsRejected(t *testing.T) {
	var c Config
	c.SetToDefault()
	c.GracefulShutdownTimeout = -1
	if c.Validate() == nil {
		t.Error("it is accepted")
	}
	warned := ""
	c.SetToDefault()
	c.GRPC, c.GracefulShutdownTimeout = &httpserver.GRPCConfig{}, time.Minute
	if _, err := New(c, component.Options{Warn: func(path, _ string) { warned += path + " " }}); err != nil || warned != "grpc graceful_shutdown_timeout " {
		t.Errorf("%q, %v", warned, err)
	}
}

var (
	_ marshaler = (*prompb.WriteRequest)(nil)
	_ marshaler = (*writev2.Request)(nil)
)
