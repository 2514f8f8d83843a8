package conformance

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	"collector/test/harness"
)

// run is one case that is being run.
type run struct {
	*Case
	place     place
	received  *received
	collector *harness.Collector
	responses []any
}

// start makes the receivers and the files of a case, and starts the collector. started is
// false if the collector rejects the configuration.
func start(t *testing.T, c *Case) (r *run, started bool) {
	t.Helper()
	r = &run{Case: c, received: newReceived(c.HeadersSeen)}
	server := httptest.NewServer(http.Handler(r.received))
	t.Cleanup(server.Close)
	r.place = place{port: harness.FreePorts(t, 3), port2: harness.FreePort(t), out: server.URL + "/case", dir: t.TempDir()}
	r.place.grpc = r.startGRPC(t)
	for name, text := range c.Files {
		path := filepath.Join(r.place.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(r.place.fill(text)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if c.Source.Kind == "scrape" {
		r.servePage(t)
	}
	config, err := c.configuration(r.place)
	if err != nil {
		t.Fatal(err)
	}
	var env []string
	for name, value := range c.Env {
		env = append(env, name+"="+r.place.fill(value))
	}
	r.collector = harness.NewCollector(t, config, env...)
	r.collector.Storage, r.collector.Dir = filepath.Join(r.place.dir, "data"), r.place.dir
	r.collector.Launch(t)
	harness.Eventually(t, 20*time.Second, func() error {
		select {
		case <-r.collector.Done():
			return nil
		default:
		}
		resp, err := http.Get(r.collector.URL + "/-/ready")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if started = resp.StatusCode == http.StatusOK; !started {
			return fmt.Errorf("not ready: %s", resp.Status)
		}
		return nil
	})
	return r, started
}

// startGRPC starts the server for @GRPC@, and returns its address.
func (r *run) startGRPC(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	registerOTLP(s, r.received)
	go s.Serve(l) // until Stop
	t.Cleanup(s.Stop)
	return l.Addr().String()
}

// servePage serves the input as a metrics page, over HTTP/1.0, as when the cases were
// recorded, which a probe detects.
func (r *run) servePage(t *testing.T) {
	t.Helper()
	var page string
	if err := json.Unmarshal(r.Input, &page); err != nil {
		t.Fatal(err)
	}
	contentType := r.Source.ContentType
	if contentType == "" {
		contentType = "text/plain; version=0.0.4; charset=utf-8"
	}
	l, err := net.Listen("tcp", harness.Address(r.place.port+pagePort))
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprintf(conn, "HTTP/1.0 200 OK\r\nContent-Type: %s\r\n\r\n%s", contentType, page)
	})}
	go s.Serve(l) // until Close
	t.Cleanup(func() { s.Close() })
}

// feed gives the collector the input.
func (r *run) feed(t *testing.T) {
	t.Helper()
	harness.Wait(time.Duration(r.Settle * float64(time.Second)))
	switch r.Source.Kind {
	case "loki":
		r.feedLogs(t)
	case "otlp":
		r.feedOTLP(t)
	case "scrape":
	default:
		r.makeRequests(t)
	}
}

func (r *run) feedLogs(t *testing.T) {
	t.Helper()
	var entries []Entry
	if err := json.Unmarshal(r.Input, &entries); err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		value := []any{e.Time, e.Line}
		if len(e.Metadata) > 0 {
			value = append(value, e.Metadata)
		}
		body := encoded(map[string]any{"streams": []any{map[string]any{"stream": e.Labels, "values": []any{value}}}})
		r.post(t, fmt.Sprintf("http://127.0.0.1:%d/loki/api/v1/push", r.place.port+sourcePort), body)
	}
}

func (r *run) feedOTLP(t *testing.T) {
	t.Helper()
	var bySignal map[string]json.RawMessage
	if err := json.Unmarshal(r.Input, &bySignal); err != nil {
		t.Fatal(err)
	}
	for _, signal := range []string{"traces", "metrics", "logs"} {
		if payload := bySignal[signal]; len(payload) > 0 {
			refusal := r.post(t, fmt.Sprintf("http://127.0.0.1:%d/v1/%s", r.place.port+sourcePort, signal), string(payload))
			if refusal != nil {
				r.responses = append(r.responses, refusal)
			}
		}
	}
}

