package faro

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/listen"
	"collector/pkg/logs/logstest"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/pipeline"
)

// started is a Receiver that runs.
type started struct {
	*Receiver
	url  string
	reg  *prometheus.Registry
	warn []string // of New
}

// settings are the defaults with outputs, as change changes them.
func settings(logs []pipeline.LogsSink, traces []pipeline.OTLPSink, change func(*Config)) Config {
	var c Config
	c.SetToDefault()
	c.Server.ListenPort = 0
	c.Output = OutputConfig{logs, traces}
	if change != nil {
		change(&c)
	}
	return c
}

func start(t *testing.T, c Config) *started {
	t.Helper()
	s := &started{reg: prometheus.NewRegistry()}
	var err error
	s.Receiver, err = New(c, component.Options{ID: "faro.receiver.test", Metrics: s.reg, Warn: func(path, _ string) { s.warn = append(s.warn, path) }})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Bind(); err != nil {
		t.Fatal(err)
	}
	s.url = "http://" + s.Status().(Status).Address
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if used := s.budget.Used(); used != 0 {
			t.Errorf("%d bytes are still claimed", used)
		}
	})
	return s
}

// post sends a body and returns the answer and its text. headers are pairs.
func (s *started) post(t *testing.T, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	return s.send(t, strings.NewReader(body), headers...)
}

func (s *started) send(t *testing.T, body io.Reader, headers ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, s.url+collectPath, body)
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
	return resp, string(text)
}

func (s *started) counts(t *testing.T, name, value string, want float64) {
	t.Helper()
	if got := otlptest.Counter(t, s.reg, "faro_receiver_"+name, value); got != want {
		t.Errorf("faro_receiver_%s of %q is %v, want %v", name, value, got, want)
	}
}

// labelsAndLines are what a sink has got, without times.
func labelsAndLines(s *logstest.Sink) (out []string) {
	for _, e := range s.All() {
		out = append(out, e.Labels+" "+e.Line)
	}
	return out
}

const (
	oneLog   = `{"logs":[{"message":"m","level":"info"}]}`
	oneTrace = `"traces":{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc601","spanId":"eee19b7ec3c1b101","name":"click"}]}]}]}`
)

func TestExtraLabelsAreValuesOrThoseOfFields(t *testing.T) {
	to := &logstest.Sink{}
	s := start(t, settings([]pipeline.LogsSink{to}, nil, func(c *Config) {
		c.LogLabels = map[string]string{"service": "shop", "kind": "", "value_n": "", "app_name": "", "none": ""}
	}))
	if resp, _ := s.post(t, `{"meta":{"app":{"name":"ui"}},"logs":[{"message":"a"},{"message":"b"}],"measurements":[{"type":"t","values":{"n":2.5}}]}`); resp.StatusCode != http.StatusAccepted {
		t.Fatal(resp.Status)
	}
	var got []string
	for _, e := range to.All() {
		got = append(got, e.Labels)
	}
	log := `{app_name="ui", kind="log", service="shop"}`
	if want := []string{log, log, `{app_name="ui", kind="measurement", service="shop", value_n="2.5"}`}; !slices.Equal(got, want) {
		t.Errorf("the labels are %q, want %q", got, want)
	}
	if all := to.All(); !all[0].Time.Before(all[1].Time) {
		t.Errorf("two entries have the times %v and %v", all[0].Time, all[1].Time)
	}
}

// A field of the page's own that is named like another takes its place, and a key that
// logfmt cannot have costs nothing but itself.
func TestFieldsOfTheSameNameAndOddNames(t *testing.T) {
	to := &logstest.Sink{}
	s := start(t, settings([]pipeline.LogsSink{to}, nil, nil))
	s.post(t, `{"meta":{"app":{"name":"ui"}},"measurements":[{"type":"t","values":{"kind":1,"app_name":2,"=":3,"value_x":4,"x":5}}]}`)
	want := `{} timestamp="0001-01-01 00:00:00 +0000 UTC" kind=1.000000 type=t app_name=ui value_x=5 x=5.000000`
	got := labelsAndLines(to)
	if len(got) != 1 || !strings.HasPrefix(got[0], want) {
		t.Errorf("got %q, want %q and more", got, want)
	}
}

