//go:build integration

package reliability

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"collector/pkg/docker/dockertest"
	"collector/pkg/logs/lokitest"
	"collector/pkg/remotewrite/remotewritetest"
	"collector/test/harness"
)

const mib = 1 << 20

// endless is a body of n bytes that takes no memory.
func endless(n int64) io.Reader { return io.LimitReader(zeroReader{}, n) }

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// bombSize is what a bomb unpacks to, many times every limit.
const bombSize = 256 * mib

// gzipBomb is n zero bytes, compressed.
func gzipBomb(n int64) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	io.Copy(w, endless(n))
	w.Close()
	return b.Bytes()
}

func zstdBomb(n int64) []byte {
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	io.Copy(w, endless(n))
	w.Close()
	return b.Bytes()
}

// badRequest is a request that must be rejected.
type badRequest struct {
	name, path  string
	contentType string
	encoding    string
	body        func() io.Reader
	length      int64 // as the header says; 0: what the body has, or none
	status      int
	says        string
	// crowded: beside other bodies, which it shares memory with, it may be asked to retry
	// before its size is known.
	crowded bool
}

func text(s string) func() io.Reader     { return func() io.Reader { return strings.NewReader(s) } }
func raw(b []byte) func() io.Reader      { return func() io.Reader { return bytes.NewReader(b) } }
func unlimited(n int64) func() io.Reader { return func() io.Reader { return endless(n) } }
func ingest(name, more string) string    { return "/ingest?" + url.Values{"name": {name}}.Encode() + more }

// badOTLP are requests that the OTLP receiver rejects.
func badOTLP() []badRequest {
	const proto, json = "application/x-protobuf", "application/json"
	return []badRequest{
		{name: "no protobuf", path: "/v1/traces", contentType: proto, body: text("this is no protobuf"), status: 400, says: ""},
		{name: "protobuf that ends too early", path: "/v1/traces", contentType: proto, body: raw(spanRequest(1)[:20]), status: 400},
		{name: "protobuf nested without end", path: "/v1/logs", contentType: proto, body: raw(bytes.Repeat([]byte{0x0a}, 4000)), status: 400},
		{name: "no JSON", path: "/v1/traces", contentType: json, body: text(`{"resourceSpans":[{`), status: 400},
		{name: "JSON of something else", path: "/v1/traces", contentType: json, body: text(`{"resourceSpans":"none"}`), status: 400},
		{name: "JSON nested without end", path: "/v1/logs", contentType: json, body: text(strings.Repeat("[", mib)), status: 400},
		{name: "unknown type", path: "/v1/traces", contentType: "text/plain", body: text("x"), status: 415, says: "supported"},
		{name: "unknown encoding", path: "/v1/traces", contentType: proto, encoding: "br", body: text("x"), status: 400, says: "supported"},
		{name: "no gzip", path: "/v1/traces", contentType: proto, encoding: "gzip", body: text("this is no gzip"), status: 400},
		{name: "gzip bomb", path: "/v1/traces", contentType: proto, encoding: "gzip", body: raw(gzipBomb(bombSize)), status: 400, says: "max_request_body_size"},
		{name: "zstd bomb", path: "/v1/traces", contentType: proto, encoding: "zstd", body: raw(zstdBomb(bombSize)), status: 400, says: "max_request_body_size"},
		{name: "too large, as it says", path: "/v1/traces", contentType: proto, body: unlimited(100 * mib), length: 100 * mib, status: 400, says: "max_request_body_size"},
		{name: "too large, without saying so", path: "/v1/traces", contentType: proto, body: unlimited(100 * mib), status: 400, says: "max_request_body_size"},
		{name: "unknown path", path: "/v1/profiles", contentType: proto, body: text("x"), status: 404},
	}
}

// badProfiles are requests that the profiles receiver rejects.
func badProfiles() []badRequest {
	return []badRequest{
		{name: "no name", path: "/ingest", body: text("x"), status: 400, says: "name"},
		{name: "hostile label", path: ingest("app{__secret__=1,a\x00b=2}", ""), body: text("x"), status: 400, says: "label"},
		{name: "too large, as it says", path: ingest("app", ""), body: unlimited(100 * mib), length: 100 * mib, status: 413, says: "MiB"},
		{name: "too large, without saying so", path: ingest("app", ""), body: unlimited(100 * mib), status: 413, says: "MiB", crowded: true},
		{name: "no push request", path: "/push.v1.PusherService/Push", contentType: "application/proto", body: text("this is no protobuf"), status: 400},
		{name: "push gzip bomb", path: "/push.v1.PusherService/Push", contentType: "application/proto", encoding: "gzip", body: raw(gzipBomb(bombSize)), status: 413},
		{name: "unknown path", path: "/", body: text("x"), status: 404},
	}
}

