package api

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/grafana/loki/pkg/push"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/httpserver"
	"collector/pkg/listen"
	"collector/pkg/logs/logstest"
	"collector/pkg/pipeline"
)

func TestPushesAreReadInEveryForm(t *testing.T) {
	entry := push.Entry{Timestamp: at(1700000000, 1), Line: "x", StructuredMetadata: push.LabelsAdapter{{Name: "k", Value: "v"}}}
	protobuf := inProtobuf(t, `{b="2", a="1"}`, entry)
	inJSON := []byte(`{"streams":[{"stream":{"b":"2","a":"1"},"values":[["1700000000000000001","x",{"k":"v"}]]}]}`)
	const want = `{a="1", b="2"} 1700000000000000001 "x" {k="v"}`
	to := &logstest.Sink{}
	s := start(t, config(to), nil)
	n := 0
	for _, form := range []struct {
		contentType, encoding string
		body                  []byte
	}{
		{"application/x-protobuf", "", protobuf},
		{"application/x-protobuf", "snappy", protobuf},
		{"anything/else", "", protobuf},
		{"application/x-protobuf", "gzip", packed(t, "gzip", protobuf)},
		{"application/json", "", inJSON},
		{"application/json; charset=utf-8", "identity", inJSON},
		{"application/json", "gzip", packed(t, "gzip", inJSON)},
		{"application/json", "deflate", packed(t, "deflate", inJSON)},
		{"application/json", "deflate", packed(t, "zlib", inJSON)},
	} {
		for _, path := range []string{pushPath, shortPush} {
			if status, text := s.post(t, path, form.body, "Content-Type", form.contentType, "Content-Encoding", form.encoding); status != http.StatusNoContent || text != "" {
				t.Errorf("%s, %s: %d %s", form.contentType, form.encoding, status, text)
			}
			n++
		}
	}
	got := written(to)
	if len(got) != n {
		t.Errorf("%d entries arrived, want %d", len(got), n)
	}
	for _, line := range got {
		if line != want {
			t.Errorf("got %s, want %s", line, want)
		}
	}
	if wrote := logstest.ValueOf(s.metrics.written); wrote != float64(n) {
		t.Errorf("%v entries are counted", wrote)
	}
}

func TestPlainTextIsALineAnEntry(t *testing.T) {
	to := &logstest.Sink{}
	c := config(to)
	c.Labels = map[string]string{"job": "raw"}
	s := start(t, c, nil)
	before := time.Now()
	text := []byte("first\n\nsecond \r\n\r\nlast")
	for _, request := range []struct {
		path, encoding string
		body           []byte
	}{{rawPath, "", text}, {shortRaw, "gzip", packed(t, "gzip", text)}, {promtailRaw, "", text}} {
		if status, answer := s.post(t, request.path, request.body, "Content-Encoding", request.encoding, tenantHeader, "acme"); status != http.StatusNoContent {
			t.Errorf("%d %s", status, answer)
		}
	}
	if diff := cmp.Diff(slices.Repeat([]string{"first", "second ", "last"}, 3), to.Lines()); diff != "" {
		t.Error(diff)
	}
	last := before
	for _, e := range to.All() {
		if e.Labels != `{job="raw"}` || !e.Time.After(last) || e.Time.After(time.Now()) {
			t.Errorf("%v after %v", e, last)
		}
		last = e.Time
	}
}

func TestWithoutTheIncomingTimeEachEntryGetsItsOwn(t *testing.T) {
	to := &logstest.Sink{}
	c := config(to)
	c.UseIncomingTimestamp = false
	s := start(t, c, nil)
	before := time.Now()
	s.postJSON(t, `{"streams":[{"stream":{"a":"b"},"values":[["1","x"],["1","x"]]}]}`)
	all := to.All()
	if len(all) != 2 || !all[0].Time.After(before.Add(-time.Second)) || !all[1].Time.After(all[0].Time) {
		t.Errorf("got %v", all)
	}
}

