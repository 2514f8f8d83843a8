package statsd

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"collector/pkg/component"
	"collector/pkg/exporters/exporter/exportertest"
	"collector/pkg/listen"
)

// server is a running exporter.
type server struct {
	exportertest.Exporter
	*StatsD
	t         *testing.T
	udp, tcp  string
	cancel    func()
	stopped   sync.WaitGroup
	connected map[string]net.Conn
}

// start runs an exporter that listens on free ports besides what is set.
func start(t *testing.T, settings string) *server {
	t.Helper()
	s := prepare(t, settings)
	s.run()
	return s
}

// prepare makes an exporter that listens, and does not read yet.
func prepare(t *testing.T, settings string) *server {
	t.Helper()
	if !strings.Contains(settings, "listen_") {
		settings += "\nlisten_udp = \"127.0.0.1:0\"\nlisten_tcp = \"127.0.0.1:0\"\n"
	}
	if !strings.Contains(settings, "event_flush_interval") {
		settings += "\nevent_flush_interval = \"1ms\"\n"
	}
	e := exportertest.New(t, Definition(), settings)
	s := &server{Exporter: e, StatsD: e.Component.(*StatsD), t: t, connected: map[string]net.Conn{}}
	s.o.Listeners = listen.NewPool() // the one that made it opens nothing
	if err := s.Bind(); err != nil {
		t.Fatal(err)
	}
	for _, at := range s.Receiving().Listens {
		words := strings.Fields(at)
		switch address := words[len(words)-1]; words[2] {
		case "UDP":
			s.udp = address
		case "TCP":
			s.tcp = address
		}
	}
	return s
}

func (s *server) run() {
	ctx, cancel := context.WithCancel(context.Background())
	s.stopped.Go(func() {
		if err := s.Component.Run(ctx); err != nil {
			s.t.Error(err)
		}
	})
	s.cancel = func() { cancel(); s.stopped.Wait() }
	s.t.Cleanup(s.cancel)
}

func (s *server) send(network, address, text string) {
	s.t.Helper()
	c := s.connected[network]
	if c == nil {
		var err error
		if c, err = net.Dial(network, address); err != nil {
			s.t.Fatal(err)
		}
		s.connected[network] = c
		s.t.Cleanup(func() { c.Close() })
	}
	if _, err := c.Write([]byte(text)); err != nil {
		s.t.Fatal(err)
	}
}

// await waits until all lines are on the page.
func (s *server) await(lines ...string) exportertest.Lines {
	s.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		_, page := s.Exporter.Page()
		missing := slices.IndexFunc(lines, func(line string) bool { return !slices.Contains(page, line) })
		if missing < 0 {
			return page
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("no %s in\n%s", lines[missing], page)
		}
		time.Sleep(time.Millisecond)
	}
}

// testdata/alloy.txt lists the metrics that Alloy 1.12 gave for these lines.
func TestThePageMatchesAlloys(t *testing.T) {
	s := start(t, "")
	s.send("udp", s.udp, "hits.web:3|c\ndepth:7|g\nlat:320|ms\nsize:10|h\ntagged:1|c|#env:prod")
	page := s.await("hits_web 3", "depth 7", `lat{quantile="0.5"} 0.32`, "lat_count 1", "size_sum 10", `tagged{env="prod"} 1`)
	got := slices.DeleteFunc(page.Series(t), func(line string) bool {
		return strings.HasPrefix(line, "statsd_exporter_udp_packet_drops_total") // which Alloy does not have
	})
	want := slices.DeleteFunc(exportertest.Alloys(t), func(line string) bool { return strings.Contains(line, "{quantile}") })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-Alloy's +ours) %s\n%s", diff, page)
	}
	target := s.Targets()[0]
	if target["instance"] != "prometheus.exporter.statsd.x" || target["job"] != "integrations/statsd" {
		t.Errorf("the target is %v", target)
	}
}

func TestEachListenerReceivesLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	s := start(t, fmt.Sprintf("listen_udp = \"127.0.0.1:0\"\nlisten_tcp = \"127.0.0.1:0\"\nlisten_unixgram = %q\nunix_socket_mode = \"620\"\nread_buffer = 300000", path))
	s.send("udp", s.udp, "a:1|c\n")
	s.send("tcp", s.tcp, "a:2|c\nb:1")
	s.send("tcp", s.tcp, "0|g\n")
	s.await("a 3", "b 10", "statsd_exporter_udp_packets_total 1", "statsd_exporter_tcp_connections_total 1")
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if info, err := os.Stat(path); err == nil && info.Mode().Perm() == 0o620 {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("the socket: %v, %v", info, err)
		}
	}
	s.send("unixgram", path, "a:4|c")
	s.await("a 7", "statsd_exporter_unixgram_packets_total 1", "statsd_exporter_lines_total 5")
	r := s.Receiving()
	if len(r.Listens) != 3 || r.Signals[0].Items != 4 {
		t.Errorf("received %+v", r)
	}
	s.cancel()
	if _, err := os.Stat(path); err == nil {
		t.Error("the socket's file is left")
	}
}

