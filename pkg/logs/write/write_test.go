package write

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/deliver"
	"collector/pkg/httpclient"
	"collector/pkg/logs/logstest"
	"collector/pkg/logs/lokitest"
	"collector/pkg/pipeline"
	"collector/pkg/queue"
)

// writeConfig is a loki.write with one endpoint that doesn't wait.
func writeConfig(url string) Config {
	var cfg Config
	cfg.SetToDefault()
	cfg.Endpoints = []Endpoint{endpoint(url)}
	return cfg
}

func endpoint(url string) Endpoint {
	var e Endpoint
	e.SetToDefault()
	e.URL, e.BatchWait, e.MinBackoff, e.MaxBackoff = url, time.Millisecond, time.Millisecond, 10*time.Millisecond
	return e
}

// startWrite runs a loki.write until the test ends.
func startWrite(t *testing.T, cfg Config) *Write {
	t.Helper()
	w, err := New(cfg, component.Options{Dir: t.TempDir(), Metrics: prometheus.NewRegistry(), UserAgent: "test/1"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return w
}

func stream(lset labels.Labels, entries ...pipeline.Entry) pipeline.Stream {
	return pipeline.Stream{Labels: lset, Entries: entries}
}

func at(n int) time.Time { return time.Unix(1_700_000_000, int64(n)).UTC() }

func entriesOf(from, to int) []pipeline.Entry {
	var out []pipeline.Entry
	for i := from; i < to; i++ {
		out = append(out, pipeline.Entry{Time: at(i), Line: fmt.Sprintf("line %d", i)})
	}
	return out
}

func mustWrite(t *testing.T, w *Write, streams ...pipeline.Stream) {
	t.Helper()
	if err := w.WriteLogs(t.Context(), pipeline.Logs{Streams: streams}); err != nil {
		t.Fatal(err)
	}
}

func TestEntriesArriveAtLoki(t *testing.T) {
	loki := lokitest.New(t)
	cfg := writeConfig(loki.URL())
	cfg.ExternalLabels = map[string]string{"host": "h", "job": "external", "__internal": "x", "none": ""}
	w := startWrite(t, cfg)
	mustWrite(t, w,
		stream(labels.FromStrings("job", "own", "__meta", "dropped", "quoted", "a \"b\"\n\\ä\xff"), pipeline.Entry{Time: at(1), Line: "one"},
			pipeline.Entry{Time: at(2), Line: "two\x00\xff", Metadata: labels.FromStrings("trace", "abc", "a", "\xfe")}),
		stream(labels.FromStrings("other", "s"), pipeline.Entry{Time: at(0), Line: ""}))
	got := loki.AwaitEntries(t.Context(), 3)
	name := `{host="h", job="own", none="", quoted="a \"b\"\n\\ä` + "\uFFFD" + `"}`
	want := []lokitest.Entry{
		{Labels: name, Time: at(1), Line: "one"},
		{Labels: name, Time: at(2), Line: "two\x00\uFFFD", Metadata: `a="` + "\uFFFD" + `",trace="abc"`},
		{Labels: `{host="h", job="external", none="", other="s"}`, Time: at(0)},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestRequestsCarryHeaders(t *testing.T) {
	loki := lokitest.New(t)
	cfg := writeConfig(loki.URL())
	e := &cfg.Endpoints[0]
	e.TenantID = "team"
	e.Headers = map[string]string{"X-Extra": "1", "x-scope-orgid": "no", "content-type": "no"}
	e.HTTP.BasicAuth = &httpclient.BasicAuth{Username: "u", Password: "p"}
	w := startWrite(t, cfg)
	mustWrite(t, w, stream(labels.FromStrings("a", "b"), entriesOf(0, 1)...))
	loki.AwaitEntries(t.Context(), 1)
	h := loki.Requests()[0].Header
	got := []string{h.Get("X-Scope-OrgID"), h.Get("X-Extra"), h.Get("User-Agent"), h.Get("Authorization")}
	if d := cmp.Diff([]string{"team", "1", "test/1", "Basic dTpw"}, got); d != "" {
		t.Error(d)
	}
}

func TestEntriesChooseTheirTenant(t *testing.T) {
	loki := lokitest.New(t)
	cfg := writeConfig(loki.URL())
	cfg.Endpoints[0].TenantID = "default"
	w := startWrite(t, cfg)
	for i := range 6 {
		lset := labels.FromStrings("a", "b")
		if i%2 == 1 {
			lset = labels.FromStrings("a", "b", tenantLabel, "other")
		}
		mustWrite(t, w, stream(lset, entriesOf(i, i+1)...))
	}
	for _, e := range loki.AwaitEntries(t.Context(), 6) {
		want := []string{"default", "other"}[e.Time.Nanosecond()%2]
		if e.Tenant != want || e.Labels != `{a="b"}` {
			t.Errorf("%+v, want the tenant %s", e, want)
		}
	}
}

func TestOneBadEntryAffectsNoOther(t *testing.T) {
	loki := lokitest.New(t)
	loki.Refuse(func(e lokitest.Entry) string {
		if e.Line == "line 617" {
			return "entry for stream '{a=\"b\"}' has timestamp too old"
		}
		return ""
	})
	w := startWrite(t, writeConfig(loki.URL()))
	entries := entriesOf(0, 1000)
	entries[400].Line = strings.Repeat("x", lokitest.MaxLineSize+1)
	mustWrite(t, w, stream(labels.FromStrings("a", "b"), entries...))
	mustWrite(t, w, stream(labels.FromStrings("a", "b"), entriesOf(1000, 1010)...))
	loki.AwaitEntries(t.Context(), 1008)
	wantBalance(t, w, 1010, 1008)
	s := w.senders[0]
	for reason, want := range map[string]float64{reasonLineTooLong: 1, reasonGeneric: 1} {
		if got := logstest.ValueOf(w.metrics.droppedEntries.WithLabelValues(s.host, "", reason)); got != want {
			t.Errorf("%v entries are counted as %s, want %v", got, reason, want)
		}
	}
}

// wantBalance waits until nothing is queued and checks the accounting.
func wantBalance(t *testing.T, w *Write, received, delivered uint64) {
	t.Helper()
	for {
		s := w.Status().([]deliver.Status)[0]
		if s.Queued > 0 {
			<-time.After(time.Millisecond)
			continue
		}
		dropped := uint64(0)
		for _, n := range s.Dropped {
			dropped += n
		}
		if s.Received != received || s.Delivered != delivered || s.Received != s.Delivered+dropped {
			t.Errorf("received %d, delivered %d, dropped %v; want %d and %d", s.Received, s.Delivered, s.Dropped, received, delivered)
		}
		return
	}
}

func TestFailuresAreRetriedUntilTheyPass(t *testing.T) {
	for _, status := range []int{401, 403, 404, 408, 429, 500, 502, 503, 504} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			loki := lokitest.New(t)
			n := 0
			loki.Respond(func(lokitest.Request) *lokitest.Answer {
				if n++; n <= 5 {
					return &lokitest.Answer{Status: status, Body: "not now"}
				}
				return nil
			})
			w := startWrite(t, writeConfig(loki.URL()))
			mustWrite(t, w, stream(labels.FromStrings("a", "b"), entriesOf(0, 10)...))
			loki.AwaitEntries(t.Context(), 10)
			if loki.Repeated() != 0 {
				t.Errorf("%d entries are repeated", loki.Repeated())
			}
			if got := logstest.ValueOf(w.metrics.batchRetries.WithLabelValues(w.senders[0].host, "")); got != 5 {
				t.Errorf("%v retries are counted, want 5", got)
			}
		})
	}
}

func TestRateLimitDropsIfConfigured(t *testing.T) {
	loki := lokitest.New(t)
	n := 0
	loki.Respond(func(lokitest.Request) *lokitest.Answer {
		if n++; n == 1 {
			return &lokitest.Answer{Status: 429, Body: "Ingestion rate limit exceeded"}
		}
		return nil
	})
	cfg := writeConfig(loki.URL())
	cfg.Endpoints[0].RetryOnHTTP429 = false
	w := startWrite(t, cfg)
	mustWrite(t, w, stream(labels.FromStrings("a", "b"), entriesOf(0, 10)...))
	loki.Await(t.Context(), func(_ []lokitest.Entry, r []lokitest.Request) bool { return len(r) == 1 })
	mustWrite(t, w, stream(labels.FromStrings("a", "b"), entriesOf(10, 15)...))
	loki.AwaitEntries(t.Context(), 5)
	if got := logstest.ValueOf(w.metrics.droppedEntries.WithLabelValues(w.senders[0].host, "", reasonRateLimited)); got != 10 {
		t.Errorf("%v entries are counted, want 10", got)
	}
	wantBalance(t, w, 15, 5)
}

func TestASlowAnswerIsGivenUp(t *testing.T) {
	loki := lokitest.New(t)
	n := 0
	loki.Respond(func(lokitest.Request) *lokitest.Answer {
		if n++; n == 1 {
			return &lokitest.Answer{Hang: true}
		}
		return nil
	})
	cfg := writeConfig(loki.URL())
	cfg.Endpoints[0].RemoteTimeout = 50 * time.Millisecond
	w := startWrite(t, cfg)
	mustWrite(t, w, stream(labels.FromStrings("a", "b"), entriesOf(0, 1)...))
	loki.AwaitEntries(t.Context(), 1)
}

func TestBatchSizeLimitsRequests(t *testing.T) {
	loki := lokitest.New(t)
	block := true
	loki.Respond(func(lokitest.Request) *lokitest.Answer {
		if block {
			return &lokitest.Answer{Status: 503, Body: "starting"}
		}
		return nil
	})
	cfg := writeConfig(loki.URL())
	cfg.Endpoints[0].BatchSize = 100 * component.KiB
	w := startWrite(t, cfg)
	for i := range 150 { // 3 MB that compress well
		entries := entriesOf(20*i, 20*i+20)
		for j := range entries {
			entries[j].Line += strings.Repeat(" well compressible", 60)
		}
		mustWrite(t, w, stream(labels.FromStrings("a", "b"), entries...))
	}
	loki.Respond(nil)
	loki.AwaitEntries(t.Context(), 3000)
	merged := 0
	for _, r := range loki.Requests() {
		if r.Raw > 200<<10 {
			t.Errorf("a request holds %d bytes", r.Raw)
		}
		merged = max(merged, len(r.Entries))
	}
	if merged < 40 {
		t.Errorf("the largest request has %d entries: blocks are not merged", merged)
	}
	if loki.Repeated() != 0 {
		t.Errorf("%d entries are repeated", loki.Repeated())
	}
}

func TestRequestThatIsKnownToBeTooLargeIsNotSent(t *testing.T) {
	loki := lokitest.New(t)
	cfg := writeConfig(loki.URL())
	w, err := New(cfg, component.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	raw := appendStream(nil, `{a="b"}`, []pipeline.Entry{{Time: at(0), Line: strings.Repeat("x", 1<<20)}})
	blocks := []queue.Block{{Data: snappy.Encode(nil, raw), Items: 1}}
	for len(blocks) < 4 {
		blocks = append(blocks, blocks[0])
	}
	_, err = w.senders[0].Send(t.Context(), blocks)
	if e := (*deliver.Error)(nil); !errors.As(err, &e) || !e.TooLarge || len(loki.Requests()) > 0 {
		t.Errorf("error %v after %d requests", err, len(loki.Requests()))
	}
}

func TestLargeBatchIsCutIntoBlocks(t *testing.T) {
	loki := lokitest.New(t)
	w := startWrite(t, writeConfig(loki.URL()))
	entries := entriesOf(0, 60)
	for i := range entries {
		entries[i].Line += strings.Repeat(fmt.Sprint(i), 100_000)
	}
	mustWrite(t, w, stream(labels.FromStrings("a", "b"), entries...))
	got := loki.AwaitEntries(t.Context(), 60)
	for i, e := range got {
		if e.Line != entries[i].Line {
			t.Fatalf("entry %d differs", i)
		}
	}
	for _, r := range loki.Requests() {
		if r.Raw > rawLimit {
			t.Errorf("a request holds %d bytes", r.Raw)
		}
	}
}

// What needs several blocks is queued whole or not at all, or the caller, which retries,
// would repeat a part.
func TestEntriesAreAcceptedAllOrNone(t *testing.T) {
	loki := lokitest.New(t)
	w := startWrite(t, writeConfig(loki.URL()))
	good := stream(labels.FromStrings("a", "b"), entriesOf(0, 10)...)
	tooLong := stream(labels.FromStrings("a", "b", tenantLabel, strings.Repeat("x", 1<<20)), entriesOf(10, 20)...)
	if err := w.WriteLogs(t.Context(), pipeline.Logs{Streams: []pipeline.Stream{good, tooLong}}); !pipeline.IsPermanent(err) {
		t.Fatalf("error %v", err)
	}
	mustWrite(t, w, stream(labels.FromStrings("a", "b"), entriesOf(20, 30)...))
	if got := loki.AwaitEntries(t.Context(), 10); got[0].Line != "line 20" {
		t.Errorf("the first entry is %q", got[0].Line)
	}
}

func TestStreamsOverTheLimitAreDroppedAndCounted(t *testing.T) {
	loki := lokitest.New(t)
	cfg := writeConfig(loki.URL())
	cfg.MaxStreams, cfg.Endpoints[0].BatchWait = 2, time.Hour
	cfg.Endpoints[0].BatchSize = 1 // so that nothing waits
	w := startWrite(t, cfg)
	for i := range 12 {
		mustWrite(t, w, stream(labels.FromStrings("a", fmt.Sprint(i%3)), entriesOf(i, i+1)...))
	}
	loki.AwaitEntries(t.Context(), 8)
	if got := logstest.ValueOf(w.metrics.droppedEntries.WithLabelValues(w.senders[0].host, "", reasonStreamLimited)); got != 4 {
		t.Errorf("%v entries are counted, want 4", got)
	}
	wantBalance(t, w, 12, 8)
}

func TestStreamLimitForgetsOldStreams(t *testing.T) {
	l := streamLimiter{limit: 1, window: time.Second}
	now := time.Unix(1, 0)
	got := []bool{l.allow("", 1, now), l.allow("", 2, now), l.allow("other", 2, now), l.allow("", 1, now), l.allow("", 2, now.Add(time.Second))}
	if d := cmp.Diff([]bool{true, false, true, true, true}, got); d != "" {
		t.Error(d)
	}
}

func TestAStreamWithoutLabelsIsSentForLokiToReject(t *testing.T) {
	loki := lokitest.New(t)
	w := startWrite(t, writeConfig(loki.URL()))
	mustWrite(t, w, stream(labels.FromStrings("__only", "internal"), entriesOf(0, 3)...), stream(labels.FromStrings("a", "b"), entriesOf(3, 4)...))
	loki.AwaitEntries(t.Context(), 1)
	wantBalance(t, w, 4, 1)
	sent := 0
	for _, e := range loki.Requests()[0].Entries {
		if e.Labels == "{}" {
			sent++
		}
	}
	if dropped := logstest.ValueOf(w.metrics.droppedEntries.WithLabelValues(w.senders[0].host, "", reasonGeneric)); sent != 3 || dropped != 3 {
		t.Errorf("%d entries are sent and %v counted as refused, want 3", sent, dropped)
	}
}

func TestEndpointsAreIndependent(t *testing.T) {
	good, bad := lokitest.New(t), lokitest.New(t)
	bad.Respond(func(lokitest.Request) *lokitest.Answer { return &lokitest.Answer{Hang: true} })
	cfg := writeConfig(good.URL())
	cfg.Endpoints = append(cfg.Endpoints, endpoint(bad.URL()))
	w := startWrite(t, cfg)
	for i := range 20 {
		mustWrite(t, w, stream(labels.FromStrings("a", "b"), entriesOf(i, i+1)...))
	}
	good.AwaitEntries(t.Context(), 20)
	bad.Respond(nil)
}

func TestMetricsHaveAlloysNames(t *testing.T) {
	registry := prometheus.NewRegistry()
	cfg := writeConfig("http://loki:3100/loki/api/v1/push")
	cfg.Endpoints[0].TenantID = "team"
	if _, err := New(cfg, component.Options{Metrics: registry, Dir: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]bool)
	for _, f := range families {
		for _, m := range f.Metric {
			key := f.GetName()
			for _, l := range m.Label {
				key += " " + l.GetName() + "=" + l.GetValue()
			}
			got[key] = true
		}
	}
	for _, name := range []string{"encoded_bytes", "sent_bytes", "sent_entries", "batch_retries"} {
		if key := "loki_write_" + name + "_total host=loki:3100 tenant=team"; !got[key] {
			t.Errorf("no series %s", key)
		}
	}
	for _, name := range []string{"dropped_bytes", "dropped_entries", "mutated_bytes", "mutated_entries"} {
		if key := "loki_write_" + name + "_total host=loki:3100 reason=ingester_error tenant=team"; !got[key] {
			t.Errorf("no series %s", key)
		}
	}
}

func TestAnswersAreJudged(t *testing.T) {
	type verdict struct {
		Rejected, TooLarge, OfTag bool
		Reason                    string
		RetryAfter                time.Duration
		Dropped                   int
	}
	for _, c := range []struct {
		answer lokitest.Answer
		want   verdict
	}{
		{lokitest.Answer{Status: 204}, verdict{}},
		{lokitest.Answer{Status: 400, Body: "Max entry size '262144' bytes exceeded for stream"}, verdict{Rejected: true, Reason: reasonLineTooLong}},
		{lokitest.Answer{Status: 400, Body: "has timestamp too old"}, verdict{Rejected: true, Reason: reasonGeneric}},
		{lokitest.Answer{Status: 422}, verdict{Rejected: true, Reason: reasonGeneric}},
		{lokitest.Answer{Status: 413}, verdict{Rejected: true, TooLarge: true, Reason: reasonLineTooLong}},
		{lokitest.Answer{Status: 500, Body: "rpc error: grpc: received message larger than max (5 vs. 4)"}, verdict{Rejected: true, TooLarge: true, Reason: reasonLineTooLong}},
		{lokitest.Answer{Status: 429, Body: `Maximum active stream limit exceeded for {msg="received message larger than max (5 vs. 4)"}`}, verdict{OfTag: true}},
		{lokitest.Answer{Status: 429, Body: "Maximum active stream limit exceeded", RetryAfter: "1"}, verdict{RetryAfter: time.Second, OfTag: true}},
		{lokitest.Answer{Status: 503, RetryAfter: "60"}, verdict{RetryAfter: time.Minute}},
		{lokitest.Answer{Status: 401}, verdict{OfTag: true}},
		{lokitest.Answer{Status: 415}, verdict{}},
		{lokitest.Answer{Status: 302}, verdict{}},
	} {
		loki := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", c.answer.RetryAfter)
			w.WriteHeader(c.answer.Status)
			fmt.Fprint(w, c.answer.Body)
		}))
		m := newMetrics(prometheus.NewRegistry())
		s, err := newSender(endpoint(loki.URL), "test/1", m)
		if err != nil {
			t.Fatal(err)
		}
		result, err := s.Send(t.Context(), []queue.Block{{Data: snappy.Encode(nil, nil), Items: 10}})
		s.client.Close()
		loki.Close()
		got := verdict{Dropped: result.Dropped}
		if e := (*deliver.Error)(nil); errors.As(err, &e) {
			got.Rejected, got.TooLarge, got.OfTag, got.Reason, got.RetryAfter = e.Rejected, e.TooLarge, e.OfTag, e.Reason, e.RetryAfter
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%+v (-want +got):\n%s", c.answer, d)
		}
	}
}

