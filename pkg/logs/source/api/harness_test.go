package api

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/grafana/loki/pkg/push"
	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/listen"
	"collector/pkg/logs/logstest"
	"collector/pkg/pipeline"
)

func config(to ...pipeline.LogsSink) Config {
	var c Config
	c.SetToDefault()
	c.HTTP.ListenAddress, c.HTTP.ListenPort = "127.0.0.1", 0
	c.UseIncomingTimestamp = true
	c.ForwardTo = to
	return c
}

// started is a Source that runs.
type started struct {
	*Source
	url  string
	stop func() error // ends Run and returns its error
}

// start runs a Source that listens by pool; nil: one of its own.
func start(t *testing.T, c Config, pool *listen.Pool) *started {
	t.Helper()
	source, err := New(c, component.Options{ID: "loki.source.api.test", Metrics: prometheus.NewRegistry(), Listeners: pool})
	if err != nil {
		t.Fatal(err)
	}
	if err := source.Bind(); err != nil {
		t.Fatal(err)
	}
	s := &started{Source: source, url: "http://" + source.Status().(Status).Address}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- source.Run(ctx) }()
	s.stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
		if used := source.budget.Used(); used != 0 {
			t.Errorf("%d bytes are still claimed", used)
		}
	})
	return s
}

// post sends a body and returns the status and the text of the answer. headers
// are pairs.
func (s *started) post(t *testing.T, path string, body []byte, headers ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, s.url+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func (s *started) postJSON(t *testing.T, body string, headers ...string) (int, string) {
	t.Helper()
	return s.post(t, pushPath, []byte(body), append([]string{"Content-Type", "application/json"}, headers...)...)
}

// one is a push of one line in JSON.
func one(labels, line string) string {
	return fmt.Sprintf(`{"streams":[{"stream":%s,"values":[["1700000000000000001",%q]]}]}`, labels, line)
}

// inProtobuf is a push of one stream.
func inProtobuf(t testing.TB, labels string, entries ...push.Entry) []byte {
	t.Helper()
	data, err := (&push.PushRequest{Streams: []push.Stream{{Labels: labels, Entries: entries}}}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return snappy.Encode(nil, data)
}

func packed(t testing.TB, coding string, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	switch coding {
	case "gzip":
		w = gzip.NewWriter(&b)
	case "zlib":
		w = zlib.NewWriter(&b)
	case "deflate":
		w, _ = flate.NewWriter(&b, flate.BestSpeed)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// written is what arrived, in words.
func written(s *logstest.Sink) []string {
	out := []string{}
	for _, e := range s.All() {
		out = append(out, strings.TrimSuffix(fmt.Sprintf("%s %d %q %s", e.Labels, e.Time.UnixNano(), e.Line, e.Metadata), " "))
	}
	return out
}

func at(seconds, nanos int64) time.Time { return time.Unix(seconds, nanos).UTC() }

func portOf(t *testing.T, address string) int {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