// send makes a bad request and checks how it is refused. It writes and reads
// at once: Go's own client may miss an answer that comes before it has sent all.
func (b badRequest) send(t *testing.T, address string, noise *harness.Noise, limit time.Duration) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, "http://"+address+b.path, b.body())
	if err != nil {
		t.Fatal(err)
	}
	if b.length > 0 {
		req.ContentLength = b.length
	}
	req.Header.Set("Content-Type", b.contentType)
	if b.encoding != "" {
		req.Header.Set("Content-Encoding", b.encoding)
	}
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Errorf("%s: %v", b.name, err)
		return
	}
	defer c.Close()
	begin := time.Now()
	c.SetDeadline(begin.Add(catchUp))
	go req.Write(c)
	resp, err := http.ReadResponse(bufio.NewReader(c), req)
	if err != nil {
		t.Errorf("%s: no answer: %v", b.name, err)
		return
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && b.crowded && resp.StatusCode == http.StatusServiceUnavailable && len(body) > 0 {
		return
	}
	if err != nil || resp.StatusCode != b.status || !strings.Contains(string(body), b.says) || len(body) == 0 {
		t.Errorf("%s: answered %s %.300q (%v), want %d and %q", b.name, resp.Status, body, err, b.status, b.says)
	}
	if took := time.Since(begin); took > noise.Bound(limit) {
		t.Errorf("%s: refused after %s, %s are allowed", b.name, took, noise.Bound(limit))
	}
}

// badPage is a metrics page that a scrape must fail on.
type badPage struct {
	name string
	page http.HandlerFunc
}

func page(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		io.WriteString(w, text)
	}
}

func badPages() []badPage {
	bomb := gzipBomb(bombSize)
	return []badPage{
		{"no exposition text", page("<html>hello</html>\n")},
		{"a line without value", page("a 1\nb\n")},
		{"an open quote", page("a{b=\"c} 1\n")},
		{"a hostile name", page("a{\x00=\"c\"} 1\n")},
		{"a hostile value", page("a{b=\"\xff\xfe\"} 1\n")},
		{"a huge line", page("a{b=\"" + strings.Repeat("x", 8*mib) + "\n")},
		{"a gzip bomb", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain; version=0.0.4")
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(bomb)
		}},
		{"an endless page", func(w http.ResponseWriter, r *http.Request) {
			line := bytes.Repeat([]byte("# x\n"), 1000)
			for r.Context().Err() == nil {
				if _, err := w.Write(line); err != nil {
					return
				}
			}
		}},
		{"a page that trickles", func(w http.ResponseWriter, r *http.Request) {
			tick := time.NewTicker(50 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-tick.C:
					io.WriteString(w, "#")
					w.(http.Flusher).Flush()
				case <-r.Context().Done():
					return
				}
			}
		}},
		{"no answer", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }},
		{"status 500", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }},
	}
}

// slowPreface is how a client of HTTP/2 begins. What has to follow never does.
const slowPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// slowLoris opens connections that send a text byte by byte, and returns how
// many have been closed by the other side so far.
func slowLoris(t *testing.T, n int, address, text string) func() int {
	t.Helper()
	var closed atomic.Int64
	for range n {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		go func() {
			for _, b := range []byte(text) {
				if _, err := c.Write([]byte{b}); err != nil {
					break
				}
				<-time.After(500 * time.Millisecond)
			}
		}()
		go func() {
			io.Copy(io.Discard, c)
			closed.Add(1)
		}()
	}
	return func() int { return int(closed.Load()) }
}

