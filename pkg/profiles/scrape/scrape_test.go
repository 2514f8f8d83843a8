package scrape

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/pprof"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	library "github.com/google/pprof/profile"
	pushv1 "github.com/grafana/pyroscope/api/gen/proto/go/push/v1"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/protobuf/proto"

	"collector/pkg/cause"
	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/httpclient"
	"collector/pkg/httpclient/httpclienttest"
	"collector/pkg/inspect"
	"collector/pkg/pipeline"
)

// received is a profile that has arrived.
type received struct {
	labels  map[string]string
	profile []byte
}

// sink keeps what it is given, or refuses it.
type sink struct {
	mu     sync.Mutex
	refuse error      // guarded by mu
	got    []received // guarded by mu
}

func (s *sink) WriteProfile(_ context.Context, p pipeline.Profile) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse != nil {
		return s.refuse
	}
	request := &pushv1.PushRequest{}
	if err := proto.Unmarshal(p.Body, request); err != nil {
		return pipeline.Permanent(err)
	}
	if !p.Named || p.Items != 1 || p.Route != pipeline.ProfilePush || len(request.Series) != 1 || len(request.Series[0].Samples) != 1 {
		return pipeline.Permanent(fmt.Errorf("%+v", p))
	}
	r := received{labels: map[string]string{}, profile: bytes.Clone(request.Series[0].Samples[0].RawProfile)}
	for _, l := range request.Series[0].Labels {
		r.labels[l.Name] = l.Value
	}
	s.got = append(s.got, r)
	return nil
}

// of are the profiles of a kind that have arrived.
func (s *sink) of(kind string) (out []received) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.got {
		if kind == "" || r.labels["__name__"] == kind {
			out = append(out, r)
		}
	}
	return out
}