func TestStatusOfRejectedRequests(t *testing.T) {
	to := &logstest.Sink{}
	s := start(t, settings([]pipeline.LogsSink{to}, nil, func(c *Config) {
		c.Server.APIKey, c.Server.MaxAllowedPayloadSize = "k", 100
	}))
	large := oneLog + strings.Repeat(" ", 100)
	for _, c := range []struct {
		name    string
		body    io.Reader
		headers []string
		status  int
		reason  string
	}{
		{"no key", strings.NewReader(oneLog), nil, 401, reasonKey},
		{"another key", strings.NewReader(oneLog), []string{keyHeader, "x"}, 401, reasonKey},
		{"too large without the key", strings.NewReader(large), nil, 401, reasonKey},
		{"too large", strings.NewReader(large), []string{keyHeader, "k"}, 413, reasonTooLarge},
		{"too large, without a length", io.MultiReader(strings.NewReader(large)), []string{keyHeader, "k"}, 413, reasonTooLarge},
		{"broken traces", strings.NewReader(`{"traces":{"resourceSpans":7}}`), []string{keyHeader, "k"}, 400, reasonMalformed},
		{"of another site", strings.NewReader(oneLog), []string{keyHeader, "k", "Origin", "http://elsewhere.example"}, 403, reasonOtherSite},
	} {
		before := otlptest.Counter(t, s.reg, "faro_receiver_refused_requests_total", c.reason)
		if resp, text := s.send(t, c.body, c.headers...); resp.StatusCode != c.status {
			t.Errorf("%s: %s %q, want %d", c.name, resp.Status, text, c.status)
		}
		s.counts(t, "refused_requests_total", c.reason, before+1)
	}
	if to.Calls() != 0 {
		t.Errorf("something has arrived: %q", labelsAndLines(to))
	}
	if resp, text := s.post(t, oneLog, keyHeader, "k"); resp.StatusCode != http.StatusAccepted || text != "ok" {
		t.Errorf("with the key: %s %q", resp.Status, text)
	}
}

// A payload repeats in each line what it says once of the page. One of which the lines
// would need more memory than a request may have is refused, and not built.
func TestAPayloadWhoseLinesNeedTooMuchMemoryIsRejected(t *testing.T) {
	to := &logstest.Sink{}
	pool := listen.NewPool()
	c := settings([]pipeline.LogsSink{to}, nil, nil)
	r, err := New(c, component.Options{Listeners: pool})
	if err != nil {
		t.Fatal(err)
	}
	r.budget = listen.NewBudget(16 << 20)
	url := strings.Repeat("u", 1<<20)
	body := `{"meta":{"page":{"url":"` + url + `"}},"logs":[` + strings.Repeat(`{"message":"m"},`, 1000) + `{}]}`
	w := httptest.NewRecorder()
	r.handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, collectPath, strings.NewReader(body)))
	if w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("it is answered %d %q", w.Code, w.Body)
	}
	if to.Calls() != 0 || r.budget.Used() != 0 {
		t.Errorf("%d calls, and %d bytes are still claimed", to.Calls(), r.budget.Used())
	}
}

func TestAClientGetsNoAnswerBeforeAllIsQueued(t *testing.T) {
	to := &logstest.Sink{Block: make(chan struct{})}
	s := start(t, settings([]pipeline.LogsSink{to}, nil, nil))
	answered := make(chan int, 1)
	go func() {
		resp, err := http.Post(s.url+collectPath, "application/json", strings.NewReader(oneLog))
		if err != nil {
			answered <- 0
			return
		}
		resp.Body.Close()
		answered <- resp.StatusCode
	}()
	for to.Calls() == 0 {
		select {
		case status := <-answered:
			t.Fatalf("answered %d before the sink was asked", status)
		case <-time.After(time.Millisecond):
		}
	}
	select {
	case status := <-answered:
		t.Fatalf("answered %d before the entry was queued", status)
	default:
	}
	close(to.Block)
	if status := <-answered; status != http.StatusAccepted {
		t.Errorf("answered %d", status)
	}
}

