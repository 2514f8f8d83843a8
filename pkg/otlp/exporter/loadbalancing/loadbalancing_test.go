package loadbalancing

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"collector/pkg/component"
	"collector/pkg/deliver"
	"collector/pkg/listen/listentest"
	"collector/pkg/otlp/exporter"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/otlp/wire"
	"collector/pkg/pipeline"
)

// The Collector's exporter has these sums for 10,000 keys.
func TestTheRingIsTheCollectors(t *testing.T) {
	for n, want := range map[int]uint64{
		1: 0x1b70637ec8dccae5, 2: 0x3a074a77d885660, 3: 0xf043a24241bfe8ad, 7: 0xe31425d123a43768, 50: 0x2f270e658afce17f, 300: 0x123e76969a004206,
	} {
		var endpoints []string
		for i := range n {
			endpoints = append(endpoints, fmt.Sprintf("sampler-%d:4317", i))
		}
		slices.Sort(endpoints)
		r, h := newRing(endpoints), fnv.New64a()
		for i := range 10000 {
			h.Write([]byte(r.endpoint(fmt.Sprintf("key %d", i))))
		}
		if got := h.Sum64(); got != want {
			t.Errorf("%d endpoints: %#x, want %#x", n, got, want)
		}
	}
}

func TestEachRoutingKeySharesOutItsSignals(t *testing.T) {
	spans := otlptest.Request(t, pipeline.SignalTraces, 30, 1, 4, 20)
	metrics := otlptest.Request(t, pipeline.SignalMetrics, 30, 1, 4, 20)
	logs := otlptest.Request(t, pipeline.SignalLogs, 30, 1, 4, 20)
	data := map[pipeline.Signal][]byte{pipeline.SignalTraces: spans, pipeline.SignalMetrics: metrics, pipeline.SignalLogs: logs}
	for key, signals := range map[string][]pipeline.Signal{
		"traceID":  {pipeline.SignalTraces, pipeline.SignalLogs},
		"service":  {pipeline.SignalTraces, pipeline.SignalMetrics, pipeline.SignalLogs},
		"resource": {pipeline.SignalMetrics},
		"metric":   {pipeline.SignalMetrics},
		"streamID": {pipeline.SignalMetrics},
	} {
		registry := prometheus.NewRegistry()
		servers, addresses := startServers(t, 3)
		e, stop := running(t, config(func(c *Config) { c.RoutingKey = key; static(addresses...)(c) }), nil, component.Options{Metrics: registry})
		var want []string
		for s, d := range data {
			if err := e.WriteOTLP(t.Context(), pipeline.OTLP{Signal: s, Data: d, Items: len(otlptest.Flatten(t, s, d))}); err != nil {
				t.Fatal(err)
			}
			if routed := slices.Contains(signals, s); routed {
				want = append(want, otlptest.Flatten(t, s, d)...)
			} else if lost := otlptest.Counter(t, registry, "otelcol_exporter_lost_items_total", string(s)); lost == 0 {
				t.Errorf("%s: %s that were dropped are not counted", key, s)
			}
			if e.ReadsOTLP(s) != slices.Contains(signals, s) {
				t.Errorf("%s: it does not say what is taken apart", key)
			}
		}
		var got []string
		listentest.Eventually(t, "all arrives", func() bool {
			got = nil
			for _, s := range servers {
				got = append(got, s.items()...)
			}
			return len(got) >= len(want)
		})
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %d items have arrived, not the %d", key, len(got), len(want))
		}
		stop()
	}
}