// values of a memory profile that counts.
func memory(t testing.TB, objects int64) []byte {
	t.Helper()
	f := &library.Function{ID: 1, Name: "main.work"}
	l := &library.Location{ID: 1, Address: 16, Line: []library.Line{{Function: f, Line: 1}}}
	p := &library.Profile{
		SampleType: []*library.ValueType{{Type: "alloc_objects", Unit: "count"}, {Type: "alloc_space", Unit: "bytes"}},
		Function:   []*library.Function{f}, Location: []*library.Location{l},
		Sample: []*library.Sample{{Location: []*library.Location{l}, Value: []int64{objects, 8 * objects}}},
	}
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// objects is the first value of a profile's first sample.
func objects(t *testing.T, profile []byte) int64 {
	t.Helper()
	p, err := library.Parse(bytes.NewReader(profile))
	if err != nil {
		t.Fatal(err)
	}
	return p.Sample[0].Value[0]
}

func config(targets *discovery.Set, to ...pipeline.ProfilesSink) Config {
	var c Config
	c.SetToDefault()
	c.Targets, c.ForwardTo = targets, to
	return c
}

// only enables only these kinds of profiles.
func only(c *Config, kinds ...string) {
	p := &c.Profiling
	for name, k := range map[string]*ProfileConfig{
		"memory": &p.Memory, "block": &p.Block, "goroutine": &p.Goroutine, "mutex": &p.Mutex, "process_cpu": &p.ProcessCPU, "fgprof": &p.FGProf,
		"godeltaprof_memory": &p.GoDeltaProfMemory, "godeltaprof_mutex": &p.GoDeltaProfMutex, "godeltaprof_block": &p.GoDeltaProfBlock,
	} {
		k.Enabled = false
		for _, wanted := range kinds {
			k.Enabled = k.Enabled || name == wanted
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// run runs a scraper until the test ends, by its own transport.
func run(t *testing.T, c Config, by roundTrip) *Scraper {
	t.Helper()
	s, err := New(c, component.Options{ID: "pyroscope.scrape.test", Metrics: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	if by != nil {
		s.client.Transport = by
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return s
}

func answer(status int, contentType string, body []byte) *http.Response {
	return &http.Response{
		StatusCode: status, Status: fmt.Sprint(status, " ", http.StatusText(status)), Header: http.Header{"Content-Type": {contentType}},
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}
}

const octets = "application/octet-stream"

func at(pairs ...string) discovery.Target { return labels.FromStrings(pairs...) }

func TestEachKindOfProfileIsScraped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		asked := map[string]int{}
		to := &sink{}
		c := config(discovery.NewSet(at("__address__", "app:8080")), to)
		only(&c, "memory", "block", "goroutine", "mutex", "process_cpu", "fgprof", "godeltaprof_memory", "godeltaprof_mutex", "godeltaprof_block")
		c.Profiling.Custom = []CustomConfig{{Name: "own", Enabled: true, Path: "/own", Delta: true}, {Name: "off", Path: "/off"}}
		run(t, c, func(r *http.Request) (*http.Response, error) {
			mu.Lock()
			asked[r.URL.String()]++
			mu.Unlock()
			if r.URL.Query().Has("seconds") {
				time.Sleep(14 * time.Second) // as long as it profiles
			}
			return answer(http.StatusOK, octets, memory(t, 1)), nil
		})
		time.Sleep(61 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		for _, path := range []string{"/debug/pprof/allocs", "/debug/pprof/block", "/debug/pprof/goroutine", "/debug/pprof/mutex", "/debug/pprof/profile?seconds=14", "/debug/fgprof?seconds=14", "/debug/pprof/delta_heap", "/debug/pprof/delta_mutex", "/debug/pprof/delta_block", "/own?seconds=14"} {
			if n := asked["http://app:8080"+path]; n < 3 || n > 5 {
				t.Errorf("%s was asked for %d times", path, n)
			}
			delete(asked, "http://app:8080"+path)
		}
		if len(asked) > 0 {
			t.Errorf("also asked for: %v", asked)
		}
	})
}

func TestProfilesHaveTheLabelsOfAlloy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := &sink{}
		c := config(discovery.NewSet(
			at("__address__", "app", "__meta_docker_container_name", "/shop-web-1", "zone", "z1", discovery.EndedLabel, ""),
			at("__address__", "db:1", "service_name", "db", "instance", "i", "job", "own"),
			at("__address__", "gone:1", discovery.EndedLabel, "true"),
		), to)
		only(&c, "goroutine")
		c.JobName = "profiles"
		run(t, c, func(*http.Request) (*http.Response, error) { return answer(http.StatusOK, octets, memory(t, 1)), nil })
		time.Sleep(2 * time.Second)
		got := map[string]map[string]string{}
		for _, r := range to.of("") {
			got[r.labels["__address__"]] = r.labels
		}
		want := map[string]map[string]string{
			"app:80": {
				"__address__": "app:80", "__meta_docker_container_name": "/shop-web-1", "__name__": "goroutine", "__profile_path__": "/debug/pprof/goroutine", "__scheme__": "http",
				"instance": "app:80", "job": "profiles", "service_name": "/shop-web-1", "zone": "z1",
			},
			"db:1": {
				"__address__": "db:1", "__name__": "goroutine", "__profile_path__": "/debug/pprof/goroutine", "__scheme__": "http", "instance": "i", "job": "own", "service_name": "db",
			},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestWhatCountsSinceTheStartIsForwardedAsADifference(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		n := int64(0)
		to := &sink{}
		c := config(discovery.NewSet(at("__address__", "app:1")), to)
		only(&c, "memory", "godeltaprof_memory")
		run(t, c, func(r *http.Request) (*http.Response, error) {
			if strings.HasSuffix(r.URL.Path, "delta_heap") {
				return answer(http.StatusOK, octets, memory(t, 1000)), nil
			}
			mu.Lock()
			defer mu.Unlock()
			n += 5
			return answer(http.StatusOK, octets, memory(t, n)), nil
		})
		time.Sleep(65 * time.Second)
		own, compared := 0, 0
		for _, r := range to.of("memory") {
			switch n := objects(t, r.profile); {
			case n == 1000 && r.labels["__delta__"] == "":
				own++
			case n == 5 && r.labels["__delta__"] == "false":
				compared++
			default:
				t.Errorf("%d objects, %v", n, r.labels)
			}
		}
		// The first of those that count has nothing to be compared with.
		if own < 4 || compared < own-2 || compared >= own+1 {
			t.Errorf("%d of the target's own differences, %d others", own, compared)
		}
	})
}

func TestEachSettingIsInTheRequests(t *testing.T) {
	f := func(change func(*Config), target discovery.Target, want string) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			got := ""
			c := config(discovery.NewSet(target), &sink{})
			only(&c, "goroutine")
			change(&c)
			run(t, c, func(r *http.Request) (*http.Response, error) {
				mu.Lock()
				defer mu.Unlock()
				got = r.URL.String()
				return answer(http.StatusOK, octets, memory(t, 1)), nil
			})
			time.Sleep(2 * time.Second)
			mu.Lock()
			defer mu.Unlock()
			if got != want {
				t.Errorf("asked for %s, want %s", got, want)
			}
		})
	}
	app := at("__address__", "a:1")
	f(func(c *Config) { c.Scheme = "https" }, at("__address__", "a"), "https://a/debug/pprof/goroutine")
	f(func(c *Config) { c.Params = map[string][]string{"x": {"1", "2"}} }, app, "http://a:1/debug/pprof/goroutine?x=1&x=2")
	f(func(c *Config) { c.Params = map[string][]string{"x": {"1", "2"}} }, at("__address__", "a:1", "__param_x", "3", "__param_y", "4"), "http://a:1/debug/pprof/goroutine?x=1&x=2&y=4")
	f(func(c *Config) { c.Profiling.PathPrefix = "/mnt" }, app, "http://a:1/mnt/debug/pprof/goroutine")
	f(func(c *Config) { c.Profiling.Goroutine.Path = "/g" }, app, "http://a:1/g")
	f(func(*Config) {}, at("__address__", "a:1", "__scheme__", "https", "__profile_path__", "/p", "__profile_path_prefix__", "/q"), "https://a:1/q/p")
	f(func(c *Config) { c.Profiling.Goroutine.Delta = true }, app, "http://a:1/debug/pprof/goroutine?seconds=14")
	f(func(c *Config) { c.Profiling.Goroutine.Delta, c.DeltaDuration = true, 5*time.Second }, app, "http://a:1/debug/pprof/goroutine?seconds=5")
	f(func(c *Config) { c.Profiling.Goroutine.Delta, c.ScrapeInterval = true, time.Minute }, app, "http://a:1/debug/pprof/goroutine?seconds=59")
	f(func(c *Config) { c.Profiling.Goroutine.Enabled = false }, app, "")
	f(func(c *Config) { c.Profiling.Custom = []CustomConfig{{Name: "goroutine", Enabled: true, Path: "/own"}} }, app, "http://a:1/own")
	f(func(*Config) {}, at("__address__", "a:1", "__name__", "process_cpu"), "http://a:1/debug/pprof/goroutine?seconds=14")
	// Alloy would add another parameter for each target and each list of them.
	f(func(c *Config) { c.Profiling.Goroutine.Delta, c.Params = true, map[string][]string{"x": {"1"}} }, app, "http://a:1/debug/pprof/goroutine?seconds=14&x=1")
}

func TestScrapesComeEachIntervalAndEndWithTheirTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var asked []time.Time
		var took []time.Duration
		c := config(discovery.NewSet(at("__address__", "a:1")), &sink{})
		only(&c, "goroutine")
		c.ScrapeInterval, c.ScrapeTimeout = 20*time.Second, 3*time.Second
		s := run(t, c, func(r *http.Request) (*http.Response, error) {
			start := time.Now()
			<-r.Context().Done()
			mu.Lock()
			defer mu.Unlock()
			asked, took = append(asked, start), append(took, time.Since(start))
			return nil, r.Context().Err()
		})
		time.Sleep(2 * time.Minute)
		mu.Lock()
		defer mu.Unlock()
		if len(asked) < 5 {
			t.Fatalf("%d scrapes", len(asked))
		}
		for i := 2; i < len(asked); i++ {
			if d := asked[i].Sub(asked[i-1]); d != 20*time.Second || took[i] != 3*time.Second {
				t.Errorf("scrape %d is %s after the one before and took %s", i, d, took[i])
			}
		}
		target := s.ScrapeTargets()[0]
		if target.State != healthDown || cause.OfTarget(target.Err, cause.Target{URL: target.URL}).Kind != cause.NoConnection {
			t.Errorf("%+v", target)
		}
		if n := testutil.ToFloat64(s.metrics.failures.WithLabelValues("timeout")); n < 5 {
			t.Errorf("%v timeouts are counted", n)
		}
	})
}

func TestTargetsComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := &sink{}
		set := discovery.NewSet()
		c := config(set, to)
		only(&c, "goroutine")
		s := run(t, c, func(r *http.Request) (*http.Response, error) {
			if r.URL.Host == "slow:1" {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			return answer(http.StatusOK, octets, memory(t, 1)), nil
		})
		set.Replace([]discovery.Target{at("__address__", "a:1"), at("__address__", "slow:1"), at("zone", "no address"), at("__address__", "x/y")})
		time.Sleep(2 * time.Second)
		if targets := s.ScrapeTargets(); len(targets) != 2 || targets[0].State != healthUp || targets[0].Profile != "goroutine" || targets[0].Samples != 1 || targets[1].State != healthUnknown {
			t.Errorf("%+v", targets)
		}
		for i, want := range []inspect.Onward{{Taken: true, Target: s.ScrapeTargets()[0].ID}, {Taken: true, Target: s.ScrapeTargets()[1].ID}, {Why: "it has no __address__"}} {
			list, _ := set.Targets()
			if got, listed := s.Consume(list[i]); got != want || !listed {
				t.Errorf("%d: %+v", i, got)
			}
		}
		before := len(to.of(""))
		set.Replace([]discovery.Target{at("__address__", "a:1", "__meta_x", "y")})
		time.Sleep(time.Minute)
		if n := len(to.of("")) - before; n < 3 || n > 5 {
			t.Errorf("%d more profiles", n)
		}
		if targets := s.ScrapeTargets(); len(targets) != 1 {
			t.Errorf("%+v", targets)
		}
		if failing, all := s.Failing(); failing != 0 || all != 1 {
			t.Errorf("%d of %d fail", failing, all)
		}
	})
}