func TestWhatNoOutputAcceptsStaysWithTheClient(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		reason string
	}{
		{pipeline.ErrFull, 503, reasonQueueFull},
		{pipeline.ErrClosed, 503, reasonStopped},
		{errors.New("disk"), 503, reasonQueueFailed},
		{pipeline.Permanent(errors.New("bad")), 400, reasonRejected},
	} {
		to := &logstest.Sink{Fail: func(int) error { return c.err }}
		s := start(t, settings([]pipeline.LogsSink{to}, nil, nil))
		resp, text := s.post(t, oneLog)
		if resp.StatusCode != c.status || (c.status == 503) != (resp.Header.Get("Retry-After") != "") || strings.Contains(text, "disk") {
			t.Errorf("%v: %s %q", c.err, resp.Status, text)
		}
		s.counts(t, "refused_requests_total", c.reason, 1)
		s.counts(t, "exporter_errors_total", logsExporter, 1)
		s.counts(t, "logs_total", "", 0)
		if shown := s.Receiving(); shown.Refused[c.reason] != 1 || shown.Signals[0].Refused != 1 || !strings.HasPrefix(shown.Last.Client, "127.0.0.1:") {
			t.Errorf("shown as %+v", shown)
		}
	}
	s := start(t, settings([]pipeline.LogsSink{&logstest.Sink{}}, nil, nil))
	if resp, _ := s.post(t, oneLog); resp.StatusCode != http.StatusAccepted || s.Receiving().Signals[0].Items != 1 {
		t.Errorf("%s, shown as %+v", resp.Status, s.Receiving())
	}
}

// A client that got an error because of one output would send the payload to the others
// again.
func TestWhatOneOutputOfSeveralDoesNotAcceptIsLostForThatOne(t *testing.T) {
	logs, spans := &logstest.Sink{}, &otlptest.Sink{}
	full := otlptest.SinkFunc(func(context.Context, pipeline.OTLP) error { return pipeline.ErrFull })
	s := start(t, settings([]pipeline.LogsSink{logs}, []pipeline.OTLPSink{spans, full}, nil))
	if resp, _ := s.post(t, `{"logs":[{"message":"m"}],`+oneTrace+`}`); resp.StatusCode != http.StatusAccepted {
		t.Fatal(resp.Status)
	}
	if len(logs.All()) != 1 || len(spans.Got()) != 1 {
		t.Errorf("%d entries and %d requests have arrived", len(logs.All()), len(spans.Got()))
	}
	s.counts(t, "lost_items_total", reasonQueueFull, 1)
	s.counts(t, "exporter_errors_total", tracesExporter, 1)
	if got, want := s.Status().(Status), uint64(2); got.Received != want || got.Forwarded != want {
		t.Errorf("the status is %+v", got)
	}
}

func TestItemsWithoutAnOutputAreCounted(t *testing.T) {
	s := start(t, settings(nil, nil, nil))
	if resp, _ := s.post(t, `{"logs":[{},{}],`+oneTrace+`}`); resp.StatusCode != http.StatusAccepted {
		t.Fatal(resp.Status)
	}
	s.counts(t, "lost_items_total", string(pipeline.SignalLogs), 2)
	s.counts(t, "lost_items_total", string(pipeline.SignalTraces), 1)
}

func TestTheHeadersOfARequestArriveWithItsTraces(t *testing.T) {
	for _, include := range []bool{true, false} {
		var mu sync.Mutex
		var got []string
		to := otlptest.SinkFunc(func(ctx context.Context, _ pipeline.OTLP) error {
			mu.Lock()
			defer mu.Unlock()
			got = flow.MetadataOf(ctx).Values("x-tenant")
			return nil
		})
		s := start(t, settings(nil, []pipeline.OTLPSink{to}, func(c *Config) { c.Server.IncludeMetadata = include }))
		s.post(t, `{`+oneTrace+`}`, "X-Tenant", "a")
		mu.Lock()
		if slices.Equal(got, []string{"a"}) != include {
			t.Errorf("include_metadata = %t: the header is %q", include, got)
		}
		mu.Unlock()
	}
}

// Two outputs that decode traces each get a request of their own.
func TestOutputsThatDecodeTracesShareOneRequest(t *testing.T) {
	a, b := &otlptest.Reader{}, &otlptest.Reader{}
	s := start(t, settings(nil, []pipeline.OTLPSink{a, b}, nil))
	if resp, text := s.post(t, `{`+oneTrace+`}`); resp.StatusCode != http.StatusAccepted {
		t.Errorf("%s %q", resp.Status, text)
	}
}