func TestErrorsDontShowPasswords(t *testing.T) {
	cfg := writeConfig("http://user:hunter2@127.0.0.1:1/push?token=hunter2")
	w, err := New(cfg, component.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.senders[0].Send(t.Context(), []queue.Block{{Data: snappy.Encode(nil, nil), Items: 1}})
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error is %v", err)
	}
	if got := fmt.Sprint(w.Status()); strings.Contains(got, "hunter2") {
		t.Errorf("the status is %s", got)
	}
}

func TestWriteConfigIsChecked(t *testing.T) {
	for want, change := range map[string]func(*Endpoint){
		"":                   func(*Endpoint) {},
		"full URL":           func(e *Endpoint) { e.URL = "127.0.0.1:3100" },
		"use the full":       func(e *Endpoint) { e.URL = "http://loki:x/push" },
		"batch_size":         func(e *Endpoint) { e.BatchSize = 0 },
		"batch_wait":         func(e *Endpoint) { e.BatchWait = -1 },
		"remote_timeout":     func(e *Endpoint) { e.RemoteTimeout = 0 },
		"max_backoff_period": func(e *Endpoint) { e.MaxBackoff = 1 },
		"max_backoff_ret":    func(e *Endpoint) { e.MaxBackoffRetries = -1 },
		"at most one":        func(e *Endpoint) { e.HTTP.BearerToken, e.HTTP.BearerTokenFile = "a", "b" },
	} {
		e := endpoint("https://loki/loki/api/v1/push")
		change(&e)
		err := e.Validate()
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	var cfg Config
	cfg.SetToDefault()
	cfg.WAL.MinReadFrequency = time.Minute
	if err := cfg.WAL.Validate(); err == nil {
		t.Error("a minimum above the maximum is accepted")
	}
}

func TestSettingsWithoutEffectAreReported(t *testing.T) {
	cfg := writeConfig("http://loki/push")
	var got []string
	warn := func(name, why string) { got = append(got, name) }
	cfg.warn(warn)
	if len(got) > 0 {
		t.Errorf("defaults are reported: %v", got)
	}
	cfg.Endpoints[0].MaxBackoffRetries = 3
	cfg.Endpoints[0].QueueConfig.Capacity = 1
	cfg.WAL.MaxSegmentAge = 1
	cfg.warn(warn)
	want := []string{"wal/max_segment_age", "endpoint[0]/max_backoff_retries", "endpoint[0]/queue_config/capacity"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestConstructorStartsNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "storage")
	if _, err := New(writeConfig("http://127.0.0.1:1/push"), component.Options{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the storage directory was made: %v", err)
	}
}