func TestOnlyAFailingReceiverLosesTheProfile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good, bad := &sink{}, &sink{refuse: pipeline.ErrFull}
		c := config(discovery.NewSet(at("__address__", "a:1")), bad, good)
		only(&c, "goroutine")
		s := run(t, c, func(*http.Request) (*http.Response, error) { return answer(http.StatusOK, octets, memory(t, 1)), nil })
		time.Sleep(2 * time.Second)
		if n := len(good.of("")); n != 1 {
			t.Errorf("%d profiles have arrived", n)
		}
		if d, f := testutil.ToFloat64(s.metrics.dropped), testutil.ToFloat64(s.metrics.forwarded); d != 1 || f != 1 {
			t.Errorf("%v dropped, %v forwarded", d, f)
		}
	})
}

func zipped(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestWhatIsNoProfileIsReported(t *testing.T) {
	good := memory(t, 1)
	for name, test := range map[string]struct {
		status      int
		contentType string
		body        []byte
		kind        cause.Kind
		text        string
		reason      string
	}{
		"a web page":       {200, "text/html", []byte("<!DOCTYPE html><html><body>Hello</body></html>"), cause.NoProfile, "a:1 answers with a web page instead of a profile.", "bad_profile"},
		"nothing":          {200, octets, nil, cause.NoProfile, "a:1 answers with an empty body instead of a profile.", "bad_profile"},
		"no type":          {200, "", good, cause.NoProfile, "a:1 answers with content of no type instead of a profile.", "bad_profile"},
		"text":             {200, "text/plain", []byte("goroutine profile: total 3"), cause.NoProfile, "a:1 answers with content of the type text/plain instead of a profile.", "bad_profile"},
		"JSON":             {200, octets, []byte(` {"error": "not a profile at all"}`), cause.NoProfile, "a:1 answers with JSON instead of a profile.", "bad_profile"},
		"another format":   {200, octets, []byte("\xff\xff\xff\xff"), cause.NoProfile, "a:1 answers with data in another format instead of a profile.", "bad_profile"},
		"broken gzip":      {200, octets, good[:len(good)-9], cause.NoProfile, "a:1 answers with broken gzip instead of a profile.", "bad_profile"},
		"gzip of no pprof": {200, octets, zipped(t, []byte("no")), cause.NoProfile, "a:1 answers with data in another format instead of a profile.", "bad_profile"},
		"no such page":     {404, "text/plain", []byte("404 page not found"), cause.NotFound, "a:1 has no page /debug/pprof/allocs (404).", "status"},
		"it is in use":     {500, "text/plain", []byte("Could not enable CPU profiling"), cause.ServerError, "a:1 answers 500 Internal Server Error: “Could not enable CPU profiling”.", "status"},
		"a bomb":           {200, octets, zipped(t, make([]byte, largest+1)), cause.PageLimit, "", "too_large"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				to := &sink{}
				c := config(discovery.NewSet(at("__address__", "a:1")), to)
				only(&c, "memory")
				s := run(t, c, func(*http.Request) (*http.Response, error) {
					return answer(test.status, test.contentType, test.body), nil
				})
				time.Sleep(2 * time.Second)
				target := s.ScrapeTargets()[0]
				inspect.NewFacts(nil, nil).Explain(&target)
				if target.State != healthDown || target.Cause.Text != test.text && test.text != "" || target.Cause.Kind != test.kind && test.text != "" {
					t.Errorf("%s: %+v", target.Error, target.Cause)
				}
				if n := testutil.ToFloat64(s.metrics.failures.WithLabelValues(test.reason)); n != 1 {
					t.Errorf("%v are counted as %s", n, test.reason)
				}
				if failing, _ := s.Failing(); failing != 1 || len(to.of("")) > 0 {
					t.Errorf("%d targets fail, %d profiles have arrived", failing, len(to.of("")))
				}
			})
		})
	}
}