func TestTheKernelHoldsAsMuchAsConfigured(t *testing.T) {
	const sent = 100
	flood := func(settings string) (s *server) {
		s = prepare(t, settings)
		for range sent { // before anybody reads
			s.send("udp", s.udp, "a:1|c|#x:"+strings.Repeat("x", 500))
		}
		s.run()
		return s
	}
	flood("").await(fmt.Sprintf("statsd_exporter_udp_packets_total %d", sent), "statsd_exporter_udp_packet_drops_total 0")
	s := flood("read_buffer = 5000")
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		s.send("udp", s.udp, "b:1|c") // the kernel says with a datagram what it has dropped before
		if _, page := s.Exporter.Page(); page.Has("b ") && !page.Has("statsd_exporter_udp_packet_drops_total 0") {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("nothing is dropped:\n%s", page)
		}
	}

	path := filepath.Join(t.TempDir(), "s")
	conn, err := (&StatsD{config: Config{ListenUnixgram: path, ReadBuffer: 5000}}).listenUnix()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var size int
	if controlErr := raw.Control(func(fd uintptr) { size, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF) }); controlErr != nil || err != nil || size != 10000 { // the kernel doubles it
		t.Errorf("the kernel holds %d bytes by the Unix socket: %v, %v", size, controlErr, err)
	}
}

func TestASocketThatAKilledProcessLeftIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: path})
	if err != nil {
		t.Fatal(err)
	}
	settings := fmt.Sprintf("listen_udp = \"\"\nlisten_tcp = \"\"\nlisten_unixgram = %q\nread_buffer = 100000", path)
	e := exportertest.New(t, Definition(), settings)
	if err := e.Component.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "in use") || !strings.Contains(err.Error(), path) {
		t.Errorf("of a socket in use: %v", err)
	}
	l.Close()
	s := start(t, settings)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if c, err := net.Dial("unixgram", path); err == nil {
			c.Close()
			break
		} else if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	s.send("unixgram", path, "a:4|c")
	s.await("a 4")
}

const mappings = `
defaults:
  ttl: 0s
mappings:
- match: "shop.*.orders"
  name: "orders_total"
  labels:
    shop: "$1"
- match: 'api\.(\w+)\.time'
  match_type: regex
  name: "api_seconds"
  observer_type: histogram
  histogram_options:
    buckets: [0.1, 1]
  labels:
    route: "$1"
- match: "."
  match_type: regex
  action: drop
  name: dropped
`

func TestMappingsMakeNamesAndLabels(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.yaml")
	if err := os.WriteFile(path, []byte(mappings), 0o600); err != nil {
		t.Fatal(err)
	}
	for settings, shown := range map[string]string{"": "statsd_metric_mapper_cache_length 3", "cache_type = \"random\"\ncache_size = 2": "statsd_metric_mapper_cache_length 2", "cache_size = 0": ""} {
		s := start(t, settings+fmt.Sprintf("\nmapping_config_path = %q\n", path))
		s.send("udp", s.udp, "shop.a.orders:2|c\napi.pay.time:500|ms\nother:1|c")
		want := []string{`orders_total{shop="a"} 2`, `api_seconds_bucket{route="pay",le="0.1"} 0`, `api_seconds_bucket{route="pay",le="1"} 1`, "statsd_exporter_loaded_mappings 3", `statsd_exporter_events_actions_total{action="drop"} 1`}
		if shown != "" {
			want = append(want, shown)
		}
		if page := s.await(want...); shown == "" && page.Has("statsd_metric_mapper_cache") {
			t.Errorf("%s: there is a cache:\n%s", settings, page)
		}
	}
	if err := os.WriteFile(path, []byte("mappings:\n- match: a\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	exportertest.RefusesArguments(t, Definition(), map[string]string{
		fmt.Sprintf("mapping_config_path = %q", path):     "metric mapping didn't set a metric name",
		fmt.Sprintf("mapping_config_path = %q", path+"x"): "no such file",
	})
}

