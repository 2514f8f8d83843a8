//go:build integration

package reliability

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"collector/pkg/docker/dockertest"
	"collector/pkg/profiles/profilestest"
	"collector/test/harness"
)

// strangers returns a client that opens a connection for each request, so that
// a port that is closed for a moment is noticed.
func strangers() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
}

// post sends a body, once, and says what is wrong unless the answer is 200.
func post(client *http.Client, url, contentType string, body []byte) error {
	resp, err := client.Post(url, contentType, bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s: %s", resp.Status, text)
	}
	return nil
}

// spanRequest is an OTLP request with a span of that number.
func spanRequest(seq int) []byte {
	traces := ptrace.NewTraces()
	span := traces.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetName(fmt.Sprintf("span %d", seq))
	span.SetTraceID([16]byte{1, byte(seq >> 24), byte(seq >> 16), byte(seq >> 8), byte(seq)})
	span.SetSpanID([8]byte{1, byte(seq >> 24), byte(seq >> 16), byte(seq >> 8), byte(seq)})
	body, err := ptraceotlp.NewExportRequestFromTraces(traces).MarshalProto()
	if err != nil {
		panic("BUG: marshal a span: " + err.Error())
	}
	return body
}

// openFiles is how many file descriptors the collector holds.
func openFiles(t *testing.T, c *harness.Collector) float64 {
	t.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", c.Pid()))
	if err != nil {
		t.Fatal(err)
	}
	return float64(len(list))
}

// stacks is what most of the collector's goroutines are doing.
func stacks(t *testing.T, c *harness.Collector) []byte {
	t.Helper()
	resp, err := http.Get(c.URL + "/debug/pprof/goroutine?debug=1")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 4000))
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	return text
}

// change edits one part of the configuration in turn, and now and then all of it.
func (e *edit) change(n int) {
	value := 1000 + n
	switch n % 9 {
	case 0:
		e.Scrape = 150 + n%100
	case 1:
		e.RemoteWrite = 60 * value
	case 2:
		e.Relabel = value
	case 3:
		e.Loki = 50 + n%100
	case 4:
		e.Receive = 60 * value
	case 5:
		e.Pyroscope = 60 * value
	case 6:
		e.Receiver = 60 * value
	case 7:
		e.Exporter = 60 * value
	default:
		*e = edit{150 + n%100, 60 * value, value, 50 + n%100, 60 * value, 60 * value, 60 * value, 60 * value}
	}
}

// startStrangers starts senders of lines, spans and profiles, and clients that do
// nothing but connect.
func (s *fourSignals) startStrangers(t *testing.T, daemon *dockertest.Daemon, id string) map[string]*harness.Sender {
	t.Helper()
	client := strangers()
	return map[string]*harness.Sender{
		"spans by gRPC": harness.StartSender(t, 10*time.Millisecond, harness.SpanSender(t, harness.Address(s.GRPC))),
		"spans by HTTP": harness.StartSender(t, 10*time.Millisecond, func(seq int) error {
			return post(client, "http://"+harness.Address(s.HTTP)+"/v1/traces", "application/x-protobuf", spanRequest(1e6+seq))
		}),
		"profiles": harness.StartSender(t, 10*time.Millisecond, func(seq int) error {
			body, contentType := profilestest.Multipart(profilestest.Part{Name: "profile", File: "profile.pprof", Content: profilestest.Pprof(seq)})
			return post(client, "http://"+harness.Address(s.Profiles)+"/ingest?"+harness.ProfileQuery(seq), contentType, body)
		}),
		"lines": harness.StartSender(t, 5*time.Millisecond, func(seq int) error {
			daemon.Print(id, []string{"stdout", "stderr"}[seq%2], fmt.Sprintf("line %d\n", seq))
			return nil
		}),
		"connections": harness.StartSender(t, 2*time.Millisecond, func(seq int) error {
			c, err := net.Dial("tcp", harness.Address([]int{s.GRPC, s.HTTP, s.Profiles}[seq%3]))
			if err == nil {
				c.Close()
			}
			return err
		}),
	}
}

// stopPatience is how long a destination has for its last answers when its writer stops.
// Requests without an answer by then are sent again.
const stopPatience = 2 * time.Second