// app is a program with Go's own profiles.
func app(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/secret", func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, r.Header.Get("Authorization"), http.StatusForbidden)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// eventually waits until is is true.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	late := time.After(2 * time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("not seen: %s", what)
		}
	}
}

func TestTheProfilesOfAGoProgramArrive(t *testing.T) {
	to := &sink{}
	c := config(discovery.NewSet(at("__address__", app(t), "service_name", "app")), to)
	c.ScrapeInterval, c.DeltaDuration = 3*time.Second, 2*time.Second
	s := run(t, c, nil)
	stop := make(chan struct{})
	defer close(stop)
	go func() { // so that there is something to see
		for {
			select {
			case <-stop:
				return
			default:
				runtime.KeepAlive(make([]byte, 64<<10))
			}
		}
	}()
	for _, kind := range []string{"memory", "block", "goroutine", "mutex", "process_cpu"} {
		eventually(t, "a profile "+kind, func() bool { return len(to.of(kind)) > 0 })
		r := to.of(kind)[0]
		p, err := library.Parse(bytes.NewReader(r.profile))
		if err != nil || p.CheckValid() != nil {
			t.Errorf("%s: %v, %v", kind, err, p.CheckValid())
		}
		if want := map[bool]string{true: "false"}[kind == "memory" || kind == "block" || kind == "mutex"]; r.labels["__delta__"] != want || r.labels["service_name"] != "app" {
			t.Errorf("%s: %v", kind, r.labels)
		}
	}
	for _, target := range s.ScrapeTargets() {
		if target.State != healthUp {
			t.Errorf("%+v", target)
		}
		if target.Profile == "process_cpu" {
			continue // the program can make one at a time
		}
		got, err := s.Fetch(t.Context(), target.ID)
		if err != nil || got.Err != nil || !got.Profile || !strings.Contains(got.Body, " stacks, ") {
			t.Errorf("%s: %+v, %v", target.Profile, got, err)
		}
	}
	if _, err := s.Fetch(t.Context(), "none"); !errors.Is(err, inspect.ErrNoTarget) {
		t.Error(err)
	}
}