func TestTagsAreLabelsIfTheirKindIsParsed(t *testing.T) {
	for argument, line := range map[string][2]string{
		"parse_dogstatsd_tags": {"a:1|c|#env:x", `a{env="x"} 1`},
		"parse_influxdb_tags":  {"a,env=x:1|c", `a{env="x"} 1`},
		"parse_librato_tags":   {"a#env=x:1|c", `a{env="x"} 1`},
		"parse_signalfx_tags":  {"a[env=x]:1|c", `a{env="x"} 1`},
	} {
		s := start(t, "")
		s.send("udp", s.udp, line[0])
		s.await(line[1])
		s = start(t, argument+" = false")
		s.send("udp", s.udp, line[0])
		if page := s.await(`statsd_exporter_events_total{type="counter"} 1`); page.Has("a{") {
			t.Errorf("without %s:\n%s", argument, page)
		}
	}
}

func TestEventsAreHandledAtTheThresholdOrTheInterval(t *testing.T) {
	s := start(t, "event_flush_interval = \"1h\"\nevent_flush_threshold = 3\nevent_queue_size = 3")
	s.send("tcp", s.tcp, "a:1|c\na:1|c\n")
	s.await("statsd_exporter_lines_total 2")
	if _, page := s.Exporter.Page(); page.Has("a ") || !page.Has("statsd_exporter_event_queue_flushed_total 0") {
		t.Errorf("before there are enough:\n%s", page)
	}
	s.send("tcp", s.tcp, "a:1|c\n")
	s.await("a 3", "statsd_exporter_event_queue_flushed_total 1")
	s.send("tcp", s.tcp, "a:1|c\n")
	s.await("statsd_exporter_lines_total 4")
	s.cancel()
	s.await("a 4")

	s = start(t, "event_flush_interval = \"1ms\"\nevent_flush_threshold = 3")
	s.send("tcp", s.tcp, "a:1|c\n")
	s.await("a 1")
}

func TestTheQueueHoldsAsManyEventsAsConfigured(t *testing.T) {
	if q := newQueue(10, 3, prometheus.NewCounter(prometheus.CounterOpts{})); cap(q.out) != 3 {
		t.Errorf("%d times 3 events are held", cap(q.out))
	}
}

func TestLinesAreRelayed(t *testing.T) {
	to, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	s := start(t, fmt.Sprintf("relay_addr = %q\nrelay_packet_length = 14", to.LocalAddr()))
	s.send("udp", s.udp, "a:1|c\nb:1|c\nmuch.too.long:1|c\nc:1|c")
	packet := make([]byte, 100)
	var got string
	for !strings.Contains(got, "c:1|c\n") || len(got) < 18 {
		n, _, err := to.ReadFrom(packet)
		if err != nil {
			t.Fatal(err)
		}
		if n > 14 {
			t.Errorf("a packet of %d bytes", n)
		}
		got += string(packet[:n])
	}
	if got != "a:1|c\nb:1|c\nc:1|c\n" {
		t.Errorf("relayed %q", got)
	}
	target := fmt.Sprintf("{target=%q}", to.LocalAddr())
	s.await("statsd_exporter_relay_packets_total"+target+" 2", "statsd_exporter_relay_long_lines_total"+target+" 1", "statsd_exporter_relay_lines_relayed_total"+target+" 3")
}

func TestInvalidAndOversizedLinesAreCounted(t *testing.T) {
	s := start(t, "")
	s.send("udp", s.udp, "nonsense\na:1|ms|@0.00001\nb:1:2:3|ms|@0.0002\nc:1:2|ms|@0.5\n"+strings.Repeat("x", maxLine)+":1|c\nd:-1|c\ne:1|c\ne:1|g")
	page := s.await(
		`statsd_exporter_sample_errors_total{reason="malformed_line"} 1`, `statsd_exporter_sample_errors_total{reason="invalid_sample_factor"} 2`,
		`statsd_exporter_sample_errors_total{reason="line_too_long"} 1`, "c_count 4", `statsd_exporter_events_error_total{reason="illegal_negative_counter"} 1`,
		"e 1", `statsd_exporter_events_conflict_total{type="gauge"} 1`,
	)
	if page.Has("a_count") || page.Has("b_count") {
		t.Errorf("a line with too many events is handled:\n%s", page)
	}
	if r := s.Receiving(); r.Refused["invalid_sample_factor"] != 2 || r.Refused["line_too_long"] != 1 || r.Refused["invalid"] != 1 {
		t.Errorf("received %+v", r)
	}
	s.send("tcp", s.tcp, strings.Repeat("x", 2*maxLine))
	s.await("statsd_exporter_tcp_too_long_lines_total 1")
}

