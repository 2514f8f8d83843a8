package profiles

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"github.com/grafana/pyroscope/api/gen/proto/go/push/v1/pushv1connect"
	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/listen"
	"collector/pkg/pipeline"
	"collector/pkg/profiles/profilestest"
)

// sink records what it receives, and answers as set.
type sink struct {
	mu     sync.Mutex
	got    []pipeline.Profile
	answer func(context.Context) error
}

func (s *sink) WriteProfile(ctx context.Context, p pipeline.Profile) error {
	if s.answer != nil {
		if err := s.answer(ctx); err != nil {
			return err
		}
	}
	p.Body = bytes.Clone(p.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, p)
	return nil
}

func (s *sink) profiles() []pipeline.Profile {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

// started is a running Receive.
type started struct {
	*Receive
	url  string
	stop func() error // ends Run and returns its error
	reg  *prometheus.Registry
}

func receiveConfig(sinks ...pipeline.ProfilesSink) ReceiveConfig {
	var c ReceiveConfig
	c.SetToDefault()
	c.HTTP.ListenAddress, c.HTTP.ListenPort = "127.0.0.1", 0
	c.ForwardTo = sinks
	return c
}

// start runs a Receive; change, if any, is done to it before.
func start(t *testing.T, c ReceiveConfig, change ...func(*Receive)) *started {
	t.Helper()
	return startIn(t, nil, c, change...)
}

// startIn runs a Receive that listens by pool; nil: one of its own.
func startIn(t *testing.T, pool *listen.Pool, c ReceiveConfig, change ...func(*Receive)) *started {
	t.Helper()
	s := &started{reg: prometheus.NewRegistry()}
	var err error
	if s.Receive, err = NewReceive(c, component.Options{ID: "pyroscope.receive_http.test", Metrics: s.reg, Listeners: pool}); err != nil {
		t.Fatal(err)
	}
	for _, do := range change {
		do(s.Receive)
	}
	if err := s.Bind(); err != nil {
		t.Fatal(err)
	}
	s.url = "http://" + s.Status().(ReceiveStatus).Address
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	s.stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return s
}

// post sends a request and returns status and text of the answer.
func post(t *testing.T, url, contentType string, body io.Reader) (*http.Response, string) {
	t.Helper()
	resp, err := http.Post(url, contentType, body)
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

// ingestForm is a way in which clients use /ingest.
type ingestForm struct {
	name, query, contentType string
	body                     []byte
}

func ingestForms() []ingestForm {
	multi, multiType := profilestest.Multipart(
		profilestest.Part{Name: "profile", File: "profile.pprof", Content: profilestest.Pprof(1)},
		profilestest.Part{Name: "prev_profile", File: "profile.pprof", Content: profilestest.Pprof(2)},
		profilestest.Part{Name: "sample_type_config", File: "sample_type_config.json", Content: []byte(`{"cpu":{"units":"samples"}}`)})
	jfr, jfrType := profilestest.Multipart(
		profilestest.Part{Name: "jfr", File: "jfr", Content: profilestest.JFR(1)},
		profilestest.Part{Name: "labels", File: "labels", Content: []byte("\x0a\x00")})
	return []ingestForm{
		{"multipart pprof, ns", "aggregationType=sum&from=1700000000000000000&name=a%2Fb.c-d%7Bpath%3D%2Fx%2Fy.z%2Cv%3D1%7D&sampleRate=100&spyName=gospy&units=samples&until=1700000010000000000", multiType, multi},
		{"raw pprof, s", "name=app&format=pprof&from=1700000000&until=1700000010", "application/octet-stream", profilestest.Pprof(3)},
		{"raw pprof, ms, no type", "format=pprof&name=app{a=b}&from=1700000000000&until=1700000010000", "", profilestest.Pprof(4)},
		{"JFR with labels", "name=java%7B%7D&format=jfr&spyName=javaspy", jfrType, jfr},
		{"raw JFR", "name=java.app&format=jfr", "application/octet-stream", profilestest.JFR(2)},
		{"lines", "name=py%7Benv%3Dprod%7D&format=lines&units=samples&sampleRate=100", "text/plain", []byte("main;work 12\nmain;idle 3\n")},
		{"groups", "name=rb", "text/plain", []byte("main;work 12\n")},
		{"tree", "name=rs&format=tree", "binary/octet-stream+tree", []byte("\x00\x00\x01\x04main\x0c\x00")},
		{"trie", "name=node&format=trie", "binary/octet-stream+trie", []byte("\x04main\x0c\x00")},
	}
}

func TestIngestForwardsEachFormAsItCame(t *testing.T) {
	s := &sink{}
	r := start(t, receiveConfig(s))
	var want []pipeline.Profile
	for _, form := range ingestForms() {
		req, err := http.NewRequest(http.MethodPost, r.url+"/ingest?"+form.query, bytes.NewReader(form.body))
		if err != nil {
			t.Fatal(err)
		}
		if form.contentType != "" {
			req.Header.Set("Content-Type", form.contentType)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", form.name, resp.Status)
		}
		want = append(want, pipeline.Profile{Route: pipeline.ProfileIngest, Query: form.query, ContentType: form.contentType, Body: form.body, Items: 1})
	}
	if diff := cmp.Diff(want, s.profiles()); diff != "" {
		t.Error(diff)
	}
}

func TestIngestAcceptsBodiesOfUnknownLength(t *testing.T) {
	s := &sink{}
	r := start(t, receiveConfig(s))
	for _, n := range []int{0, 1, 16<<10 - 1, 16 << 10, 1 << 20, 3<<20 + 7} {
		body := bytes.Repeat([]byte{0xa5}, n)
		resp, text := post(t, r.url+"/ingest?name=app", "", struct{ io.Reader }{bytes.NewReader(body)})
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("%d bytes: %s %s", n, resp.Status, text)
		}
		got := s.profiles()
		if !bytes.Equal(got[len(got)-1].Body, body) {
			t.Errorf("a chunked body of %d bytes arrived as %d bytes", n, len(got[len(got)-1].Body))
		}
		post(t, r.url+"/ingest?name=app", "", bytes.NewReader(body))
		got = s.profiles()
		if !bytes.Equal(got[len(got)-1].Body, body) {
			t.Errorf("a body of %d bytes arrived as %d bytes", n, len(got[len(got)-1].Body))
		}
	}
	if used := r.bodies.Used(); used != 0 {
		t.Errorf("%d bytes of the budget were not given back", used)
	}
}

func TestIngestRejectsBadRequestsWithTheReason(t *testing.T) {
	s := &sink{}
	r := start(t, receiveConfig(s))
	f := func(method, path string, status int, words string) {
		t.Helper()
		req, err := http.NewRequest(method, r.url+path, strings.NewReader("x 1\n"))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != status || !strings.Contains(string(text), words) {
			t.Errorf("%s %s: %s %q, want %d %q", method, path, resp.Status, text, status, words)
		}
	}
	f("POST", "/ingest", 400, "name=app")
	f("POST", "/ingest?name=", 400, "name=app")
	f("POST", "/ingest?name=my%20app", 400, `character ' '`)
	f("POST", "/ingest?name=app%7Ba-b%3D1%7D", 400, `"a-b"`)
	f("GET", "/ingest?name=app", 405, "")
	f("PUT", "/ingest?name=app", 405, "")
	f("GET", "/push.v1.PusherService/Push", 405, "")
	f("POST", "/", 404, "")
	f("POST", "/ingest/x", 404, "")
	f("POST", "/push.v1.PusherService/Pull", 404, "")
	if got := s.profiles(); len(got) != 0 {
		t.Errorf("forwarded: %v", got)
	}
}

func TestPagesOfOtherSitesSendNoProfiles(t *testing.T) {
	for name, test := range map[string]struct {
		headers []string
		refused bool
	}{
		"program":                         {[]string{"User-Agent", "pyroscope/1.0"}, false},
		"program by a public name":        {[]string{"Host", "profiles.example.com"}, false},
		"own page behind a proxy":         {[]string{"Origin", "https://shop.example", "Sec-Fetch-Site", "same-origin"}, false},
		"other page":                      {[]string{"Origin", "http://evil.example"}, true},
		"other page, as the browser says": {[]string{"Sec-Fetch-Site", "cross-site"}, true},
	} {
		to := &sink{}
		r := start(t, receiveConfig(to))
		for _, path := range []string{"/ingest?name=app", pushProcedure} {
			req, err := http.NewRequest("POST", r.url+path, strings.NewReader(`{}`))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			for i := 0; i < len(test.headers); i += 2 {
				req.Header.Set(test.headers[i], test.headers[i+1])
			}
			req.Host = req.Header.Get("Host")
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if (resp.StatusCode == http.StatusForbidden) != test.refused || !test.refused && resp.StatusCode != http.StatusOK {
				t.Errorf("%s: %s: %s", name, path, resp.Status)
			}
		}
		want := 0.0
		if test.refused {
			want = 2
		}
		if got := value(t, r.reg, "pyroscope_receive_http_dropped_profiles_total", "other_site"); got != want || test.refused && len(to.profiles()) > 0 {
			t.Errorf("%s: %v refusals are counted, %d profiles forwarded", name, got, len(to.profiles()))
		}
	}
}

func TestClientsAreAskedToRetryWhatCouldNotBeQueued(t *testing.T) {
	s := &sink{}
	r := start(t, receiveConfig(s))
	client := pushv1connect.NewPusherServiceClient(http.DefaultClient, r.url)
	request := pushOf(series([]string{"p"}, "service_name", "a"))
	f := func(err error, status int, code connect.Code, retry string) {
		t.Helper()
		s.answer = func(context.Context) error { return fmt.Errorf("queue: %w", err) }
		resp, text := post(t, r.url+"/ingest?name=app", "", strings.NewReader("x 1\n"))
		if resp.StatusCode != status || resp.Header.Get("Retry-After") != retry || text == "" {
			t.Errorf("%v: %s %q Retry-After %q", err, resp.Status, text, resp.Header.Get("Retry-After"))
		}
		_, pushErr := client.Push(t.Context(), connect.NewRequest(request))
		var connectErr *connect.Error
		if !errors.As(pushErr, &connectErr) || connectErr.Code() != code || connectErr.Meta().Get("Retry-After") != retry {
			t.Errorf("%v: push answers %v", err, pushErr)
		}
	}
	f(pipeline.ErrFull, 503, connect.CodeUnavailable, "5")
	f(pipeline.ErrClosed, 503, connect.CodeUnavailable, "5")
	f(context.DeadlineExceeded, 503, connect.CodeUnavailable, "5")
	f(errors.New("disk broken"), 503, connect.CodeUnavailable, "5")
	f(pipeline.Permanent(errors.New("bad")), 400, connect.CodeInvalidArgument, "")
}

// TestClientsDoNotSeeLocalPaths has a queue fail; the errors that remote clients get
// have no path, and the log has all of it.
func TestClientsDoNotSeeLocalPaths(t *testing.T) {
	const dir = "/var/lib/alloy/data/pyroscope.write.p"
	var log bytes.Buffer
	s := &sink{answer: func(context.Context) error {
		return &fs.PathError{Op: "write", Path: dir, Err: errors.New("no space left on device")}
	}}
	r := start(t, receiveConfig(s), func(r *Receive) { r.options.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	resp, text := post(t, r.url+"/ingest?name=app", "", strings.NewReader("x 1\n"))
	if resp.StatusCode != 503 || text == "" || strings.Contains(text, "/var/lib") {
		t.Errorf("ingest: %s %q", resp.Status, text)
	}
	_, err := pushv1connect.NewPusherServiceClient(http.DefaultClient, r.url).
		Push(t.Context(), connect.NewRequest(pushOf(series([]string{"p"}, "service_name", "a"))))
	if connect.CodeOf(err) != connect.CodeUnavailable || strings.Contains(err.Error(), "/var/lib") {
		t.Errorf("push: %v", err)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), dir) {
		t.Errorf("the log does not name the queue: %s", &log)
	}
}

func TestClientsWaitBoundedlyForTheQueue(t *testing.T) {
	s := &sink{answer: func(ctx context.Context) error {
		if _, ok := ctx.Deadline(); !ok {
			return pipeline.Permanent(errors.New("no deadline"))
		}
		return pipeline.ErrFull
	}}
	r := start(t, receiveConfig(s))
	if resp, text := post(t, r.url+"/ingest?name=app", "", strings.NewReader("")); resp.StatusCode != 503 {
		t.Errorf("%s %s", resp.Status, text)
	}
}

func TestEverySinkGetsTheProfile(t *testing.T) {
	a, b := &sink{}, &sink{}
	r := start(t, receiveConfig(a, b))
	post(t, r.url+"/ingest?name=app", "", strings.NewReader("x 1\n"))
	if len(a.profiles()) != 1 || len(b.profiles()) != 1 {
		t.Errorf("got %v and %v", a.profiles(), b.profiles())
	}
}

func TestTooLargeBodiesAreRejectedBeforeTheyAreSent(t *testing.T) {
	s := &sink{}
	r := start(t, receiveConfig(s))
	for path, contentType := range map[string]string{"/ingest?name=app": "text/plain", pushProcedure: "application/proto"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		// Of the body, not one byte is sent.
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", path, contentType, 100<<20)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if text, _ := io.ReadAll(resp.Body); resp.StatusCode != 413 || !strings.Contains(string(text), "64MiB") {
			t.Errorf("%s: %s %s", path, resp.Status, text)
		}
	}
}

// small makes a receiver's limit testable.
func small(r *Receive) { r.maxBody = 1 << 20 }

func TestTooLargeBodiesOfUnknownLengthAreRejected(t *testing.T) {
	s := &sink{}
	r := start(t, receiveConfig(s), small)
	body := func() io.Reader { return io.LimitReader(zeros{}, r.maxBody+4096) }
	if resp, text := post(t, r.url+"/ingest?name=app", "", body()); resp.StatusCode != 413 {
		t.Errorf("ingest: %s %s", resp.Status, text)
	}
	if resp, text := post(t, r.url+pushProcedure, "application/proto", body()); resp.StatusCode != 413 {
		t.Errorf("push: %s %s", resp.Status, text)
	}
	if used := r.bodies.Used(); used != 0 {
		t.Errorf("%d bytes of the budget were not given back", used)
	}
	if got := value(t, r.reg, "pyroscope_receive_http_dropped_profiles_total", "too_large"); got != 2 {
		t.Errorf("%v requests counted as too large", got)
	}
	if len(s.profiles()) != 0 {
		t.Error("forwarded")
	}
}

// zeros is an endless reader.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestBodiesUnderWayAreBounded(t *testing.T) {
	s := &sink{}
	c := receiveConfig(s)
	r := start(t, c, small)
	r.bodies = listen.NewBudget(280_000)
	// One body may be larger than the budget when it is alone.
	if resp, text := post(t, r.url+"/ingest?name=app", "", strings.NewReader(strings.Repeat("x", 300_000))); resp.StatusCode != 200 {
		t.Fatalf("%s %s", resp.Status, text)
	}
	// The first holds its place while the second arrives.
	entered, leave := make(chan struct{}), make(chan struct{})
	var once atomic.Bool
	s.answer = func(context.Context) error {
		if once.CompareAndSwap(false, true) {
			close(entered)
			<-leave
		}
		return nil
	}
	answered := make(chan int)
	go func() {
		resp, err := http.Post(r.url+"/ingest?name=app", "", strings.NewReader(strings.Repeat("x", 300_000)))
		if err != nil {
			answered <- 0
			return
		}
		resp.Body.Close()
		answered <- resp.StatusCode
	}()
	<-entered
	for _, path := range []string{"/ingest?name=app", pushProcedure} {
		resp, text := post(t, r.url+path, "application/proto", strings.NewReader(strings.Repeat("x", 200_000)))
		if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %s %s", path, resp.Status, text)
		}
	}
	// A client is not asked to retry a body of unknown length that is too large.
	f := func(size, want int) {
		t.Helper()
		if resp, text := post(t, r.url+"/ingest?name=app", "", io.LimitReader(zeros{}, int64(size))); resp.StatusCode != want {
			t.Errorf("%d bytes: %s %s", size, resp.Status, text)
		}
	}
	f(500_000, 503)
	f(int(r.maxBody)+1, 413)
	close(leave)
	if status := <-answered; status != 200 {
		t.Errorf("the first was answered %d", status)
	}
	if used := r.bodies.Used(); used != 0 {
		t.Errorf("%d bytes of the budget were not given back", used)
	}
}
