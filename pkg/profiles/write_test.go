package profiles

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"github.com/grafana/pyroscope-go/upstream"
	"github.com/grafana/pyroscope-go/upstream/remote"
	"github.com/grafana/pyroscope/api/gen/proto/go/push/v1/pushv1connect"
	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/deliver"
	"collector/pkg/pipeline"
	"collector/pkg/profiles/profilestest"
)

func writeConfig(endpoints ...string) WriteConfig {
	var c WriteConfig
	c.SetToDefault()
	for _, url := range endpoints {
		e := endpointConfig(url)
		e.MinBackoff, e.MaxBackoff = time.Millisecond, 10*time.Millisecond
		c.Endpoints = append(c.Endpoints, e)
	}
	return c
}

// running is a running Write.
type running struct {
	*Write
	stop func() error
	reg  *prometheus.Registry
}

func run(t *testing.T, c WriteConfig, dir string) *running {
	t.Helper()
	r := &running{reg: prometheus.NewRegistry()}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	var err error
	if r.Write, err = NewWrite(c, component.Options{ID: "pyroscope.write.test", Dir: dir, Metrics: r.reg}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	r.stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return r
}

// pipe is receiver, writer and server.
type pipe struct {
	server *profilestest.Server
	write  *running
	url    string
}

func newPipe(t *testing.T, change func(*WriteConfig)) *pipe {
	t.Helper()
	p := &pipe{server: profilestest.NewServer(t)}
	c := writeConfig(p.server.URL)
	if change != nil {
		change(&c)
	}
	p.write = run(t, c, t.TempDir())
	p.url = start(t, receiveConfig(p.write)).url
	return p
}

// deadline ends a test that waits in vain.
func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestEachIngestFormReachesTheServer(t *testing.T) {
	p := newPipe(t, nil)
	for i, form := range ingestForms() {
		resp, text := post(t, p.url+"/ingest?"+form.query, form.contentType, bytes.NewReader(form.body))
		if resp.StatusCode != 200 {
			t.Fatalf("%s: %s %s", form.name, resp.Status, text)
		}
		got := p.server.Wait(deadline(t), t, i+1)[i]
		if !bytes.Equal(got.Body, form.body) || got.ContentType != form.contentType {
			t.Errorf("%s: %d bytes of %q arrived", form.name, len(got.Body), got.ContentType)
		}
		sent, _ := url.ParseQuery(form.query)
		arrived, _ := url.ParseQuery(got.Query)
		set, err := parseName(sent.Get("name"))
		if err != nil {
			t.Fatal(err)
		}
		set[labelServiceName] = set[labelName]
		if diff := cmp.Diff(map[string]string(set), got.Labels); diff != "" {
			t.Errorf("%s: labels: %s", form.name, diff)
		}
		sent.Del("name")
		arrived.Del("name")
		if diff := cmp.Diff(sent, arrived); diff != "" {
			t.Errorf("%s: query: %s", form.name, diff)
		}
	}
}

func TestPushReachesTheServerByEveryProtocol(t *testing.T) {
	p := newPipe(t, func(c *WriteConfig) { c.ExternalLabels = map[string]string{"host": "h1"} })
	for i, options := range [][]connect.ClientOption{nil, {connect.WithProtoJSON()}, {connect.WithGRPC()}, {connect.WithGRPCWeb(), connect.WithSendGzip()}} {
		client := pushv1connect.NewPusherServiceClient(h2c(), p.url, options...)
		profile := profilestest.Pprof(i)
		if _, err := client.Push(t.Context(), connect.NewRequest(pushOf(series([]string{string(profile)}, "__name__", "process_cpu", "service_name", "svc")))); err != nil {
			t.Fatal(err)
		}
		got := p.server.Wait(deadline(t), t, i+1)[i].Push.Series[0]
		labels := make(map[string]string)
		for _, pair := range got.Labels {
			labels[pair.Name] = pair.Value
		}
		if diff := cmp.Diff(map[string]string{"__name__": "process_cpu", "app_name": "process_cpu", "host": "h1", "service_name": "svc"}, labels); diff != "" {
			t.Error(diff)
		}
		if !bytes.Equal(got.Samples[0].RawProfile, profile) || got.Samples[0].ID != idOf(string(profile)) {
			t.Error("the profile changed")
		}
	}
}

func TestPushIsSentAsItCameWhenNoLabelIsMissing(t *testing.T) {
	p := newPipe(t, nil)
	body := marshal(t, pushOf(
		series([]string{string(profilestest.Pprof(1)), string(profilestest.Pprof(2))}, "z", "1", "service_name", "svc"),
		series([]string{string(profilestest.Pprof(3))}, "service_name", "svc", "a", "2")))
	if resp, text := post(t, p.url+pushProcedure, "application/proto", bytes.NewReader(body)); resp.StatusCode != 200 {
		t.Fatalf("%s %s", resp.Status, text)
	}
	if got := p.server.Wait(deadline(t), t, 1); !bytes.Equal(got[0].Body, body) {
		t.Errorf("%x arrived, want %x", got[0].Body, body)
	}
}

func TestExternalLabelsAndServiceNameOnce(t *testing.T) {
	p := newPipe(t, func(c *WriteConfig) { c.ExternalLabels = map[string]string{"host": "h/1", "env": "prod"} })
	name := url.QueryEscape("a/b.c{service_name=svc,env=dev,path=/x/y.z}")
	post(t, p.url+"/ingest?name="+name, "", strings.NewReader("x 1\n"))
	got := p.server.Wait(deadline(t), t, 1)[0]
	want := map[string]string{"__name__": "svc", "service_name": "svc", "app_name": "a/b.c", "env": "prod", "host": "h/1", "path": "/x/y.z"}
	if diff := cmp.Diff(want, got.Labels); diff != "" {
		t.Error(diff)
	}
}

// discard is a logger of the SDK.
type discard struct{}

func (discard) Infof(string, ...any)  {}
func (discard) Debugf(string, ...any) {}
func (discard) Errorf(string, ...any) {}

func TestTheGoSDKUploadsThrough(t *testing.T) {
	p := newPipe(t, nil)
	sdk, err := remote.NewRemote(remote.Config{Address: p.url, Threads: 2, Timeout: time.Minute, Logger: discard{}})
	if err != nil {
		t.Fatal(err)
	}
	sdk.Start()
	defer sdk.Stop()
	start := time.Unix(1700000000, 0)
	var want []string
	for i := range 10 {
		name := fmt.Sprintf("go/app.cpu{seq=%d,__session_id__=abc,path=/a/b.c}", i)
		sdk.Upload(&upstream.UploadJob{
			Name: name, StartTime: start, EndTime: start.Add(15 * time.Second), SpyName: "gospy",
			SampleRate: 100, Units: "samples", AggregationType: "sum", Format: upstream.FormatPprof,
			Profile:          profilestest.Pprof(i),
			SampleTypeConfig: map[string]*upstream.SampleType{"samples": {Units: "samples", Sampled: true}},
		})
		want = append(want, fmt.Sprint(i))
	}
	sdk.Flush()
	var seqs []string
	for _, request := range p.server.Wait(deadline(t), t, 10) {
		seqs = append(seqs, request.Labels["seq"])
		query, _ := url.ParseQuery(request.Query)
		if request.Labels["service_name"] != "go/app.cpu" || request.Labels["path"] != "/a/b.c" || query.Get("from") != "1700000000000000000" {
			t.Errorf("got %v %v", request.Labels, query)
		}
	}
	slices.Sort(seqs)
	if diff := cmp.Diff(want, seqs); diff != "" {
		t.Error(diff)
	}
}

func TestOutageIsBridgedAndEachProfileArrivesOnce(t *testing.T) {
	for name, fault := range map[string]profilestest.Fault{
		"503": {Status: 503}, "429": {Status: 429}, "500": {Status: 500}, "401": {Status: 401}, "404": {Status: 404}, "403": {Status: 403},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPipe(t, nil)
			var down atomic.Bool
			down.Store(true)
			p.server.SetFault(func(*http.Request) *profilestest.Fault {
				if down.Load() {
					return &fault
				}
				return nil
			})
			const n = 20
			for i := range n {
				resp, text := post(t, fmt.Sprintf("%s/ingest?name=app%%7Bseq=%d%%7D", p.url, i), "text/plain", strings.NewReader("x 1\n"))
				if resp.StatusCode != 200 {
					t.Fatalf("%s %s", resp.Status, text)
				}
			}
			p.server.WaitAttempts(deadline(t), t, 5)
			down.Store(false)
			seen := make(map[string]int)
			for _, request := range p.server.Wait(deadline(t), t, n) {
				seen[request.Labels["seq"]]++
			}
			if len(seen) != n {
				t.Errorf("%d of %d profiles arrived: %v", len(seen), n, seen)
			}
			if err := p.write.stop(); err != nil {
				t.Fatal(err)
			}
			if got := len(p.server.Requests()); got != n {
				t.Errorf("%d profiles arrived, %d were sent", got, n)
			}
			status := p.write.Status().([]deliver.Status)[0]
			if status.Received != n || status.Delivered != n || status.Queued != 0 {
				t.Errorf("the account is %+v", status)
			}
			if value(t, p.write.reg, "pyroscope_write_retries_total", p.server.URL) == 0 {
				t.Error("no retries were counted")
			}
		})
	}
}