func TestSeriesAreBounded(t *testing.T) {
	s := prepare(t, "")
	s.updates.Registry.(*series).most = 3*seriesCost + 100
	s.run()
	s.send("udp", s.udp, "a:1|c\nb:1|c\nc:1|c\nd:1|c\na:1|c\ne:1|ms\nf:1|g\ng:1|h")
	page := s.await("a 2", "c 1", `statsd_exporter_events_conflict_total{type="counter"} 1`, `statsd_exporter_events_conflict_total{type="observer"} 2`, `statsd_exporter_events_conflict_total{type="gauge"} 1`)
	if page.Has("d ") || page.Has("e_count") {
		t.Errorf("there is more:\n%s", page)
	}
}

func TestExpiredSeriesMakeRoom(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.yaml")
	if err := os.WriteFile(path, []byte("mappings:\n- {match: old, name: old, ttl: 1ms}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := prepare(t, fmt.Sprintf("mapping_config_path = %q", path))
	s.updates.Registry.(*series).most = seriesCost + 100
	s.run()
	s.send("udp", s.udp, "old:1|c")
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		s.send("udp", s.udp, "new:1|c")
		if _, page := s.Exporter.Page(); page.Has("new ") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("there is no room")
		}
	}
}

func TestConnectionsEndWithTheComponent(t *testing.T) {
	s := start(t, "")
	s.send("tcp", s.tcp, "a:1|c\n")
	s.await("a 1")
	s.cancel()
	if _, err := s.connected["tcp"].Read(make([]byte, 1)); err == nil {
		t.Error("the connection is open")
	}
}

func TestWrongSettingsAreRejectedAtTheirArgument(t *testing.T) {
	refused := map[string]string{
		"listen_udp = \"\"\nlisten_tcp = \"\"": "nothing listens",
		"cache_type = \"fifo\"":                `"fifo" is unknown`,
		"cache_size = -1":                      "cache_size: -1 is negative",
		"event_flush_interval = \"0s\"":        "event_flush_interval: it must be above 0",
		"relay_addr = \"h\"":                   `relay_addr: "h" is not an address`,
	}
	exportertest.RefusesArguments(t, Definition(), refused)
	var warned []string
	var c Config
	c.SetToDefault()
	c.ListenUnixgram, c.UnixSocketMode = "/run/s", "prom"
	if _, err := New(c, component.Options{Warn: func(path, why string) { warned = append(warned, path+": "+why) }}); err != nil || len(warned) != 1 || !regexp.MustCompile(`^unix_socket_mode: "prom" is not a mode`).MatchString(warned[0]) {
		t.Errorf("%v, warned of %q", err, warned)
	}
}

// linesOfFewEvents have small factors or many ":", which make no events of them.
var linesOfFewEvents = []string{
	"hits:1|c|@0.0001", "hits:1|c|@0.00001:2|c", "g:5|g|@0.0001", "a:1|ms|@0.001", "a:1:2|h|@0.001|#a:b", "a:1|c|@0.00001:2|ms|@0.1",
	"req:5|ms|@0.001|#a:1,b:2,c:3,d:4,e:5,f:6,g:7,h:8,i:9,j:10", "req:5|d|#a:1,b:2,c:3,d:4,e:5,f:6,g:7,h:8,i:9,j:10|@0.001",
}

func TestFactorsAndTagsThatMakeFewEventsAreAccepted(t *testing.T) {
	for _, text := range linesOfFewEvents {
		if expands(text) {
			t.Errorf("%s is rejected", text)
		}
	}
	for _, text := range []string{"a:1|ms|@0.00001", "a:1:2|h|@0.00015", "a:1|c:1|d|@0.00001", "a:1|ms|#a:b|@0.00001", "a:1|h|@0.0002:2|h|@0.0002:3|h|@0.0002"} {
		if !expands(text) {
			t.Errorf("%s is accepted", text)
		}
	}
}

// Whoever receives a line does not wait until the address of the relay is found, and a
// relay that has ended opens no connection.
func TestALineDoesNotConnectTheRelay(t *testing.T) {
	to, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	r := &relay{address: to.LocalAddr().String(), longest: 10, metrics: newMetrics(prometheus.NewRegistry(), "x"), log: slog.New(slog.DiscardHandler)}
	lines := func() {
		t.Helper()
		for range 3 {
			r.add("a:1|c")
		}
		if r.conn != nil {
			t.Error("a line connects")
		}
	}
	lines()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r.run(ctx)
	lines()
}

func FuzzExpands(f *testing.F) {
	for _, text := range linesOfFewEvents {
		f.Add(text)
	}
	f.Add("a:1|ms|@0.1")
	f.Add("a:1:2|ms|@1e-9:3|c")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > maxLine || expands(text) {
			return
		}
		e := exportertest.New(t, Definition(), "").Component.(*StatsD)
		if events := e.parse(text); len(events) > 2*maxEvents {
			t.Errorf("%d events", len(events))
		}
	})
}