// configWith is the configuration of s with the pages as further targets.
func (s *fourSignals) configWith(t *testing.T, docker string, pages []badPage) string {
	t.Helper()
	config := s.config(t, docker, edit{})
	// Bombs cost time, too, so a page's timeout must be long enough.
	config = strings.Replace(strings.Replace(config, "250ms", "1s", 1), `"200ms"`, `"1s"`, 1)
	config = strings.Replace(config, "traces = [otelcol.exporter.otlp.tempo.input]",
		"traces = [otelcol.exporter.otlp.tempo.input]\n\t\tlogs = [otelcol.exporter.otlp.tempo.input]", 1)
	var targets []string
	for _, p := range pages {
		server := httptest.NewServer(p.page)
		t.Cleanup(server.Close)
		t.Cleanup(server.CloseClientConnections)
		targets = append(targets, fmt.Sprintf(`{"__address__" = %q, "bad" = %q}`, server.Listener.Addr(), p.name))
	}
	config += fmt.Sprintf(`
prometheus.scrape "bad" {
	targets         = [%s]
	scrape_interval = "1s"
	scrape_timeout  = "500ms"
	body_size_limit = "8MiB"
	forward_to      = [prometheus.remote_write.vm.receiver]
}
`, strings.Join(targets, ", "))
	return config
}

// checkTaken checks that the good items of load were accepted, and in time.
func checkTaken(t *testing.T, load load, noise *harness.Noise) {
	t.Helper()
	for name, sender := range map[string]*harness.Attempts{"spans": load.spans, "profiles": load.profiles} {
		checkRefused(t, name, sender)
		if slowest := sender.Slowest(); slowest > noise.Bound(5*time.Second) {
			t.Errorf("%s: the slowest answer took %s, %s are allowed", name, slowest, noise.Bound(5*time.Second))
		}
	}
}

// checkRefused checks that good items were not refused. A busy disk may delay a few:
// their senders are asked to retry, and do.
func checkRefused(t *testing.T, name string, sender interface {
	Refused() (int, error)
	Acked() int
}) {
	t.Helper()
	n, err := sender.Refused()
	late := err != nil && strings.Contains(err.Error(), "did not answer in time") && n*100 <= sender.Acked()
	if late {
		t.Logf("%s: %d were told to come again: %v", name, n, err)
	}
	if n > 0 && !late {
		t.Errorf("%s: %d good ones of %d were refused, the last with: %v", name, n, n+sender.Acked(), err)
	}
}

// TestBadInput sends everything that is wrong, again and again, beside good
// load of all four signals, of which nothing is refused, lost or late.
func TestBadInput(t *testing.T) {
	t.Parallel()
	daemon := dockertest.New(t)
	s := startFourSignals(t, daemon.Host(), 0)
	id := daemon.Run(dockertest.Container{Name: "writer"})
	pages := badPages()
	s.Collector.Configure(t, s.configWith(t, daemon.Host(), pages))
	s.Collector.Start(t)
	lines := harness.StartSender(t, 5*time.Millisecond, func(seq int) error {
		daemon.Print(id, "stdout", fmt.Sprintf("line %d\n", seq))
		return nil
	})
	load := s.startLoad(t)
	harness.Wait(2 * time.Second)
	before := s.Collector.RSS(t)
	slowHeader := "POST /v1/traces HTTP/1.1\r\nHost: x\r\nX-Padding: " + strings.Repeat("x", 10000)
	grpcLoris := slowLoris(t, 50, harness.Address(s.GRPC), slowPreface)
	httpLoris := slowLoris(t, 50, harness.Address(s.HTTP), slowHeader)
	profilesLoris := slowLoris(t, 50, harness.Address(s.Profiles), slowHeader)

	otlp, profiling, noise := badOTLP(), badProfiles(), harness.StartNoise(t)
	rounds, most := s.sendBad(t, otlp, profiling, noise)
	// 170 to 193 MiB were measured. By heap profiles, some 150 of them are buffers of
	// bodies that were read up to a limit, which wait for reuse: of profiles (64 MiB) and
	// OTLP (20 MiB), in pieces, and of pages that several scrapes read at once (8 MiB
	// each, 41 in sum). Two garbage collections without use free them, but while bad
	// input comes they are used between any two. The rest is what the garbage collector
	// lets the heap grow by.
	if most > before+224*mib {
		t.Errorf("%d MiB are resident at most, %d before", most>>20, before>>20)
	}
	counted := s.Collector.Metric(t, "otelcol_receiver_refused_requests_total")
	// An unknown path is answered, but is no request of OTLP.
	if counted != float64(rounds*(len(otlp)-1)) {
		t.Errorf("%v refused OTLP requests are counted, %d rounds were made", counted, rounds)
	}
	for _, p := range pages {
		harness.Eventually(t, 30*time.Second, func() error {
			if n := badSamples(s.Metrics, "up", p.name, 0); n < 5 {
				return fmt.Errorf("%s: up is 0 %d times only", p.name, n)
			}
			return nil
		})
		if n := badSamples(s.Metrics, "up", p.name, 1); n > 0 {
			t.Errorf("%s: up is 1 %d times", p.name, n)
		}
	}
	harness.Eventually(t, 45*time.Second, func() error {
		if a, b, c := grpcLoris(), httpLoris(), profilesLoris(); a+b+c != 150 {
			return fmt.Errorf("of 50 slow clients each, %d, %d and %d were cut off", a, b, c)
		}
		return nil
	})
	t.Logf("%d rounds of %d bad requests; %v refused OTLP requests counted; 150 slow clients cut off; resident at most %d MiB, before %d MiB",
		rounds, len(otlp)+len(profiling), counted, most>>20, before>>20)

	printed := lines.Stop()
	spans, profiles := load.spans.Stop(), load.profiles.Stop()
	checkTaken(t, load, noise)
	harness.Eventually(t, 30*time.Second, func() error {
		if n := len(s.Loki.Entries()); n != len(printed) {
			return fmt.Errorf("%d of %d lines have arrived", n, len(printed))
		}
		return nil
	})
	verdicts := s.drainAndJudge(t)
	for signal, acked := range map[string][]int{"traces": spans, "profiles": profiles} {
		if lost := missing(acked, verdicts[signal].Arrived); len(lost) > 0 {
			t.Errorf("%s: %d of %d are lost", signal, len(lost), len(acked))
		}
	}
	s.checkScrapes(t, verdicts["metrics"], nil)
	s.Collector.Stop(t)
}