func TestLabelsRulesAndTenant(t *testing.T) {
	rule := func(action string, set func(*discovery.Rule)) (r discovery.Rule) {
		r.SetToDefault()
		r.Action = action
		set(&r)
		return r
	}
	rules, err := discovery.Compile([]discovery.Rule{
		rule("replace", func(r *discovery.Rule) {
			r.SourceLabels, r.Separator, r.TargetLabel = []string{"__own", "job"}, "-", "made"
		}),
		rule("drop", func(r *discovery.Rule) { r.SourceLabels, r.Regex = []string{"drop"}, "yes" }),
	})
	if err != nil {
		t.Fatal(err)
	}
	to := &logstest.Sink{}
	c := config(to)
	c.RelabelRules = rules
	s := start(t, c, nil)
	for _, push := range []struct{ labels, tenant string }{
		{`{"job":"a","__own":"o","empty":""}`, "acme"},
		{`{"job":"b","__tenant_id__":"sneaky"}`, "a|b"},
		{`{"job":"c"}`, "c|c"},
		{`{"job":"d"}`, "no/slash"},
		{`{"job":"e","drop":"yes"}`, ""},
	} {
		if status, text := s.postJSON(t, one(push.labels, "x"), tenantHeader, push.tenant); status != http.StatusNoContent {
			t.Errorf("%s: %d %s", push.labels, status, text)
		}
	}
	var got []string
	for _, e := range to.All() {
		got = append(got, e.Labels)
	}
	want := []string{`{__tenant_id__="acme", job="a", made="o-a"}`, `{job="b", made="-b"}`, `{__tenant_id__="c", job="c", made="-c"}`, `{job="d", made="-d"}`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if n := logstest.ValueOf(s.metrics.dropped.WithLabelValues(reasonRelabeled)); n != 1 {
		t.Errorf("%v entries are counted as dropped", n)
	}
}

func TestWrongRequestsAreRejectedWithTheReason(t *testing.T) {
	to := &logstest.Sink{}
	c := config(to)
	c.MaxSendMessageSize = 2 * component.KiB
	s := start(t, c, nil)
	const protobuf, js = "application/x-protobuf", "application/json"
	big := inProtobuf(t, `{a="b"}`, push.Entry{Timestamp: at(1, 0), Line: strings.Repeat("x", 4<<10)})
	f := func(path, contentType, encoding string, body []byte, status int, reason, words string) {
		t.Helper()
		before := logstest.ValueOf(s.metrics.refused.WithLabelValues(reason))
		got, text := s.post(t, path, body, "Content-Type", contentType, "Content-Encoding", encoding)
		if got != status || !strings.Contains(text, words) {
			t.Errorf("got %d %s; want %d %s", got, text, status, words)
		}
		if after := logstest.ValueOf(s.metrics.refused.WithLabelValues(reason)); after != before+1 {
			t.Errorf("%s: not counted as %s", text, reason)
		}
	}
	f(pushPath, "", "", nil, 400, reasonEncoding, "Content-Type")
	f(pushPath, js, "br", nil, 400, reasonEncoding, `"br" is not supported; supported: gzip, deflate, snappy`)
	f(pushPath, js, "snappy", nil, 400, reasonEncoding, "not supported for JSON")
	f(pushPath, js, "gzip", []byte("x"), 400, reasonMalformed, "from gzip")
	f(pushPath, js, "deflate", []byte("x"), 400, reasonMalformed, "from deflate")
	f(pushPath, js, "", nil, 400, reasonMalformed, "it ends after byte 0, where an object is expected")
	f(pushPath, js, "", []byte("[]"), 400, reasonMalformed, "byte 1 is '[', where '{' is expected")
	f(pushPath, js, "", []byte(`{"streams":[{"stream":{"a":"b"}},{"values":[]}]}`), 400, reasonMalformed, "stream 2: it has no labels")
	f(pushPath, js, "", []byte(one(`{"a-b":"c"}`, "x")), 400, reasonMalformed, `stream 1: "a-b" is not a valid label name`)
	f(pushPath, js, "", []byte(one(`{"a":1}`, "x")), 400, reasonMalformed, "where a string is expected")
	f(pushPath, js, "", []byte(`{"streams":[{"stream":{"a":"b"},"values":[["x","line"]]}]}`), 400, reasonMalformed, `the time "x" of an entry`)
	f(pushPath, js, "", []byte(`{"streams":[{"stream":{"a":"b"},"values":[["1"]]}]}`), 400, reasonMalformed, "nanoseconds since the epoch")
	f(pushPath, js, "", []byte(`{"streams":[{"stream":{"a":"b"},"values":[["1","x",{"n":5}]]}]}`), 400, reasonMalformed, "where a string is expected")
	f(pushPath, js, "", []byte(`{"streams":[]} x`), 400, reasonMalformed, "'x'")
	f(pushPath, protobuf, "", []byte("x"), 400, reasonMalformed, "snappy")
	f(pushPath, protobuf, "", inProtobuf(t, `{a=b}`, push.Entry{Line: "x"}), 400, reasonMalformed, "stream 1: byte 4 of the labels is 'b', where a text in quotes is expected")
	f(pushPath, protobuf, "", inProtobuf(t, ``), 400, reasonMalformed, "the labels end after byte 0")
	f(pushPath, protobuf, "", big, 400, reasonTooLarge, "at most 2KiB")
	f(pushPath, protobuf, "gzip", packed(t, "gzip", make([]byte, 10<<10)), 400, reasonTooLarge, "max_send_message_size")
	f(pushPath, protobuf, "", make([]byte, 3<<10), 400, reasonTooLarge, "at most 2KiB")
	if n := len(to.All()); n != 0 {
		t.Errorf("%d entries arrived", n)
	}
	if status, text := s.postJSON(t, one(`{"a":"b"}`, strings.Repeat("x", 4<<10))); status != 204 {
		t.Errorf("JSON above max_send_message_size: %d %s", status, text)
	}
}

func TestPagesOfOtherSitesAndOtherPathsAreRejected(t *testing.T) {
	s := start(t, config(&logstest.Sink{}), nil)
	for _, path := range []string{pushPath, rawPath} {
		if status, _ := s.post(t, path, []byte("x"), "Origin", "http://elsewhere.example"); status != http.StatusForbidden {
			t.Errorf("%s: %d", path, status)
		}
	}
	if status, text := s.post(t, pushPath+pushPath, nil); status != http.StatusNotFound || !strings.Contains(text, "adds") {
		t.Errorf("%d %s", status, text)
	}
	resp, err := http.Get(s.url + pushPath)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body.Close(); resp.StatusCode != http.StatusMethodNotAllowed {
		t.Error(resp.Status)
	}
	if resp, err = http.Get(s.url + readyPath); err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK || string(text) != "ready" {
		t.Errorf("%s %s", resp.Status, text)
	}
}

func TestWhatNoReceiverAcceptsStaysWithTheClient(t *testing.T) {
	bad := pipeline.Permanent(errors.New("bad"))
	f := func(status int, words string, wantLost float64, errs ...error) {
		t.Helper()
		var to []pipeline.LogsSink
		for _, err := range errs {
			to = append(to, &logstest.Sink{Fail: func(int) error { return err }})
		}
		s := start(t, config(to...), nil)
		got, text := s.postJSON(t, one(`{"a":"b"}`, "x"))
		if got != status || !strings.Contains(text, words) {
			t.Errorf("got %d %s, want %d %s", got, text, status, words)
		}
		lost := logstest.ValueOf(s.metrics.lost.WithLabelValues(reasonQueueFull)) + logstest.ValueOf(s.metrics.lost.WithLabelValues(reasonRejected))
		if lost != wantLost {
			t.Errorf("%v entries are counted as lost, want %v", lost, wantLost)
		}
		if shown := s.Receiving(); (shown.Signals[0].Items == 1) != (status < 300 && len(errs) > 0) || (shown.Last.Reason != "") != (status >= 300) || (shown.Signals[0].Refused == 1) != (status >= 300) {
			t.Errorf("%d is shown as %+v", status, shown)
		}
	}
	f(204, "", 0)
	f(204, "", 0, nil, nil)
	f(204, "", 1, nil, pipeline.ErrFull)
	f(204, "", 1, bad, nil)
	f(503, "queue is full", 0, pipeline.ErrFull)
	f(503, "queue is full", 0, pipeline.ErrFull, bad)
	f(503, "see the collector's log", 0, errors.New("/secret/path: no space left"))
	f(400, "bad", 0, bad, bad)
}

func TestAClientGetsNoAnswerBeforeAllIsAccepted(t *testing.T) {
	to := &logstest.Sink{Block: make(chan struct{})}
	s := start(t, config(to), nil)
	answered := make(chan int)
	go func() {
		resp, err := http.Post(s.url+pushPath, "application/json", strings.NewReader(one(`{"a":"b"}`, "x")))
		if err != nil {
			t.Error(err)
			close(answered)
			return
		}
		resp.Body.Close()
		answered <- resp.StatusCode
	}()
	for to.Calls() == 0 {
		select {
		case status := <-answered:
			t.Fatalf("answered %d before the receiver", status)
		default:
		}
	}
	close(to.Block)
	if status := <-answered; status != 204 || len(to.All()) != 1 {
		t.Errorf("answered %d with %d entries", status, len(to.All()))
	}
}

func TestReplacingASourceLosesNoRequest(t *testing.T) {
	to := &logstest.Sink{}
	pool := listen.NewPool()
	first := start(t, config(to), pool.View())
	c := config(to)
	c.HTTP.ListenPort = portOf(t, first.url)
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	s := start(t, c, pool.View())
	var clients sync.WaitGroup
	var finished atomic.Bool
	var sent atomic.Int64
	progress := make(chan struct{}, 1)
	for range 2 {
		client := &http.Client{Transport: &http.Transport{}}
		defer client.CloseIdleConnections()
		clients.Go(func() {
			for !finished.Load() {
				// Without GetBody, the client cannot retry in secret.
				resp, err := client.Post(s.url+pushPath, "application/json", io.NopCloser(strings.NewReader(one(`{"a":"b"}`, "x"))))
				if err != nil {
					t.Errorf("a request was lost: %v", err)
				} else if resp.Body.Close(); resp.StatusCode != 204 {
					t.Errorf("answered %s", resp.Status)
				}
				sent.Add(1)
				select {
				case progress <- struct{}{}:
				default:
				}
			}
		})
	}
	running := s
	for range 10 {
		next := start(t, c, pool.View())
		if err := running.stop(); err != nil {
			t.Error(err)
		}
		running = next
		for before := sent.Load(); sent.Load() < before+10; {
			<-progress
		}
	}
	finished.Store(true)
	clients.Wait()
	if n := int(sent.Load()); n != len(to.All()) {
		t.Errorf("%d requests were answered, %d arrived", n, len(to.All()))
	}
}

func TestWithoutAForwardToEntriesAreCountedAsDropped(t *testing.T) {
	s := start(t, config(), nil)
	if status, _ := s.postJSON(t, one(`{"a":"b"}`, "x")); status != 204 {
		t.Error(status)
	}
	if n := logstest.ValueOf(s.metrics.dropped.WithLabelValues(reasonNoDestination)); n != 1 {
		t.Errorf("%v entries are counted", n)
	}
}

func TestBadSettingsAreRejected(t *testing.T) {
	for _, change := range []func(*Config){
		func(c *Config) { c.Labels = map[string]string{"a-b": "c"} },
		func(c *Config) { c.GracefulShutdownTimeout = -1 },
	} {
		c := config()
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		if change(&c); c.Validate() == nil {
			t.Errorf("%+v is accepted", c)
		}
	}
}

func TestGRPCCausesAWarning(t *testing.T) {
	c, warned := config(), ""
	c.GRPC = &httpserver.GRPCConfig{}
	if _, err := New(c, component.Options{Warn: func(path, _ string) { warned += path }}); err != nil || warned != "grpc" {
		t.Errorf("%q, %v", warned, err)
	}
}