func TestSpansOfATraceComeToOneEndpoint(t *testing.T) {
	servers, addresses := startServers(t, 3)
	registry := prometheus.NewRegistry()
	e, _ := running(t, config(static(addresses...)), nil, component.Options{Metrics: registry})
	for range 3 {
		if err := e.WriteOTLP(t.Context(), traces(t, count(0, 100)...)); err != nil {
			t.Fatal(err)
		}
	}
	listentest.Eventually(t, "all spans arrive", func() bool {
		return len(servers[0].items())+len(servers[1].items())+len(servers[2].items()) == 300
	})
	for i, s := range servers {
		seen := map[string]int{}
		for _, item := range s.items() {
			seen[item]++
		}
		if len(seen) < 10 {
			t.Errorf("endpoint %d has %d of 100 traces", i, len(seen))
		}
		for item, n := range seen {
			if n != 3 {
				t.Errorf("%d of 3 spans of a trace are at endpoint %d: %s", n, i, item)
			}
		}
	}
	to := e.Destinations()
	for i, address := range slices.Sorted(slices.Values(addresses)) {
		if len(to) != 3 || to[i].ID != address || to[i].Signal != "traces" || to[i].Received == 0 {
			t.Errorf("destination %s is not shown: %+v", address, to)
		}
		if n := otlptest.Counter(t, registry, "otelcol_loadbalancer_backend_outcome_total", address); n != 3 {
			t.Errorf("%v parts are counted for %s", n, address)
		}
	}
	if n := otlptest.Counter(t, registry, "otelcol_loadbalancer_num_backends", "static"); n != 3 {
		t.Errorf("%v backends", n)
	}
}

func TestWhatWaitsForARemovedEndpointMovesToTheOthers(t *testing.T) {
	servers, addresses := startServers(t, 3)
	dir := filepath.Join(t.TempDir(), "x")
	var n names
	n.set(nil, addresses...)
	e, _ := running(t, config(nil), &n, component.Options{Dir: dir, Metrics: prometheus.NewRegistry()})
	servers[2].set(true)
	for i := range 20 {
		if err := e.WriteOTLP(t.Context(), traces(t, count(10*i, 10*i+10)...)); err != nil {
			t.Fatal(err)
		}
	}
	n.set(nil, addresses[:2]...)
	arrived(t, 200, servers[:2]...)
	listentest.Eventually(t, "the folder is removed", func() bool {
		_, err := os.Stat(filepath.Join(dir, url.PathEscape(addresses[2])))
		return errors.Is(err, os.ErrNotExist) && len(e.Destinations()) == 2
	})
	// It comes back, and gets its traces again.
	servers[2].set(false)
	n.set(nil, addresses...)
	listentest.Eventually(t, "it is a destination again", func() bool { return len(slices.Concat(e.Destinations(), e.Idle())) > 2 })
	for i := 200; len(servers[2].items()) == 0 && i < 5000; i++ {
		if err := e.WriteOTLP(t.Context(), traces(t, i)); err != nil {
			t.Fatal(err)
		}
	}
}