// sendBad sends everything that is bad in rounds, and returns how many there were and
// the most bytes that the collector held resident.
func (s *fourSignals) sendBad(t *testing.T, otlp, profiling []badRequest, noise *harness.Noise) (rounds int, most int64) {
	t.Helper()
	for end := time.Now().Add(harness.For(15*time.Second, 10*time.Minute)); time.Now().Before(end) && !t.Failed(); rounds++ {
		for _, b := range otlp {
			b.send(t, harness.Address(s.HTTP), noise, 5*time.Second)
			most = max(most, s.Collector.RSS(t))
		}
		for _, b := range profiling {
			b.send(t, harness.Address(s.Profiles), noise, 5*time.Second)
			most = max(most, s.Collector.RSS(t))
		}
	}
	return rounds, most
}

// badSamples counts the samples of that value of a family of a bad target.
func badSamples(r *remotewritetest.Receiver, family, bad string, value float64) (n int) {
	for _, sample := range r.Samples() {
		if strings.Contains(sample.Series, fmt.Sprintf("__name__=%q", family)) && strings.Contains(sample.Series, fmt.Sprintf("bad=%q", bad)) && sample.Value() == value {
			n++
		}
	}
	return n
}

// TestP2_BodiesThatAreTooLargeAreRejectedAtOnce is about profiles alone, and
// about time.
func TestP2_BodiesThatAreTooLargeAreRejectedAtOnce(t *testing.T) {
	s := startFourSignals(t, "", 0)
	s.Collector.Start(t)
	noise, before := harness.StartNoise(t), s.Collector.RSS(t)
	for _, b := range []badRequest{
		{name: "as it says", path: ingest("app", ""), body: unlimited(100 * mib), length: 100 * mib, status: 413, says: "MiB"},
		{name: "without saying so", path: ingest("app", ""), body: unlimited(100 * mib), status: 413, says: "MiB"},
		{name: "gzip bomb", path: "/push.v1.PusherService/Push", contentType: "application/proto", encoding: "gzip", body: raw(gzipBomb(bombSize)), status: 413},
	} {
		b.send(t, harness.Address(s.Profiles), noise, time.Second)
	}
	// A body of the receiver's limit, and half of it again, which the collector
	// of garbage leaves; the next is read in the meantime. A bomb alone would be more.
	after := s.Collector.RSS(t)
	if after > before+bombSize/2 {
		t.Errorf("%d MiB are resident, %d before", after>>20, before>>20)
	}
	t.Logf("%d MiB are resident, %d before", after>>20, before>>20)
	if n := s.Collector.Metric(t, "pyroscope_receive_http_dropped_profiles_total"); n == 0 {
		t.Error("the refused profiles are not counted")
	}
	s.Collector.Accounts(t)
	s.Collector.Stop(t)
}