// TestU6_ReloadsLoseNothing reloads a configuration that changes each time
// under load of all four signals. Clients that open a connection for each
// request meet no closed port, and nothing is lost, repeated or left behind.
func TestU6_ReloadsLoseNothing(t *testing.T) {
	t.Parallel()
	daemon := dockertest.New(t)
	s := startFourSignals(t, daemon.Host(), 5*time.Millisecond)
	id := daemon.Run(dockertest.Container{Name: "writer"})
	s.Collector.Start(t)
	senders := s.startStrangers(t, daemon, id)

	var now edit
	reload := func(n int) {
		now.change(n)
		s.Collector.Configure(t, s.config(t, daemon.Host(), now))
		begin := time.Now()
		if code, body := s.Collector.Reload(t); code != 200 {
			t.Fatalf("reload %d: %d %s", n, code, body)
		}
		if time.Since(begin) >= stopPatience {
			for _, j := range s.Journals {
				j.Abandoned += j.InFlight
			}
		}
	}
	const warmUp = 20
	reloads := 1000
	if harness.Soaking() {
		reloads = 20000
	}
	for n := range warmUp {
		reload(n)
	}
	harness.Wait(time.Second)
	goroutines, files := s.Collector.Metric(t, "go_goroutines"), openFiles(t, s.Collector)
	begin := time.Now()
	for n := range reloads {
		reload(warmUp + n)
		if n%100 == 0 {
			s.Collector.Accounts(t)
		}
	}
	took := time.Since(begin)
	// A stopped component closes its connections when its last request is answered.
	harness.Eventually(t, 20*time.Second, func() error {
		// Connections that are idle come and go.
		if g, f := s.Collector.Metric(t, "go_goroutines"), openFiles(t, s.Collector); g > goroutines+20 || f > files+10 {
			return fmt.Errorf("%v goroutines and %v open files after %d reloads; %v and %v before; most are:\n%s",
				g, f, reloads, goroutines, files, stacks(t, s.Collector))
		}
		return nil
	})

	acked := make(map[string][]int)
	for name, sender := range senders {
		acked[name] = sender.Stop()
		checkRefused(t, name, sender)
	}
	harness.GetsOn(t, 60*time.Second, func() error {
		if n := len(s.Loki.Entries()); n != len(acked["lines"]) {
			return fmt.Errorf("%d of %d lines have arrived", n, len(acked["lines"]))
		}
		return nil
	})
	verdicts := s.drainAndJudge(t)
	for i := range acked["spans by HTTP"] {
		acked["spans by HTTP"][i] += 1e6
	}
	for name, signal := range map[string]string{"spans by gRPC": "traces", "spans by HTTP": "traces", "profiles": "profiles"} {
		if lost := missing(acked[name], verdicts[signal].Arrived); len(lost) > 0 {
			t.Errorf("%s: %d of %d are lost: %v", name, len(lost), len(acked[name]), lost)
		}
	}
	scrapes := s.checkScrapes(t, verdicts["metrics"], nil)
	t.Logf("requests that may have been abandoned as a reload took %s or more: %d", stopPatience, s.Journals["logs"].Abandoned)
	t.Logf("%d reloads in %s; %d connections, %d lines, %d pages, %d spans, %d profiles: 0 refused, lost or repeated; goroutines %v, then %v",
		reloads, took.Round(time.Second), len(acked["connections"]), len(acked["lines"]), scrapes, len(acked["spans by gRPC"])+len(acked["spans by HTTP"]),
		len(acked["profiles"]), goroutines, s.Collector.Metric(t, "go_goroutines"))
	s.Collector.Stop(t)
}

// received is what each component has received since it started.
func received(t *testing.T, c *harness.Collector) map[string]float64 {
	t.Helper()
	out := make(map[string]float64)
	for _, account := range c.Accounts(t) {
		out[account.Component] += account.Received
	}
	return out
}

// TestU6_AReloadChangesWhatWasChanged checks the effect of an unchanged, an edited and an
// invalid file.
func TestU6_AReloadChangesWhatWasChanged(t *testing.T) {
	t.Parallel()
	s := startFourSignals(t, "", 0)
	s.Collector.Start(t)
	spans, profiles := harness.SpanSender(t, harness.Address(s.GRPC)), harness.ProfileSender("http://"+harness.Address(s.Profiles))
	for seq := range 10 {
		if err := spans(seq); err != nil {
			t.Fatal(err)
		}
		if err := profiles(seq); err != nil {
			t.Fatal(err)
		}
	}
	harness.Eventually(t, 10*time.Second, func() error {
		if got := received(t, s.Collector); got["prometheus.remote_write.vm"] < 1000 {
			return fmt.Errorf("%v", got)
		}
		return nil
	})
	harness.Eventually(t, 10*time.Second, func() error {
		for _, a := range s.Collector.Accounts(t) {
			if a.Queued > 0 && a.Signal != "metrics" {
				return fmt.Errorf("%+v", a)
			}
		}
		return nil
	})
	check := func(what string, restarted ...string) {
		t.Helper()
		got := received(t, s.Collector)
		for id, least := range map[string]float64{"otelcol.exporter.otlp.tempo": 10, "pyroscope.write.default": 10, "prometheus.remote_write.vm": 1000} {
			fresh := strings.Contains(strings.Join(restarted, " "), id)
			if fresh != (got[id] < least) {
				t.Errorf("%s: %s has received %v; restarted: %v", what, id, got[id], fresh)
			}
		}
	}
	if code, body := s.Collector.Reload(t); code != 200 {
		t.Fatal(code, body)
	}
	check("an unchanged file")

	s.Collector.Configure(t, strings.Replace(s.config(t, "", edit{}), "listen_port", "listen_prot", 1))
	code, body := s.Collector.Reload(t)
	if code != 400 || !strings.Contains(body, "config.alloy:") || !strings.Contains(body, "listen_prot") {
		t.Errorf("an invalid file: %d %s", code, body)
	}
	if got := s.Collector.Metric(t, "alloy_config_last_load_successful"); got != 0 {
		t.Errorf("alloy_config_last_load_successful is %v", got)
	}
	check("an invalid file")
	if err := profiles(11); err != nil {
		t.Errorf("after an invalid file: %v", err)
	}

	s.Collector.Configure(t, s.config(t, "", edit{Exporter: 90_000}))
	if code, body := s.Collector.Reload(t); code != 200 {
		t.Fatal(code, body)
	}
	check("an edit of the exporter", "otelcol.exporter.otlp.tempo")
	if got := s.Collector.Metric(t, "alloy_config_last_load_successful"); got != 1 {
		t.Errorf("alloy_config_last_load_successful is %v", got)
	}
	s.Collector.Stop(t)
}

