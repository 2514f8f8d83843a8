package otlphttp

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"

	"collector/pkg/deliver"
	"collector/pkg/listen/listentest"
	"collector/pkg/otlp/exporter/exportertest"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/otlp/receiver/receivertest"
	"collector/pkg/otlp/wire"
	"collector/pkg/pipeline"
)

// made is an otelcol.exporter.otlphttp for endpoint. change may change its
// configuration.
func made(t *testing.T, endpoint, dir string, change func(*Config)) exportertest.Exporter {
	t.Helper()
	var c Config
	c.SetToDefault()
	c.Client.Endpoint = endpoint
	c.Client.Timeout = time.Minute // a busy machine is not a server that hangs
	exportertest.Soon(&c.Retry)
	if change != nil {
		change(&c)
	}
	return exportertest.Make(t, Definition().Name, c, dir, New, &c, &c.Client, &c.Client.TLS, &c.Queue, &c.Retry)
}

// start runs an otelcol.exporter.otlphttp for endpoint.
func start(t *testing.T, endpoint, dir string, change func(*Config)) exportertest.Exporter {
	t.Helper()
	return made(t, endpoint, dir, change).Run(t)
}

// web is an HTTP server that keeps requests and answers as the test says.
type web struct {
	*httptest.Server
	mu       sync.Mutex
	requests []*http.Request
	bodies   [][]byte
}

func startWeb(t *testing.T, answer func(call int, body []byte, w http.ResponseWriter)) *web {
	t.Helper()
	wb := &web{}
	wb.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if r.Header.Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(bytes.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			body, _ = io.ReadAll(z)
		}
		wb.mu.Lock()
		call := len(wb.requests)
		wb.requests, wb.bodies = append(wb.requests, r), append(wb.bodies, body)
		wb.mu.Unlock()
		answer(call, body, w)
	}))
	t.Cleanup(wb.Close)
	return wb
}

func TestHTTPExporterDeliversEverySignalWithEveryCompression(t *testing.T) {
	var to otlptest.Sink
	sv := receivertest.Start(t, otlptest.All(&to), nil)
	arrived := 0
	for _, compression := range []string{"gzip", "zstd", "snappy", "zlib", "deflate", "lz4", "none", ""} {
		e := start(t, "http://"+sv.HTTP+"/", t.TempDir(), func(c *Config) { c.Client.Compression = compression })
		for _, s := range flow.Signals() {
			data := otlptest.Request(t, s, 2, 2, 3, 10)
			e.Write(t, s, data, nil)
			listentest.Eventually(t, "the request has arrived", func() bool { return len(to.Got()) > arrived })
			if got := to.Got()[arrived]; got.Signal != s || !bytes.Equal(got.Data, data) {
				t.Errorf("%s, %s: other bytes arrived than were written", compression, s)
			}
			arrived++
		}
	}
}

func TestHTTPExporterSendsJSON(t *testing.T) {
	var to otlptest.Sink
	sv := receivertest.Start(t, otlptest.All(&to), nil)
	e := start(t, "http://"+sv.HTTP, t.TempDir(), func(c *Config) { c.Encoding = encodingJSON })
	data := otlptest.Request(t, pipeline.SignalTraces, 1, 2, 3, 10)
	e.Write(t, pipeline.SignalTraces, data, nil)
	e.Settled(t)
	if diff := cmp.Diff(otlptest.Flatten(t, pipeline.SignalTraces, data), otlptest.Flatten(t, pipeline.SignalTraces, to.One(t).Data)); diff != "" {
		t.Error(diff)
	}
}

func TestHTTPExporterHoldsOrDropsByStatus(t *testing.T) {
	for code, held := range map[int]bool{
		400: false, 401: true, 402: true, 403: true, 404: true, 408: true, 415: true, 422: false,
		429: true, 500: true, 502: true, 503: true, 504: true,
	} {
		wb := startWeb(t, func(call int, _ []byte, w http.ResponseWriter) {
			if call < 2 || !held {
				w.WriteHeader(code)
			}
		})
		e := start(t, wb.URL, t.TempDir(), nil)
		e.Write(t, pipeline.SignalTraces, otlptest.Request(t, pipeline.SignalTraces, 1, 1, 1, 1), nil)
		s := e.Settled(t)
		if (s.Delivered == 1) != held || (s.Dropped["rejected"] == 1) == held {
			t.Errorf("%d: delivered %d, dropped %v", code, s.Delivered, s.Dropped)
		}
		e.Stop()
	}
}

func TestHTTPExporterCutsWhatIsTooLarge(t *testing.T) {
	wb := startWeb(t, func(_ int, body []byte, w http.ResponseWriter) {
		if len(body) > 20_000 {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
		}
	})
	e := start(t, wb.URL, t.TempDir(), nil)
	e.Write(t, pipeline.SignalLogs, otlptest.Request(t, pipeline.SignalLogs, 1, 1, 100, 1000), nil)
	if s := e.Settled(t); s.Delivered != 100 {
		t.Errorf("delivered %d, dropped %v", s.Delivered, s.Dropped)
	}
}