func TestRestartDeliversWhatWasQueuedOnce(t *testing.T) {
	server := profilestest.NewServer(t)
	server.SetFault(func(*http.Request) *profilestest.Fault { return &profilestest.Fault{Status: 503} })
	dir := t.TempDir()
	w := run(t, writeConfig(server.URL), dir)
	for i := range 5 {
		p := pipeline.Profile{Route: pipeline.ProfileIngest, Query: fmt.Sprintf("name=app%%7Bseq=%d%%7D", i), Body: []byte("x 1\n"), Items: 1}
		if err := w.WriteProfile(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	server.SetFault(nil)
	w = run(t, writeConfig(server.URL), dir)
	server.Wait(deadline(t), t, 5)
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	if got := len(server.Requests()); got != 5 {
		t.Errorf("%d profiles arrived, want 5", got)
	}
}

func TestARejectedProfileAffectsNoOther(t *testing.T) {
	p := newPipe(t, nil)
	p.server.SetFault(func(r *http.Request) *profilestest.Fault {
		if strings.Contains(r.URL.RawQuery, "bad") {
			return &profilestest.Fault{Status: 422, Body: "cannot read this"}
		}
		return nil
	})
	for _, name := range []string{"a", "bad", "b"} {
		post(t, p.url+"/ingest?name="+name, "text/plain", strings.NewReader("x 1\n"))
	}
	p.server.Wait(deadline(t), t, 2)
	p.server.WaitAttempts(deadline(t), t, 3)
	if err := p.write.stop(); err != nil {
		t.Fatal(err)
	}
	status := p.write.Status().([]deliver.Status)[0]
	if status.Received != 3 || status.Delivered != 2 || status.Dropped["rejected"] != 1 || !strings.Contains(status.LastError, "cannot read this") {
		t.Errorf("the account is %+v", status)
	}
	for name, want := range map[string]float64{"sent_profiles": 2, "dropped_profiles": 1, "sent_bytes": 8} {
		if got := value(t, p.write.reg, "pyroscope_write_"+name+"_total", p.server.URL); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if value(t, p.write.reg, "pyroscope_write_dropped_bytes_total", p.server.URL) == 0 {
		t.Error("no dropped bytes were counted")
	}
	for _, kind := range []string{"ingest_downstream", "ingest_endpoint"} {
		if value(t, p.write.reg, "pyroscope_write_latency", p.server.URL, kind) == 0 {
			t.Errorf("no latency %s was observed", kind)
		}
	}
	if got := value(t, p.write.reg, "pyroscope_write_latency", "-", "ingest_total"); got != 3 {
		t.Errorf("latency ingest_total was observed %v times", got)
	}
}

func TestOneBadProfileOfAPushAffectsNoOther(t *testing.T) {
	bad := []byte("bad profile")
	loose := profilestest.NewLooseServer(t)
	w := run(t, writeConfig(loose.URL), t.TempDir())
	body := marshal(t, pushOf(series([]string{string(profilestest.Pprof(1)), string(bad), string(profilestest.Pprof(2))}, "service_name", "a"), series([]string{string(profilestest.Pprof(3))}, "service_name", "b")))
	if err := w.WriteProfile(t.Context(), pipeline.Profile{Route: pipeline.ProfilePush, Body: body, Items: 4}); err != nil {
		t.Fatal(err)
	}
	profiles := func(requests []profilestest.Request) (n int) {
		for _, request := range requests {
			for _, series := range request.Push.Series {
				n += len(series.Samples)
			}
		}
		return n
	}
	loose.WaitFor(deadline(t), t, func(taken []profilestest.Request) bool { return profiles(taken) >= 3 })
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	status := w.Status().([]deliver.Status)[0]
	if profiles(loose.Requests()) != 3 || status.Delivered != 3 || status.Dropped["rejected"] != 1 {
		t.Errorf("%d profiles arrived; the account is %+v", profiles(loose.Requests()), status)
	}
}

func TestOneDeadEndpointDelaysNoOther(t *testing.T) {
	dead, alive := profilestest.NewServer(t), profilestest.NewServer(t)
	dead.SetFault(func(*http.Request) *profilestest.Fault { return &profilestest.Fault{Status: 503} })
	w := run(t, writeConfig(dead.URL, alive.URL), t.TempDir())
	for i := range 10 {
		if err := w.WriteProfile(t.Context(), pipeline.Profile{Route: pipeline.ProfileIngest, Query: fmt.Sprintf("name=app%d", i), Body: []byte("x 1\n"), Items: 1}); err != nil {
			t.Fatal(err)
		}
	}
	alive.Wait(deadline(t), t, 10)
	dead.SetFault(nil)
	dead.Wait(deadline(t), t, 10)
}

func TestWriteRejectsWhatNoPyroscopeAccepts(t *testing.T) {
	w := run(t, writeConfig("http://127.0.0.1:1"), t.TempDir())
	for _, p := range []pipeline.Profile{
		{Route: pipeline.ProfileIngest, Query: "from=1", Items: 1},
		{Route: pipeline.ProfileIngest, Query: "name=a+b", Items: 1},
		{Route: pipeline.ProfilePush, Body: []byte("\xff"), Items: 1},
	} {
		if err := w.WriteProfile(t.Context(), p); !pipeline.IsPermanent(err) {
			t.Errorf("%+v: got %v", p, err)
		}
	}
}

func TestWriteKeepsNothingItWasGiven(t *testing.T) {
	server := profilestest.NewServer(t)
	var up atomic.Bool
	server.SetFault(func(*http.Request) *profilestest.Fault {
		if up.Load() {
			return nil
		}
		return &profilestest.Fault{Status: 503}
	})
	w := run(t, writeConfig(server.URL), t.TempDir())
	body := []byte("x 1\n")
	if err := w.WriteProfile(t.Context(), pipeline.Profile{Route: pipeline.ProfileIngest, Query: "name=app", Body: body, Items: 1}); err != nil {
		t.Fatal(err)
	}
	if string(body) != "x 1\n" {
		t.Errorf("the caller's body became %q", body)
	}
	copy(body, "y 9\n")
	up.Store(true)
	if got := server.Wait(deadline(t), t, 1)[0].Body; string(got) != "x 1\n" {
		t.Errorf("%q arrived", got)
	}
}

func TestWriteAfterStopIsRetryable(t *testing.T) {
	w := run(t, writeConfig("http://127.0.0.1:1"), t.TempDir())
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	err := w.WriteProfile(t.Context(), pipeline.Profile{Route: pipeline.ProfileIngest, Query: "name=app", Items: 1})
	if !errors.Is(err, pipeline.ErrClosed) {
		t.Errorf("got %v", err)
	}
}
