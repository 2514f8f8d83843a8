package profiles

import (
	"bytes"
	"compress/gzip"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/listen"
)

// logTo makes a receiver log to b, which can be read when it has answered.
func logTo(b *bytes.Buffer) func(*Receive) {
	return func(r *Receive) {
		r.options.Logger = slog.New(slog.NewTextHandler(b, nil))
		r.http.Paths = listen.NewPaths(prometheus.WrapRegistererWithPrefix("test_", r.options.Metrics), r.options.Logger)
	}
}

func TestAClientOfAnotherPathIsNamedAndCounted(t *testing.T) {
	var log bytes.Buffer
	r := start(t, receiveConfig(&sink{}), logTo(&log))
	for range 2 {
		resp, text := post(t, r.url+"/ingest/ingest", "", strings.NewReader("x"))
		if resp.StatusCode != http.StatusNotFound || !strings.Contains(text, "adds /ingest") {
			t.Errorf("%s: %s", resp.Status, text)
		}
	}
	if resp, _ := post(t, r.url+"/v1/traces", "", strings.NewReader("x")); resp.StatusCode != http.StatusNotFound {
		t.Error(resp.Status)
	}
	for kind, want := range map[string]float64{"doubled": 2, "otlp": 1} {
		if n := value(t, r.reg, "test_collector_receiver_unknown_path_requests_total", kind); n != want {
			t.Errorf("%v requests are counted as %s, want %v", n, kind, want)
		}
	}
	if n := strings.Count(log.String(), "client=127.0.0.1:"); n != 2 {
		t.Errorf("%d lines name a client:\n%s", n, log.String())
	}
}

func TestWhatClientsPushIsShown(t *testing.T) {
	r := start(t, receiveConfig(&sink{}))
	for path, want := range map[string]int{"/ingest?name=app": http.StatusOK, "/ingest": http.StatusBadRequest, "/ingest/ingest": http.StatusNotFound} {
		if resp, text := post(t, r.url+path, "", strings.NewReader("x")); resp.StatusCode != want {
			t.Errorf("%s: %s: %s", path, resp.Status, text)
		}
	}
	got := r.Receiving()
	if len(got.Signals) != 1 || got.Signals[0].Items != 1 || got.Signals[0].Last.IsZero() || got.Refused["bad_request"] != 1 || got.Refused["unknown_path"] != 1 {
		t.Errorf("%+v", got)
	}
	if len(got.Listens) != 1 || "http://"+strings.TrimPrefix(got.Listens[0], "HTTP on ") != r.url {
		t.Errorf("it listens on %q, not %s", got.Listens, r.url)
	}
}

func TestARefusalOfAProfileNamesTheClient(t *testing.T) {
	var log bytes.Buffer
	r := start(t, receiveConfig(&sink{}), logTo(&log))
	for range 2 {
		if resp, _ := post(t, r.url+"/ingest", "", strings.NewReader("x")); resp.StatusCode != http.StatusBadRequest {
			t.Error(resp.Status)
		}
	}
	if n := strings.Count(log.String(), "client=127.0.0.1:"); n != 1 {
		t.Errorf("%d lines name the client:\n%s", n, log.String())
	}
}

// A compressed body must not reach the backend as if it were the profile.
func TestTheContentEncodingOfAnIngestIsRemoved(t *testing.T) {
	s := &sink{}
	r := start(t, receiveConfig(s))
	send := func(encoding string, body []byte) (status int) {
		req, err := http.NewRequest(http.MethodPost, r.url+"/ingest?name=app", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Encoding", encoding)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	w.Write([]byte("profile"))
	w.Close()
	for encoding, want := range map[string]int{"gzip": 200, "br": 415} {
		if got := send(encoding, packed.Bytes()); got != want {
			t.Errorf("%s is answered %d, want %d", encoding, got, want)
		}
	}
	if got := send("gzip", []byte("profile")); got != http.StatusBadRequest {
		t.Errorf("what is no gzip is answered %d", got)
	}
	for reason, want := range map[string]float64{"encoding": 1, "bad_request": 1} {
		if n := value(t, r.reg, "pyroscope_receive_http_dropped_profiles_total", reason); n != want {
			t.Errorf("%v requests are counted as %s", n, reason)
		}
	}
	if got := s.profiles(); len(got) != 1 || string(got[0].Body) != "profile" {
		t.Errorf("forwarded: %v", got)
	}
}