// TestM5_TwoTargetsWithTheSameLabels are one: scraped once, and reported once.
func TestM5_TwoTargetsWithTheSameLabels(t *testing.T) {
	t.Parallel()
	receiver := remotewritetest.New(t, nil)
	one, two := harness.StartTarget(t, 10), harness.StartTarget(t, 10)
	c := harness.NewCollector(t, fmt.Sprintf(`
prometheus.scrape "twice" {
	targets         = [{"__address__" = %q, "instance" = "same"}, {"__address__" = %q, "instance" = "same"}, {"__address__" = %q, "instance" = "same"}]
	scrape_interval = "200ms"
	scrape_timeout  = "200ms"
	forward_to      = [prometheus.remote_write.vm.receiver]
}

prometheus.remote_write "vm" {
	endpoint { url = %q }
}
`, one.Address, two.Address, two.Address, receiver.URL))
	c.Start(t)
	harness.Eventually(t, 20*time.Second, func() error {
		if n := one.Scrapes() + two.Scrapes(); n < 15 {
			return fmt.Errorf("%d scrapes", n)
		}
		return nil
	})
	c.Stop(t)
	if one.Scrapes() > 0 && two.Scrapes() > 0 {
		t.Errorf("%d and %d scrapes", one.Scrapes(), two.Scrapes())
	}
	seen := make(map[string]bool)
	for _, sample := range receiver.Samples() {
		key := fmt.Sprint(sample.Series, sample.T)
		if seen[key] {
			t.Fatalf("%s has two samples at %d", sample.Series, sample.T)
		}
		seen[key] = true
	}
	if n := strings.Count(c.Output(), "two targets have the same labels"); n != 1 {
		t.Errorf("%d complaints:\n%s", n, c.Output())
	}
}

// TestL21_OneBadEntryAffectsNoOther makes Loki reject one entry of a thousand, for each of
// its reasons, while it stores the others.
func TestL21_OneBadEntryAffectsNoOther(t *testing.T) {
	t.Parallel()
	for name, refusal := range map[string]string{
		"too-old":         "entry for stream '{}' has timestamp too old: 2020-01-01T00:00:00Z, oldest acceptable timestamp is: 2026-01-01T00:00:00Z",
		"too-long":        "Max entry size '262144' bytes exceeded for stream '{}' while adding an entry with length '300000' bytes",
		"too-many-labels": "entry for stream '{}' has 20 label names; limit 15",
	} {
		t.Run(name, func(t *testing.T) {
			daemon := dockertest.New(t)
			s := startFourSignals(t, daemon.Host(), 0)
			s.Loki.Refuse(func(e lokitest.Entry) string {
				if e.Line == "line 500" {
					return refusal
				}
				return ""
			})
			// The collector's own output is among what it reads.
			own := daemon.Run(dockertest.Container{Name: "collector"})
			id := daemon.Run(dockertest.Container{Name: "writer"})
			for n := range 1000 {
				daemon.Print(id, "stdout", fmt.Sprintf("line %d\n", n))
			}
			s.Collector.Start(t)
			fed := 0
			feed := func() {
				out := s.Collector.Output()
				if i := strings.LastIndexByte(out, '\n'); i > fed {
					daemon.Print(own, "stderr", out[fed:i+1])
					fed = i + 1
				}
			}
			lines := func() (n int) {
				for _, e := range s.Loki.Entries() {
					if strings.HasPrefix(e.Line, "line ") {
						n++
					}
				}
				return n
			}
			harness.Eventually(t, 20*time.Second, func() error {
				feed()
				if lines() != 999 {
					return fmt.Errorf("%d lines are stored", lines())
				}
				return nil
			})
			for end := time.Now().Add(3 * time.Second); time.Now().Before(end); {
				feed()
				harness.Wait(100 * time.Millisecond)
			}
			said := len(s.Collector.Output())
			for end := time.Now().Add(2 * time.Second); time.Now().Before(end); {
				feed()
				harness.Wait(100 * time.Millisecond)
			}
			// On a busy machine, the scrape may log something.
			if more := s.Collector.Output()[said:]; strings.Contains(more, "component_id=loki.") {
				t.Errorf("the collector feeds on its own output: it went on saying:\n%s", more)
			}
			dropped := 0.0
			for _, a := range s.Collector.Accounts(t) {
				if a.Signal == "logs" {
					dropped = a.Dropped
				}
			}
			if dropped != 1 || strings.Count(s.Collector.Output(), `err="POST`) != 1 || !strings.Contains(s.Collector.Output(), refusal[:20]) {
				t.Errorf("%v entries were dropped, want 1 and one warning:\n%s", dropped, s.Collector.Output())
			}
			s.Collector.Stop(t)
		})
	}
}