// receiver is an OTLP receiver on a port, and writer what it sends to.
func receiver(label string, port int) string {
	return fmt.Sprintf("otelcol.receiver.otlp %q {\n\thttp { endpoint = \"127.0.0.1:%d\" }\n\toutput { traces = [otelcol.exporter.otlphttp.x.input] }\n}\n", label, port)
}

const nowhere = "otelcol.exporter.otlphttp \"x\" {\n\tclient { endpoint = \"http://127.0.0.1:1\" }\n}\n"

// TestO4_APortInUse takes a port at the start and at a reload.
func TestO4_APortInUse(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	c := harness.NewCollector(t, receiver("a", port)+nowhere)
	noise := harness.StartNoise(t)
	begin := time.Now()
	c.Launch(t)
	select {
	case <-c.Done():
	case <-time.After(60 * time.Second):
		t.Fatal("it runs although the port is taken")
	}
	took := time.Since(begin)
	t.Logf("it ended after %s", took)
	if limit := noise.Bound(2 * time.Second); took > limit {
		t.Errorf("it ended after %s, %s are allowed", took, limit)
	}
	if out := c.Output(); c.ExitCode() == 0 || !strings.Contains(out, fmt.Sprint(port)) || !strings.Contains(out, "endpoint") {
		t.Errorf("exit code %d:\n%s", c.ExitCode(), out)
	}

	free := harness.FreePort(t)
	c.Configure(t, receiver("a", free)+nowhere)
	c.Start(t)
	send := func() error {
		return post(strangers(), "http://"+harness.Address(free)+"/v1/traces", "application/x-protobuf", spanRequest(1))
	}
	sender := harness.StartSender(t, 5*time.Millisecond, func(int) error { return send() })
	for range 20 {
		c.Configure(t, receiver("a", free)+receiver("b", port)+nowhere)
		if code, body := c.Reload(t); code != 400 || !strings.Contains(body, fmt.Sprint(port)) || !strings.Contains(body, "otelcol.receiver.otlp.b") {
			t.Fatalf("%d %s", code, body)
		}
	}
	acked := len(sender.Stop())
	if n, err := sender.Refused(); n > 0 || acked == 0 {
		t.Errorf("%d of %d requests were refused, the last with: %v", n, n+acked, err)
	}
	c.Stop(t)
}

// TestO4_APortMovesBetweenReceivers gives a port from one receiver to another
// in one reload, a hundred times, while clients connect.
func TestO4_APortMovesBetweenReceivers(t *testing.T) {
	t.Parallel()
	port := harness.FreePort(t)
	c := harness.NewCollector(t, receiver("a", port)+nowhere)
	c.Start(t)
	client := strangers()
	sender := harness.StartSender(t, time.Millisecond, func(seq int) error {
		return post(client, "http://"+harness.Address(port)+"/v1/traces", "application/x-protobuf", spanRequest(seq))
	})
	for n := range 100 {
		c.Configure(t, receiver([]string{"b", "a"}[n%2], port)+nowhere)
		if code, body := c.Reload(t); code != 200 {
			t.Fatalf("move %d: %d %s", n, code, body)
		}
	}
	acked := len(sender.Stop())
	if n, err := sender.Refused(); n > 0 {
		t.Errorf("%d of %d requests failed, the last with: %v", n, n+acked, err)
	}
	if got := received(t, c)["otelcol.exporter.otlphttp.x"]; got != float64(acked) {
		t.Errorf("%v spans are in the queue, %d were acknowledged", got, acked)
	}
	t.Logf("100 moves, %d requests", acked)
	c.Stop(t)
}