// The data of an endpoint that is no longer in the configuration at the next start is
// delivered.
func TestWhatWaitsForAnEndpointIsMovedAfterARestart(t *testing.T) {
	servers, addresses := startServers(t, 2)
	dir := filepath.Join(t.TempDir(), "x")
	servers[0].set(true)
	servers[1].set(true)
	e, stop := running(t, config(static(addresses...)), nil, component.Options{Dir: dir, Metrics: prometheus.NewRegistry()})
	if err := e.WriteOTLP(t.Context(), traces(t, count(0, 100)...)); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := e.WriteOTLP(t.Context(), traces(t, 1)); !errors.Is(err, pipeline.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
	servers[1].set(false)
	running(t, config(static(addresses[1])), nil, component.Options{Dir: dir, Metrics: prometheus.NewRegistry()})
	arrived(t, 100, servers[1])
}

// Endpoints come and go, are down at times, and the component starts again: all arrives.
func TestNothingIsLostWhileEndpointsChange(t *testing.T) {
	servers, addresses := startServers(t, 4)
	dir := filepath.Join(t.TempDir(), "x")
	var n names
	n.set(nil, addresses...)
	e, stop := running(t, config(nil), &n, component.Options{Dir: dir, Metrics: prometheus.NewRegistry()})
	const total = 300
	for i := range total {
		one, other := i/7%4, i/13%4
		if i%10 == 0 {
			servers[one].set(i%20 == 0)
			n.set(nil, slices.Compact(slices.Sorted(slices.Values([]string{addresses[one], addresses[other], addresses[0]})))...)
		}
		if i == 150 {
			stop()
			e, _ = running(t, config(nil), &n, component.Options{Dir: dir, Metrics: prometheus.NewRegistry()})
		}
		err := pipeline.Offer(t.Context(), pipeline.OTLPSink(e), func(ctx context.Context, to pipeline.OTLPSink) error { return to.WriteOTLP(ctx, traces(t, i)) })
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range servers {
		s.set(false)
	}
	arrived(t, total, servers...)
}

// A sender that sends a request again, of which one endpoint has its part, does not have
// that part queued twice.
func TestARequestThatIsSentAgainIsNotQueuedTwice(t *testing.T) {
	for name, request := range map[string]func(*testing.T, ...int) pipeline.OTLP{"spans": traces, "log records": logs} {
		t.Run(name, func(t *testing.T) { sendsAgain(t, request) })
	}
}

func sendsAgain(t *testing.T, request func(*testing.T, ...int) pipeline.OTLP) {
	servers, addresses := startServers(t, 2)
	servers[0].set(true)
	e, _ := running(t, config(func(c *Config) {
		static(addresses...)(c)
		c.Protocol.OTLP.Queue.Sizer, c.Protocol.OTLP.Queue.QueueSize = "bytes", 64<<10
	}), nil, component.Options{Metrics: prometheus.NewRegistry()})
	send := func(i int) error { return e.WriteOTLP(t.Context(), request(t, count(100*i, 100*i+100)...)) }
	// The queue of the other one is empty soon, whatever is sent.
	settled := func() {
		listentest.Eventually(t, "nothing waits for the endpoint that is up", func() bool {
			return !slices.ContainsFunc(e.Destinations(), func(s deliver.Status) bool { return s.ID == servers[1].address && s.Queued > 0 })
		})
	}
	refused := 0
	for ; ; refused++ {
		err := send(refused)
		settled()
		if errors.Is(err, pipeline.ErrFull) {
			if err = send(refused); errors.Is(err, pipeline.ErrFull) {
				break
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		if err := send(refused); !errors.Is(err, pipeline.ErrFull) {
			t.Fatalf("got %v", err)
		}
	}
	servers[0].set(false)
	listentest.Eventually(t, "there is room", func() bool {
		return send(refused) == nil
	})
	arrived(t, 100*refused+100, servers...)
}

func TestAddressesOfANameAreTheEndpoints(t *testing.T) {
	var deadline time.Duration
	look := func(ctx context.Context, host string) ([]net.IPAddr, error) {
		at, _ := ctx.Deadline()
		deadline = time.Until(at)
		if host != "sampler" {
			return nil, errors.New("no such host")
		}
		return []net.IPAddr{{IP: net.ParseIP("10.0.0.2")}, {IP: net.ParseIP("fd00::1")}, {IP: net.ParseIP("10.0.0.10")}, {IP: net.ParseIP("10.0.0.2")}}, nil
	}
	for port, want := range map[string]string{"4317": "[10.0.0.10:4317 10.0.0.2:4317 [fd00::1]:4317]", "": "[10.0.0.10 10.0.0.2 [fd00::1]]"} {
		r := Resolver{DNS: &DNS{Hostname: "sampler", Port: port, Timeout: time.Minute}}.resolver(look)
		got, err := r.resolve(t.Context())
		if err != nil || fmt.Sprint(got) != want || deadline < 30*time.Second || r.interval != 5*time.Second {
			t.Errorf("got %v, %v, within %v, each %v", got, err, deadline, r.interval)
		}
		for _, endpoint := range got {
			if _, port, err := net.SplitHostPort(withPort(endpoint)); err != nil || port != "4317" {
				t.Errorf("%s: %v", withPort(endpoint), err)
			}
		}
	}
	if _, err := (Resolver{DNS: &DNS{Hostname: "other"}}).resolver(look).resolve(t.Context()); err == nil || !strings.Contains(err.Error(), "look up other: ") {
		t.Errorf("got %v", err)
	}
}

func TestANameIsLookedUpAtItsInterval(t *testing.T) {
	servers, addresses := startServers(t, 1)
	var n names
	n.set(errors.New("no such host"))
	registry := prometheus.NewRegistry()
	e, _ := running(t, config(nil), &n, component.Options{Metrics: registry})
	if err := e.WriteOTLP(t.Context(), traces(t, 0)); err != nil {
		t.Fatal(err)
	}
	listentest.Eventually(t, "the failure is shown", func() bool {
		to := e.Destinations()
		return len(to) == 1 && to[0].Queued == 1 && strings.Contains(to[0].LastError, "no such host")
	})
	if n := otlptest.Counter(t, registry, "otelcol_loadbalancer_num_backends", "dns"); n != 0 {
		t.Errorf("%v backends", n)
	}
	n.set(nil, addresses...)
	arrived(t, 1, servers...)
	n.set(errors.New("no such host")) // the endpoints of before stay
	n.mu.Lock()
	asked := n.asked
	n.mu.Unlock()
	listentest.Eventually(t, "it is looked up again", func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.asked > asked+1
	})
	if err := e.WriteOTLP(t.Context(), traces(t, 1)); err != nil {
		t.Error(err)
	}
	arrived(t, 2, servers...)
	for _, success := range []string{"true", "false"} {
		if otlptest.Counter(t, registry, "otelcol_loadbalancer_num_resolutions_total", success) == 0 {
			t.Errorf("lookups with success %s are not counted", success)
		}
	}
}

func TestWhatHasNoEffectIsWarnedOf(t *testing.T) {
	var warned []string
	c := config(func(c *Config) {
		static("a:1", "b:1")(c)
		c.Timeout = time.Second
		c.Protocol.OTLP.Queue.Enabled = false
		c.Protocol.OTLP.Retry.MaxElapsedTime = time.Second
	})
	c.Retry, c.Queue = &c.Protocol.OTLP.Retry, &c.Protocol.OTLP.Queue
	registry := prometheus.NewRegistry()
	if _, err := New(c, component.Options{ID: "otelcol.exporter.loadbalancing.x", Metrics: registry, Warn: func(path, _ string) { warned = append(warned, path) }}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(warned)
	want := []string{"protocol/otlp/queue/enabled", "protocol/otlp/retry/max_elapsed_time", "retry_on_failure", "sending_queue", "timeout"}
	if !slices.Equal(warned, want) {
		t.Errorf("warned of %q", warned)
	}
}

func TestWhatCannotWorkIsRejectedAtItsArgument(t *testing.T) {
	otlptest.Says(t, "routing_key: ", func(c *Config) { c.RoutingKey = "span" })
	otlptest.Says(t, "protocol > otlp > timeout: ", func(c *Config) { c.Protocol.OTLP.Timeout = -1 })
	for want, r := range map[string]Resolver{
		"no resolver":      {},
		"more than one":    {Static: &Static{}, DNS: &DNS{}},
		"headless service": {Kubernetes: &Kubernetes{}},
		"aws_cloud_map: ":  {CloudMap: &CloudMap{}},
	} {
		if err := r.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
	for _, err := range []error{(&Static{}).Validate(), (&Static{[]string{":"}}).Validate(), (&DNS{}).Validate(), (&DNS{Hostname: "a", Timeout: -1}).Validate()} {
		if err == nil {
			t.Error("what cannot work is accepted")
		}
	}
	_, err := New(config(static("a:1", "http://a/b")), component.Options{ID: "x"})
	if err == nil || !strings.HasPrefix(err.Error(), "resolver > static > hostnames: ") {
		t.Errorf("got %v", err)
	}
	_, err = New(config(func(c *Config) {
		static("a:1")(c)
		c.Protocol.OTLP.Client.TLS.TLS.CA = "no PEM"
		c.Protocol.OTLP.Client.TLS.Insecure = false
	}), component.Options{ID: "x"})
	if err == nil || !strings.HasPrefix(err.Error(), "protocol > otlp > client > tls") {
		t.Errorf("got %v", err)
	}
}

// An endpoint may be removed after a request was cut and before its part is queued.
func TestAPartIsSplitAgainIfItsEndpointIsRemoved(t *testing.T) {
	servers, addresses := startServers(t, 2)
	var n names
	n.set(nil, addresses...)
	e, _ := running(t, config(nil), &n, component.Options{Metrics: prometheus.NewRegistry()})
	data, err := traces(t, count(0, 100)...).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	removed := false
	err = e.spread(t.Context(), pipeline.SignalTraces, wire.Part{Data: data, Items: 100}, map[uint64]bool{}, func(to *exporter.Exporter, part wire.Part) error {
		e.mu.Lock()
		second := e.backends[addresses[1]]
		e.mu.Unlock()
		if !removed && second.active == to {
			removed = true
			n.set(nil, addresses[0])
			listentest.Eventually(t, "the endpoint is removed", func() bool {
				wanted, _ := second.isWanted()
				return !wanted
			})
			return pipeline.ErrClosed
		}
		return to.WriteOTLP(t.Context(), pipeline.OTLP{Signal: pipeline.SignalTraces, Data: part.Data, Items: part.Items})
	})
	if err != nil || !removed {
		t.Fatalf("got %v, removed: %v", err, removed)
	}
	arrived(t, 100, servers[0])
}

func TestSeriesOfOneMetricAreSharedOut(t *testing.T) {
	servers, addresses := startServers(t, 2)
	e, _ := running(t, config(func(c *Config) { c.RoutingKey = "streamID"; static(addresses...)(c) }), nil, component.Options{Metrics: prometheus.NewRegistry()})
	md := pmetric.NewMetrics()
	m := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName("one")
	points := m.SetEmptyGauge().DataPoints()
	for i := range 100 {
		points.AppendEmpty().Attributes().PutInt("series", int64(i))
	}
	if err := e.WriteOTLP(t.Context(), pipeline.OTLP{}.With(pipeline.SignalMetrics, pipeline.Decoded{Metrics: md})); err != nil {
		t.Fatal(err)
	}
	listentest.Eventually(t, "all points arrive", func() bool { return len(servers[0].items())+len(servers[1].items()) == 100 })
	if n := len(servers[0].items()); n < 10 || n > 90 {
		t.Errorf("%d of 100 series are at one endpoint", n)
	}
}

// Each part has the resource of its items: of many endpoints, they would take many times
// the memory of the request.
func TestARequestThatCannotBeCutWithinMemoryIsRejected(t *testing.T) {
	_, addresses := startServers(t, 3)
	e, _ := running(t, config(static(addresses...)), nil, component.Options{Metrics: prometheus.NewRegistry()})
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("a", strings.Repeat("x", 1<<20))
	spans := rs.ScopeSpans().AppendEmpty().Spans()
	for i := range 100 {
		spans.AppendEmpty().SetTraceID(pcommon.TraceID{1, byte(i)})
	}
	r := pipeline.OTLP{}.With(pipeline.SignalTraces, pipeline.Decoded{Traces: td})
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(24 << 20)) // 1 MiB more than the request
	if err := e.WriteOTLP(t.Context(), r); !pipeline.IsPermanent(err) || !errors.Is(err, wire.ErrTooLarge) {
		t.Errorf("got %v", err)
	}
}
