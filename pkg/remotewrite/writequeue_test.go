package remotewrite

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/httpclient"
	"collector/pkg/pipeline"
	"collector/pkg/pipeline/pipelinetest"
	"collector/pkg/remotewrite/remotewritetest"
)

// queueConfig is a configuration with an endpoint for each URL, after change.
func queueConfig(change func(*WriteQueue), urls ...string) WriteQueue {
	var w WriteQueue
	w.SetToDefault()
	for i, u := range urls {
		var e QueueEndpoint
		e.SetToDefault()
		e.Name, e.URL = string(rune('a'+i)), u
		w.Endpoints = append(w.Endpoints, e)
	}
	if change != nil {
		change(&w)
	}
	return w
}

func TestAWriteQueueIsARemoteWrite(t *testing.T) {
	w := queueConfig(nil, "http://a", "http://b")
	got, err := w.remoteWrite()
	if err != nil {
		t.Fatal(err)
	}
	want := testConfig("http://a", "http://b")
	for i, name := range []string{"a", "b"} {
		e := &want.Endpoints[i]
		e.Name, e.SendNativeHistograms = name, true
		e.Queue.MinBackoff, e.Queue.MaxBackoff, e.Queue.SampleAgeLimit, e.Queue.wait = time.Second, time.Second, 2*time.Hour, time.Second
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(QueueConfig{})); diff != "" {
		t.Error(diff)
	}
	made, err := New(got, component.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	batch := made.endpoints[0].destination().Batch
	if batch.MaxItems != defaultItems || batch.MaxWait != time.Second {
		t.Errorf("%+v", batch)
	}
}

func TestEachArgumentOfAWriteQueueHasItsEffect(t *testing.T) {
	f := func(change func(*WriteQueue, *QueueEndpoint), want func(*Config, *Endpoint)) {
		t.Helper()
		w := queueConfig(func(w *WriteQueue) { change(w, &w.Endpoints[0]) }, "http://a")
		if err := w.Endpoints[0].Validate(); err != nil {
			t.Error(err)
		}
		got, err := w.remoteWrite()
		if err != nil {
			t.Fatal(err)
		}
		unchanged := queueConfig(nil, "http://a")
		expected, err := unchanged.remoteWrite()
		if err != nil {
			t.Fatal(err)
		}
		want(&expected, &expected.Endpoints[0])
		if diff := cmp.Diff(expected, got, cmp.AllowUnexported(QueueConfig{})); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(unchanged, w); diff == "" {
			t.Error("nothing was changed")
		}
	}
	f(func(w *WriteQueue, _ *QueueEndpoint) { w.TTL = time.Hour }, func(_ *Config, e *Endpoint) { e.Queue.SampleAgeLimit = time.Hour })
	f(func(_ *WriteQueue, e *QueueEndpoint) { e.Name = "own" }, func(_ *Config, e *Endpoint) { e.Name = "own" })
	f(func(_ *WriteQueue, e *QueueEndpoint) { e.URL = "http://b" }, func(_ *Config, e *Endpoint) { e.URL = "http://b" })
	f(func(_ *WriteQueue, e *QueueEndpoint) { e.WriteTimeout = time.Minute }, func(_ *Config, e *Endpoint) { e.RemoteTimeout = time.Minute })
	f(func(_ *WriteQueue, e *QueueEndpoint) { e.RetryBackoff = time.Minute }, func(_ *Config, e *Endpoint) { e.Queue.MinBackoff, e.Queue.MaxBackoff = time.Minute, time.Minute })
	f(func(_ *WriteQueue, e *QueueEndpoint) { e.BatchCount = 2000 }, func(_ *Config, e *Endpoint) { e.Queue.items = 2000 })
	f(func(_ *WriteQueue, e *QueueEndpoint) { e.FlushInterval = 5 * time.Second }, func(_ *Config, e *Endpoint) { e.Queue.wait = 5 * time.Second })
	f(func(_ *WriteQueue, e *QueueEndpoint) { e.ExternalLabels = map[string]string{"a": "b"} }, func(c *Config, _ *Endpoint) { c.ExternalLabels = map[string]string{"a": "b"} })
	f(func(_ *WriteQueue, e *QueueEndpoint) { e.Headers = map[string]component.Secret{"X-Scope-OrgID": "t"} }, func(_ *Config, e *Endpoint) { e.Headers = map[string]string{"X-Scope-OrgID": "t"} })
	f(func(_ *WriteQueue, e *QueueEndpoint) { e.ProtobufMessage = messageV2 }, func(_ *Config, e *Endpoint) { e.ProtobufMessage = messageV2 })
	f(func(_ *WriteQueue, e *QueueEndpoint) { e.BearerToken = "t" }, func(_ *Config, e *Endpoint) { e.Client.BearerToken = "t" })
	f(func(_ *WriteQueue, e *QueueEndpoint) { e.BasicAuth = &QueueBasicAuth{"u", "p"} }, func(_ *Config, e *Endpoint) { e.Client.BasicAuth = &httpclient.BasicAuth{Username: "u", Password: "p"} })
	f(func(_ *WriteQueue, e *QueueEndpoint) { e.TLS = &QueueTLS{InsecureSkipVerify: true} }, func(_ *Config, e *Endpoint) { e.Client.TLS = &httpclient.TLS{InsecureSkipVerify: true} })
	f(func(_ *WriteQueue, e *QueueEndpoint) { e.ProxyURL = "http://p" }, func(_ *Config, e *Endpoint) { e.Client.ProxyURL = "http://p" })
	f(func(_ *WriteQueue, e *QueueEndpoint) { e.ProxyFromEnvironment = true }, func(_ *Config, e *Endpoint) { e.Client.ProxyFromEnvironment = true })
	f(func(_ *WriteQueue, e *QueueEndpoint) {
		e.ProxyURL, e.ProxyConnectHeaders = "http://p", map[string]component.Secret{"X": "y"}
	}, func(_ *Config, e *Endpoint) {
		e.Client.ProxyURL, e.Client.ProxyConnectHeader = "http://p", map[string][]component.Secret{"X": {"y"}}
	})
}

func TestTheClientOfAWriteQueueUsesItsCertificates(t *testing.T) {
	e := queueConfig(func(w *WriteQueue) { w.Endpoints[0].TLS = &QueueTLS{CA: "ca", Cert: "cert", Key: "key"} }, "http://a").Endpoints[0]
	c := e.client()
	if diff := cmp.Diff(&httpclient.TLS{CA: "ca", Cert: "cert", Key: "key"}, c.TLS); diff != "" {
		t.Error(diff)
	}
	e.TLS = &QueueTLS{Cert: "cert"}
	if err := e.Validate(); err == nil || !strings.Contains(err.Error(), "tls_config") {
		t.Errorf("a certificate without a key: %v", err)
	}
}

func TestEachEndpointOfAWriteQueueHasItsOwnLabels(t *testing.T) {
	a, b := remotewritetest.New(t, nil), remotewritetest.New(t, nil)
	w := queueConfig(func(w *WriteQueue) {
		w.Endpoints[0].ExternalLabels = map[string]string{"zone": "z1", "cost": "$1 and ${x}"}
		w.Endpoints[1].ExternalLabels = map[string]string{"job": "external"}
	}, a.URL, b.URL)
	c, err := NewWriteQueue(w, component.Options{Dir: t.TempDir(), Metrics: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	samples := []pipeline.Sample{
		{Series: pipeline.NewSeries(labels.FromStrings("__name__", "m", "job", "own")), T: time.Now().UnixMilli(), V: 1},
		{Series: pipeline.NewSeries(labels.FromStrings("__name__", "m", "zone", "own")), T: time.Now().UnixMilli(), V: 2},
	}
	if err := c.WriteMetrics(t.Context(), pipeline.Metrics{Samples: samples}); err != nil {
		t.Fatal(err)
	}
	series := func(r *remotewritetest.Receiver) (out []string) {
		for _, s := range r.WaitSamples(2) {
			out = append(out, s.Series)
		}
		return out
	}
	if diff := cmp.Diff([]string{`{__name__="m", cost="$1 and ${x}", job="own", zone="z1"}`, `{__name__="m", cost="$1 and ${x}", zone="own"}`}, series(a)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{`{__name__="m", job="own"}`, `{__name__="m", job="external", zone="own"}`}, series(b)); diff != "" {
		t.Error(diff)
	}
}

func TestWhatAWriteQueueCannotDoIsRejectedOrWarnedOf(t *testing.T) {
	for want, change := range map[string]func(*QueueEndpoint){
		"url":                            func(e *QueueEndpoint) { e.URL = "http://a b\x7f" },
		"write_timeout":                  func(e *QueueEndpoint) { e.WriteTimeout = 0 },
		"retry_backoff":                  func(e *QueueEndpoint) { e.RetryBackoff = -1 },
		"batch_count":                    func(e *QueueEndpoint) { e.BatchCount = 0 },
		"flush_interval":                 func(e *QueueEndpoint) { e.FlushInterval = time.Millisecond },
		"is unknown":                     func(e *QueueEndpoint) { e.ProtobufMessage = "x" },
		"is not a header name":           func(e *QueueEndpoint) { e.Headers = map[string]component.Secret{"a b": "c"} },
		"is not a label":                 func(e *QueueEndpoint) { e.ExternalLabels = map[string]string{"": "c"} },
		"at most one of":                 func(e *QueueEndpoint) { e.BearerToken, e.BasicAuth = "a", &QueueBasicAuth{"a", "b"} },
		"max_connections":                func(e *QueueEndpoint) { e.Parallelism.MaxConnections = 1 },
		"min_connections":                func(e *QueueEndpoint) { e.Parallelism.MinConnections = 0 },
		"drift_scale_up":                 func(e *QueueEndpoint) { e.Parallelism.DriftScaleDown = time.Hour },
		"desired_check_interval":         func(e *QueueEndpoint) { e.Parallelism.DesiredCheckInterval = 0 },
		"allowed_network_error_fraction": func(e *QueueEndpoint) { e.Parallelism.AllowedNetworkErrorFraction = 2 },
	} {
		w := queueConfig(func(w *WriteQueue) { change(&w.Endpoints[0]) }, "http://a")
		err := w.Endpoints[0].Validate()
		if err == nil {
			err = w.Endpoints[0].Parallelism.Validate()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	odd := queueConfig(func(w *WriteQueue) { w.Endpoints[0].ExternalLabels = map[string]string{"b.c": "d"} }, "http://a", "http://b")
	if _, err := NewWriteQueue(odd, component.Options{Dir: t.TempDir()}); err == nil || !strings.Contains(err.Error(), `"b.c" must have letters`) {
		t.Error(err)
	}
	twice := queueConfig(func(w *WriteQueue) { w.TTL, w.Endpoints[1].Name = -1, "a" }, "http://a", "http://b")
	if err := twice.Validate(); err == nil || !strings.Contains(err.Error(), "must be unique") || !strings.Contains(err.Error(), "ttl") {
		t.Error(err)
	}
	var warned []string
	w := queueConfig(func(w *WriteQueue) {
		w.Persistence = Persistence{1, time.Second}
		e := &w.Endpoints[0]
		e.MaxRetryAttempts, e.RoundRobin, e.MetadataCacheSize, e.Parallelism.MaxConnections = 1, true, 5, 7
	}, "http://a")
	if _, err := NewWriteQueue(w, component.Options{Dir: t.TempDir(), Warn: func(path, _ string) { warned = append(warned, path) }}); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"persistence/max_signals_to_batch", "persistence/batch_interval", "endpoint[0]/max_retry_attempts", "endpoint[0]/parallelism",
		"endpoint[0]/enable_round_robin", "endpoint[0]/metadata_cache_enabled",
	}
	if diff := cmp.Diff(want, warned); diff != "" {
		t.Error(diff)
	}
}

func TestRulesThatAddLabelsAddNothingElse(t *testing.T) {
	rules, err := discovery.Compile(adding(map[string]string{"a": "x", "b": "y"}))
	if err != nil {
		t.Fatal(err)
	}
	b := labels.NewBuilder(labels.FromStrings("a", "own", "d", "e"))
	if !rules.Apply(b) || b.Labels().String() != `{a="own", b="y", d="e"}` {
		t.Error(b.Labels())
	}
}

func TestAWriteQueueKeepsTheContractOfSinks(t *testing.T) {
	var up atomic.Bool
	to := remotewritetest.New(t, func(remotewritetest.Request) remotewritetest.Answer {
		if up.Load() {
			return remotewritetest.Answer{}
		}
		return remotewritetest.Answer{Status: http.StatusServiceUnavailable}
	})
	series := pipeline.NewSeries(labels.FromStrings("__name__", "m"))
	now := time.Now().UnixMilli()
	pipelinetest.Sink{
		New: func(t *testing.T, dir string) pipelinetest.Runner {
			w := queueConfig(func(w *WriteQueue) { w.Endpoints[0].RetryBackoff = time.Millisecond }, to.URL)
			c, err := NewWriteQueue(w, component.Options{Dir: dir, Metrics: prometheus.NewRegistry()})
			if err != nil {
				t.Fatal(err)
			}
			return c
		},
		Write: func(ctx context.Context, r pipelinetest.Runner, number int) error {
			samples := []pipeline.Sample{{Series: series, T: now + int64(number), V: float64(number)}}
			err := r.(*Component).WriteMetrics(ctx, pipeline.Metrics{Samples: samples})
			samples[0] = pipeline.Sample{Series: series, V: -2}
			return err
		},
		Serve: up.Store,
		Arrived: func() map[int]int {
			arrived := make(map[int]int)
			for _, s := range to.Samples() {
				arrived[int(s.Value())]++
			}
			return arrived
		},
	}.Test(t)
}