func TestAFetchShowsNoCredentials(t *testing.T) {
	c := config(discovery.NewSet(at("__address__", app(t))), &sink{})
	only(&c, "goroutine")
	c.Profiling.Goroutine.Path = "/secret"
	c.HTTPClient.BearerToken = "hidden-token"
	s := run(t, c, nil)
	eventually(t, "a failure", func() bool { failing, _ := s.Failing(); return failing == 1 })
	target := s.ScrapeTargets()[0]
	got, err := s.Fetch(t.Context(), target.ID)
	if err != nil || got.Err == nil || !strings.HasPrefix(got.Status, "403") {
		t.Errorf("%+v, %v", got, err)
	}
	for _, text := range []string{fmt.Sprintf("%+v", got), got.Err.Error(), target.Error, fmt.Sprint(s.Status())} {
		if strings.Contains(text, "hidden-token") {
			t.Error(text)
		}
	}
}

func TestTargetsAreReachedWithTheClientsSettings(t *testing.T) {
	httpclienttest.User{Default: httpclient.Default(), Run: func(ctx context.Context, t *testing.T, url string, client httpclient.Config) {
		scheme, address, _ := strings.Cut(url, "://")
		c := config(discovery.NewSet(at("__address__", address)), &sink{})
		only(&c, "goroutine")
		c.Scheme, c.HTTPClient, c.Profiling.Goroutine.Path = scheme, client, ""
		c.ScrapeInterval, c.ScrapeTimeout = 200*time.Millisecond, 200*time.Millisecond
		s, err := New(c, component.Options{ID: "pyroscope.scrape.test"})
		if err != nil {
			t.Error(err)
			return
		}
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	}}.Test(t)
}

func TestBadSettingsAreRejected(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"scrape_timeout":          func(c *Config) { c.ScrapeTimeout = 0 },
		"scrape_interval":         func(c *Config) { c.ScrapeInterval = time.Second },
		"scheme":                  func(c *Config) { c.Scheme = "ftp" },
		"1s shorter":              func(c *Config) { c.ScrapeInterval = 10 * time.Second },
		"must be more than 1s":    func(c *Config) { c.DeltaDuration = time.Second },
		"at most one of":          func(c *Config) { c.HTTPClient.BearerToken, c.HTTPClient.BearerTokenFile = "a", "b" },
		"it must be at least 1ms": func(c *Config) { only(c); c.ScrapeInterval = 0 },
	} {
		c := config(discovery.NewSet(), &sink{})
		change(&c)
		if _, err := New(c, component.Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	c := config(discovery.NewSet(), &sink{})
	only(&c, "memory")
	c.ScrapeInterval = time.Second
	if _, err := New(c, component.Options{}); err != nil {
		t.Errorf("no profile takes time: %v", err)
	}
}

func TestClusteringIsAcceptedWithAWarning(t *testing.T) {
	warned := ""
	c := config(discovery.NewSet(), &sink{})
	c.Clustering.Enabled = true
	if _, err := New(c, component.Options{Warn: func(path, _ string) { warned += path }}); err != nil || warned != "clustering/enabled" {
		t.Errorf("%q, %v", warned, err)
	}
}
