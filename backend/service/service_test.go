package service

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"collector/backend/api"
	"collector/backend/observe"
	"collector/backend/page"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// newService returns the service's handler, its log, and its spans.
func newService(t *testing.T) (http.Handler, *bytes.Buffer, *tracetest.SpanRecorder) {
	t.Helper()
	out := &bytes.Buffer{}
	log := observe.NewLogger(out, slog.LevelInfo)
	spans := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	service := api.New(api.Options{
		Name: "backend", Version: "v1", Log: log, Provider: provider,
		Wait: func(context.Context, time.Duration) error { return nil },
	})
	pages := page.Routes(page.Options{Name: "backend", Version: "v1"})
	return newHandler(service, pages, provider, observe.NewMetrics("v1"), log), out, spans
}

func get(handler http.Handler, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w
}

func TestAccessGoesAroundMetricsAroundTheRouter(t *testing.T) {
	handler, out, spans := newService(t)
	w := get(handler, "/api/exception")
	// The router's panic comes out of metrics as a response of status 500 with
	// access's request id, and access logs it as such with the trace's ids.
	id := w.Header().Get("X-Request-Id")
	if w.Code != 500 || !strings.Contains(w.Body.String(), id) {
		t.Errorf("status %d, body %s, request id %s", w.Code, w.Body, id)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 {
		t.Fatalf("log has %d lines, want one about the panic and one about the request:\n%s", len(lines), out)
	}
	trace := spans.Ended()[0].SpanContext().TraceID().String()
	for _, line := range lines {
		if !strings.Contains(line, "request_id="+id) || !strings.Contains(line, "trace_id="+trace) {
			t.Errorf("line without its ids: %s", line)
		}
	}
	if !strings.Contains(lines[1], "message=request") || !strings.Contains(lines[1], "status=500") {
		t.Errorf("last line is not about the request: %s", lines[1])
	}
	if page := get(handler, "/metrics").Body.String(); !strings.Contains(page, `http_responses_total{method="GET",path="/api/exception",status_code="500"} 1`) {
		t.Errorf("the panic is not counted as a response:\n%s", page)
	}
}

func TestHealthAndMetricsLeaveNoTrace(t *testing.T) {
	handler, out, spans := newService(t)
	for _, path := range []string{"/health", "/metrics"} {
		if w := get(handler, path); w.Code != http.StatusOK {
			t.Errorf("%s: status %d", path, w.Code)
		}
	}
	if page := get(handler, "/metrics").Body.String(); strings.Contains(page, "http_requests_total{") {
		t.Errorf("they are counted:\n%s", page)
	}
	if out.Len() > 0 {
		t.Errorf("they are logged: %s", out)
	}
	if n := len(spans.Started()); n > 0 {
		t.Errorf("they make %d spans", n)
	}
}

func TestEveryRouteHasItsTemplateInTheMetrics(t *testing.T) {
	handler, _, _ := newService(t)
	for _, path := range []string{"/", "/docs", "/api/items/1", "/api/orders/1", "/nowhere", "/shop"} {
		get(handler, path)
	}
	page := get(handler, "/metrics").Body.String()
	for _, path := range []string{"/", "/docs", "/api/items/{item_id}", "/api/orders/{order_id}", "unmatched", "/shop"} {
		if !strings.Contains(page, `http_requests_total{method="GET",path="`+path+`"} 1`) {
			t.Errorf("no requests for %s", path)
		}
	}
}

// pipeListener accepts connections made in memory, so that a bubble's time
// passes while they wait.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newPipeListener() *pipeListener {
	return &pipeListener{make(chan net.Conn), make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}
func (l *pipeListener) Close() error   { close(l.closed); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func (l *pipeListener) client() *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		select {
		case l.conns <- theirs:
			return ours, nil
		case <-l.closed:
			return nil, net.ErrClosed
		}
	}}}
}

// stopWhileServing stops a server that serves a request taking d, and returns
// the response, and how long stopping took.
func stopWhileServing(t *testing.T, d time.Duration) (status int, body string, took time.Duration, err error) {
	listener := newPipeListener()
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(d):
			io.WriteString(w, "done")
		case <-r.Context().Done():
			http.Error(w, context.Cause(r.Context()).Error(), http.StatusServiceUnavailable)
		}
	})
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- serve(ctx, listener, handler, slog.New(slog.DiscardHandler)) }()
	client := listener.client()
	answered := make(chan *http.Response, 1)
	go func() {
		response, err := client.Get("http://backend/")
		if err != nil {
			t.Error(err)
		}
		answered <- response
	}()
	synctest.Wait()
	start := time.Now()
	stop()
	response := <-answered
	if response == nil {
		t.FailNow()
	}
	text, _ := io.ReadAll(response.Body)
	response.Body.Close()
	client.CloseIdleConnections()
	err = <-served
	return response.StatusCode, strings.TrimSpace(string(text)), time.Since(start), err
}

func TestRequestsFinishBeforeTheServerStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		status, body, took, err := stopWhileServing(t, 2*time.Second)
		if status != 200 || body != "done" || err != nil {
			t.Errorf("status %d, body %q, error %v", status, body, err)
		}
		if took > requestGrace {
			t.Errorf("stopping took %v", took)
		}
	})
}

func TestRequestsThatTakeTooLongAreCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		status, body, took, err := stopWhileServing(t, time.Hour)
		if status != 503 || body != errStopping.Error() || err != nil {
			t.Errorf("status %d, body %q, error %v", status, body, err)
		}
		if took > requestGrace+responseGrace {
			t.Errorf("stopping took %v", took)
		}
	})
}

func TestStoppingIsBounded(t *testing.T) {
	if total := requestGrace + responseGrace + telemetryGrace; total > 5*time.Second {
		t.Errorf("stopping may take %v", total)
	}
}

func TestFlushEndsWithItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		err := flush(
			func(context.Context) error { return nil },
			func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		)
		if err == nil || time.Since(start) != telemetryGrace {
			t.Errorf("error %v after %v", err, time.Since(start))
		}
	})
}