// post sends data to a source. It returns the answer if that is not a success; nil
// otherwise.
func (r *run) post(t *testing.T, url, body string) any {
	t.Helper()
	resp, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	if resp.StatusCode/100 == 2 {
		return nil
	}
	t.Logf("the source answers %s: %s", resp.Status, text)
	return map[string]any{"status": float64(resp.StatusCode), "body": string(text)}
}

// makeRequests makes the requests of the input and notes the answers.
func (r *run) makeRequests(t *testing.T) {
	t.Helper()
	if len(r.Input) == 0 || string(r.Input) == "null" {
		return
	}
	var requests []Request
	if err := json.Unmarshal(r.Input, &requests); err != nil {
		t.Fatal(err)
	}
	for _, request := range requests {
		r.responses = append(r.responses, r.request(t, request))
	}
}

func (r *run) request(t *testing.T, request Request) any {
	t.Helper()
	body := []byte(r.place.fill(request.Body))
	if request.BodyBase64 != "" {
		var err error
		if body, err = base64.StdEncoding.DecodeString(request.BodyBase64); err != nil {
			t.Fatal(err)
		}
	}
	if strings.ContainsAny(request.Method, " <") { // what isn't HTTP: syslog, whose first line is written as a method
		return r.raw(t, request, body)
	}
	made, err := http.NewRequest(request.Method, r.place.fill(request.URL), bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range request.Headers {
		made.Header.Set(name, r.place.fill(value))
	}
	resp, err := (&http.Transport{DisableCompression: true, DisableKeepAlives: true}).RoundTrip(made)
	if err != nil {
		return map[string]any{"error": err.Error()}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return map[string]any{"error": err.Error()}
	}
	out := map[string]any{"status": float64(resp.StatusCode), "body": string(text)}
	if len(request.WantHeaders) > 0 {
		headers := map[string]any{}
		for _, name := range request.WantHeaders {
			if v := resp.Header.Values(name); len(v) > 0 {
				headers[strings.ToLower(name)] = strings.Join(v, ", ")
			}
		}
		out["headers"] = headers
	}
	return out
}

// raw sends a request line, a header and a body to a server that does not speak
// HTTP.
func (r *run) raw(t *testing.T, request Request, body []byte) any {
	t.Helper()
	host := strings.TrimSuffix(strings.TrimPrefix(r.place.fill(request.URL), "http://"), "/")
	conn, err := net.Dial("tcp", host)
	if err != nil {
		return map[string]any{"error": err.Error()}
	}
	defer conn.Close()
	fmt.Fprintf(conn, "%s / HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n%s", request.Method, host, len(body), body)
	_ = conn.SetReadDeadline(time.Now().Add(2 * time.Second)) // nothing but the end is expected
	_, err = io.ReadAll(conn)
	return map[string]any{"error": fmt.Sprint(err)}
}

// output is what has arrived so far, with the answers and the metrics that are
// compared.
func (r *run) output(t *testing.T) (map[string]any, error) {
	t.Helper()
	out, err := r.received.output()
	if len(r.responses) > 0 {
		out["responses"] = r.responses
	}
	if len(r.SelfMetrics) > 0 {
		if lines := r.selfMetrics(t); len(lines) > 0 {
			out["self"] = lines
		}
	}
	return out, err
}

// selfMetrics are the collector's own metrics that begin as the case says.
func (r *run) selfMetrics(t *testing.T) []any {
	t.Helper()
	resp, err := http.Get(r.collector.URL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		if slices.ContainsFunc(r.SelfMetrics, func(prefix string) bool { return strings.HasPrefix(line, prefix) }) {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	sort.Strings(lines)
	var out []any
	for _, line := range lines {
		out = append(out, line)
	}
	return out
}