func TestHTTPExporterReadsAnswers(t *testing.T) {
	protobuf := otlptest.Nested(1, otlptest.Concat([]byte{8, 2}, otlptest.Nested(2, []byte("bad"))))
	for name, answer := range map[string]func(http.ResponseWriter){
		"protobuf": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", wire.TypeProtobuf)
			w.Write(protobuf)
		},
		"JSON, number": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", wire.TypeJSON)
			io.WriteString(w, `{"partialSuccess":{"rejectedSpans":2,"errorMessage":"bad"}}`)
		},
		"JSON, string": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", wire.TypeJSON)
			io.WriteString(w, `{"partialSuccess":{"rejectedSpans":"2","errorMessage":"bad"}}`)
		},
	} {
		wb := startWeb(t, func(_ int, _ []byte, w http.ResponseWriter) { answer(w) })
		e := start(t, wb.URL, t.TempDir(), nil)
		e.Write(t, pipeline.SignalTraces, otlptest.Request(t, pipeline.SignalTraces, 1, 1, 5, 1), nil)
		if s := e.Settled(t); s.Delivered != 3 || s.Dropped["partial_success"] != 2 {
			t.Errorf("%s: delivered %d, dropped %v", name, s.Delivered, s.Dropped)
		}
	}
}

func TestAWrongPathIsShownWithoutItsSecrets(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	wrong := strings.Replace(s.URL, "http://", "http://u:s3cret@", 1) + "/wrong"
	e := start(t, s.URL, t.TempDir(), func(c *Config) { c.TracesEndpoint = wrong + "?key=s3cret" })
	e.Write(t, pipeline.SignalTraces, otlptest.Request(t, pipeline.SignalTraces, 1, 1, 5, 1), nil)
	listentest.Eventually(t, "the failure shows", func() bool { return e.Delivery(t).LastError != "" })
	got := e.Delivery(t)
	if want := "POST " + s.URL + "/wrong: 404 Not Found: 404 page not found"; got.LastError != want || got.URL != s.URL+"/wrong" {
		t.Errorf("%q at %q, want %q", got.LastError, got.URL, want)
	}
}

func TestHTTPExporterShowsTheServersReason(t *testing.T) {
	body, err := proto.Marshal(&spb.Status{Code: 3, Message: "span 7 has no name"})
	if err != nil {
		t.Fatal(err)
	}
	wb := startWeb(t, func(_ int, _ []byte, w http.ResponseWriter) {
		w.Header().Set("Content-Type", wire.TypeProtobuf)
		w.WriteHeader(http.StatusBadRequest)
		w.Write(body)
	})
	e := start(t, wb.URL, t.TempDir(), nil)
	e.Write(t, pipeline.SignalTraces, otlptest.Request(t, pipeline.SignalTraces, 1, 1, 1, 1), nil)
	if got, want := e.Settled(t).LastError, "POST "+wb.URL+"/v1/traces: 400 Bad Request: span 7 has no name"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestHTTPExporterSendsHeadersAndCookies(t *testing.T) {
	wb := startWeb(t, func(_ int, _ []byte, w http.ResponseWriter) {
		http.SetCookie(w, &http.Cookie{Name: "sticky", Value: "a"})
	})
	e := start(t, wb.URL, t.TempDir(), func(c *Config) {
		c.Client.Headers = map[string]string{"X-Scope-OrgID": "tenant", "Host": "tempo.example.com"}
		c.Client.Cookies = &Cookies{Enabled: true}
		c.TracesEndpoint = wb.URL + "/otlp/traces"
	})
	for range 2 {
		e.Write(t, pipeline.SignalTraces, otlptest.Request(t, pipeline.SignalTraces, 1, 1, 1, 1), nil)
		e.Settled(t)
	}
	first, second := wb.requests[0], wb.requests[1]
	if first.Header.Get("X-Scope-OrgID") != "tenant" || first.Host != "tempo.example.com" || first.URL.Path != "/otlp/traces" ||
		first.Header.Get("User-Agent") != "collector/test" || first.Header.Get("Content-Type") != wire.TypeProtobuf {
		t.Errorf("request %s %s %v", first.Host, first.URL, first.Header)
	}
	if c, err := second.Cookie("sticky"); err != nil || c.Value != "a" {
		t.Errorf("cookie %v (%v)", c, err)
	}
}

func TestHTTPExporterSaysThatASignalHasNoEndpoint(t *testing.T) {
	e := start(t, "", t.TempDir(), func(c *Config) { c.TracesEndpoint = "http://127.0.0.1:1" })
	err := e.WriteOTLP(t.Context(), pipeline.OTLP{Signal: pipeline.SignalLogs})
	if !pipeline.IsPermanent(err) || !strings.Contains(err.Error(), "no endpoint for logs") {
		t.Errorf("got %v", err)
	}
}

func TestHTTPExporterRunsThoughASignalHasLostItsEndpoint(t *testing.T) {
	wb := startWeb(t, func(int, []byte, http.ResponseWriter) {})
	dir := t.TempDir()
	before := start(t, "http://127.0.0.1:1", dir, nil)
	before.Write(t, pipeline.SignalLogs, otlptest.Request(t, pipeline.SignalLogs, 1, 1, 1, 1), nil)
	before.Stop()
	e := start(t, "", dir, func(c *Config) { c.TracesEndpoint = wb.URL })
	e.Write(t, pipeline.SignalTraces, otlptest.Request(t, pipeline.SignalTraces, 1, 1, 1, 1), nil)
	if s := e.Settled(t); s.Delivered != 1 {
		t.Errorf("delivered %d spans, want 1", s.Delivered)
	}
	e.Stop()
	after := start(t, wb.URL, dir, nil)
	listentest.Eventually(t, "the log records are delivered", func() bool {
		for _, s := range after.Status().([]deliver.Status) {
			if s.Signal == string(pipeline.SignalLogs) && s.Delivered == 1 {
				return true
			}
		}
		return false
	})
}