func TestABucketBeginsAsFullAsAlloys(t *testing.T) {
	for _, c := range []struct {
		rate, burst float64
		global      int // tokens at the start: rate² · burst, or all
	}{{1, 2, 2}, {50, 100, 100}, {0.5, 8, 2}, {0.1, 5, 0}, {0, 5, 0}, {1e9, 1e9, 1e9}} {
		config := RateConfig{Rate: c.rate, BurstSize: c.burst}
		if got := int(limitAll(config).Tokens()); got != c.global {
			t.Errorf("rate %v, burst %v: %d tokens, want %d", c.rate, c.burst, got, c.global)
		}
		apps := limitApps(config, prometheus.NewRegistry())
		if allowed := apps.allow(app{name: "a"}); !allowed {
			t.Errorf("rate %v, burst %v: an app has no token", c.rate, c.burst)
		}
	}
}

func TestAppsBeyondTheLimitShareOneBucket(t *testing.T) {
	reg := prometheus.NewRegistry()
	l := limitApps(RateConfig{Rate: 0.001, BurstSize: 1}, reg)
	for i := range maxApps + 5 {
		if allowed := l.allow(app{name: fmt.Sprint(i)}); allowed != (i <= maxApps) {
			t.Fatalf("app %d: allowed is %t", i, allowed)
		}
	}
	if l.allow(app{name: strings.Repeat("a", maxAppName+1)}) {
		t.Error("a name that is too long has a bucket of its own")
	}
	if n := l.active(); n != maxApps+1 {
		t.Errorf("%v buckets are kept", n)
	}
	for _, limit := range l.apps {
		limit.used = limit.used.Add(-2 * appExpiry)
	}
	if n := l.active(); n != 0 {
		t.Errorf("%v buckets are kept after they have expired", n)
	}
	if n := otlptest.Counter(t, reg, "faro_receiver_rate_limiter_requests_total", ""); n != 0 {
		t.Errorf("metrics of apps that have expired say %v", n)
	}
}

func TestBadSettingsAreRejectedAtTheirArgument(t *testing.T) {
	otlptest.Says(t, "", func(*Config) {})
	otlptest.Says(t, "", func(c *Config) { c.LogFormat = "" })
	otlptest.Says(t, "log_format: ", func(c *Config) { c.LogFormat = "xml" })
	otlptest.Says(t, "listen_port: ", func(c *ServerConfig) { c.ListenPort = 70000 })
	otlptest.Says(t, "strategy: ", func(c *RateConfig) { c.Strategy = "per_user" })
	otlptest.Says(t, "download_timeout: ", func(c *SourceMapsConfig) { c.DownloadTimeout = -1 })
}

func TestAPathThatIsNoTemplateIsRejected(t *testing.T) {
	for path, ok := range map[string]bool{"/maps/{{ .Release }}": true, "/maps": true, "/maps/{{": false, "/maps/{{ .Version }}": false} {
		if err := (&LocationConfig{Path: path}).Validate(); (err == nil) != ok {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestDownloadsCauseAWarning(t *testing.T) {
	s := start(t, settings(nil, nil, func(c *Config) { c.SourceMaps.Download = true }))
	if !slices.Equal(s.warn, []string{"sourcemaps/download"}) {
		t.Errorf("the warnings are about %q", s.warn)
	}
	if s := start(t, settings(nil, nil, nil)); len(s.warn) > 0 || s.maps != nil {
		t.Errorf("without anything set, warnings are about %q", s.warn)
	}
}

// Version 2.12 of the SDK sends these headers, the first with requestCompression; browsers ask for them in this order.
func TestPagesOfAllowedOriginsMaySendTheHeadersOfTheSDK(t *testing.T) {
	s := start(t, settings([]pipeline.LogsSink{&logstest.Sink{}}, nil, func(c *Config) { c.Server.CORSAllowedOrigins = []string{"https://shop.test"} }))
	r, err := http.NewRequest(http.MethodOptions, s.url+collectPath, nil)
	if err != nil {
		t.Fatal(err)
	}
	const headers = "content-encoding,content-type,idempotency-key,x-faro-session-id"
	for name, value := range map[string]string{"Origin": "https://shop.test", "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": headers} {
		r.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got := resp.Header.Get("Access-Control-Allow-Headers"); got != headers {
		t.Errorf("allowed are %q, want %q", got, headers)
	}
}
