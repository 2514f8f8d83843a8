package discovery

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"collector/pkg/component"
	"collector/pkg/httpclient"
	"collector/pkg/httpclient/httpclienttest"
	"collector/pkg/inspect"
)

// consulServer is a Consul agent: it answers as its API documentation has it, holds
// requests back that have the current index, and rejects what the documentation does
// not have.
type consulServer struct {
	*httptest.Server
	t *testing.T

	mu        sync.Mutex
	instances map[string]string // JSON by service; guarded by mu, as all below
	index     uint64
	restores  int             // of snapshots, which answer whoever waits
	broken    map[string]bool // paths
	changed   chan struct{}
	requests  []*http.Request
	now, most int // requests for services at once
}

func newConsulServer(t *testing.T) *consulServer {
	s := &consulServer{t: t, index: 7, instances: map[string]string{}, broken: map[string]bool{}, changed: make(chan struct{})}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// set changes what the server has, and answers whoever waits.
func (s *consulServer) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	s.index++
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *consulServer) asked() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// ServeHTTP implements http.Handler.
func (s *consulServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	if r.Method != http.MethodGet {
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	for name, values := range query {
		if !slices.Contains([]string{"dc", "ns", "partition", "stale", "tag", "node-meta", "index", "wait"}, name) || name == "stale" && values[0] != "" || (name == "index") != (name == "index" && query.Get("wait") != "") {
			s.t.Errorf("the parameter %s=%s of %s is not Consul's", name, values, r.URL)
		}
	}
	s.mu.Lock()
	s.requests = append(s.requests, r)
	s.now++
	s.most = max(s.most, s.now)
	index, _ := strconv.ParseUint(query.Get("index"), 10, 64)
	restores := s.restores
	for query.Has("index") && index >= s.index && s.restores == restores && !s.broken[r.URL.Path] && r.Context().Err() == nil {
		changed := s.changed
		s.mu.Unlock()
		select {
		case <-changed:
		case <-r.Context().Done():
		}
		s.mu.Lock()
	}
	defer s.mu.Unlock()
	s.now--
	if s.broken[r.URL.Path] {
		http.Error(w, "rpc error making call: No cluster leader", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if s.index > 0 {
		w.Header().Set("X-Consul-Index", fmt.Sprint(s.index))
	}
	name, one := strings.CutPrefix(r.URL.Path, "/v1/health/service/")
	switch {
	case one:
		fmt.Fprint(w, "["+s.instances[name]+"]")
	case r.URL.Path == "/v1/catalog/services":
		_ = json.NewEncoder(w).Encode(s.catalog())
	default:
		s.t.Errorf("the path %s is not Consul's", r.URL.Path)
		http.NotFound(w, r)
	}
}

func (s *consulServer) catalog() map[string][]string {
	tags := map[string][]string{}
	for name, text := range s.instances {
		tags[name] = []string{}
		var all []consulInstance
		if err := json.Unmarshal([]byte("["+text+"]"), &all); err != nil {
			s.t.Error(err)
		}
		for _, i := range all {
			tags[name] = append(tags[name], i.Service.Tags...)
		}
	}
	return tags
}

// instance is an instance on a node called n.
func instance(port int, tags ...string) string {
	list, _ := json.Marshal(tags)
	return fmt.Sprintf(`{"Node": {"Node": "n", "Address": "10.0.0.1", "Datacenter": "dc1"}, "Service": {"ID": "s%d", "Tags": %s, "Port": %d}, "Checks": []}`, port, cmp.Or(strings.ReplaceAll(string(list), "null", "[]"), "[]"), port)
}

func newConsul(t *testing.T, s *consulServer, o component.Options, change func(*ConsulConfig)) *Consul {
	t.Helper()
	var c ConsulConfig
	c.SetToDefault()
	c.Server, c.RefreshInterval = strings.TrimPrefix(s.URL, "http://"), time.Millisecond
	if change != nil {
		change(&c)
	}
	d, err := NewConsul(c, o)
	if err != nil {
		t.Fatal(err)
	}
	d.pause = time.Millisecond
	t.Cleanup(d.client.CloseIdleConnections)
	return d
}

// The answer is the one of Consul's documentation, with more checks.
const documented = `{
	"Node": {
		"ID": "40e4a748-2192-161a-0510-9bf59fe950b5", "Node": "foobar", "Address": "10.1.10.12", "Datacenter": "dc1",
		"TaggedAddresses": {"lan": "10.1.10.12", "wan-v4": "10.1.10.13"}, "Meta": {"instance.type": "t2.medium"}
	},
	"Service": {
		"ID": "redis-1", "Service": "redis", "Tags": ["primary", "v5"], "Address": "10.1.10.14",
		"TaggedAddresses": {"lan": {"address": "10.1.10.12", "port": 8000}},
		"Meta": {"redis_version": "4.0"}, "Port": 8000, "Weights": {"Passing": 10, "Warning": 1}, "Namespace": "default", "Partition": "p"
	},
	"Checks": [
		{"Node": "foobar", "CheckID": "service:redis", "Name": "Service 'redis' check", "Status": "passing", "ServiceID": "redis", "ServiceTags": ["primary"]},
		{"Node": "foobar", "CheckID": "serfHealth", "Name": "Serf Health Status", "Status": "warning", "ServiceID": ""}
	]
}`

func TestInstancesInConsulAreTargets(t *testing.T) {
	s := newConsulServer(t)
	s.instances["redis"] = documented + "," + instance(9)
	d := newConsul(t, s, component.Options{}, nil)
	run(t, d)
	targets := awaitTargets(t, d.out, "10.0.0.1:9", "10.1.10.14:8000")
	const want = `{__address__="10.1.10.14:8000", __meta_consul_address="10.1.10.12", __meta_consul_dc="dc1", __meta_consul_health="warning", ` +
		`__meta_consul_metadata_instance_type="t2.medium", __meta_consul_namespace="default", __meta_consul_node="foobar", __meta_consul_partition="p", ` +
		`__meta_consul_service="redis", __meta_consul_service_address="10.1.10.14", __meta_consul_service_id="redis-1", __meta_consul_service_metadata_redis_version="4.0", ` +
		`__meta_consul_service_port="8000", __meta_consul_tagged_address_lan="10.1.10.12", __meta_consul_tagged_address_wan_v4="10.1.10.13", __meta_consul_tags=",primary,v5,"}`
	const bare = `{__address__="10.0.0.1:9", __meta_consul_address="10.0.0.1", __meta_consul_dc="dc1", __meta_consul_health="passing", __meta_consul_node="n", ` +
		`__meta_consul_service="redis", __meta_consul_service_id="s9", __meta_consul_service_port="9", __meta_consul_tags=",,"}`
	if diff := gocmp.Diff([]string{bare, want}, texts(targets)); diff != "" {
		t.Error(diff)
	}
}

func TestHealthInConsulMatchesTheWorstCheck(t *testing.T) {
	for want, checks := range map[string][]consulCheck{
		"passing":     {{"a", "passing"}},
		"warning":     {{"a", "warning"}, {"b", "passing"}},
		"critical":    {{"a", "critical"}, {"b", "warning"}},
		"maintenance": {{"a", "critical"}, {"_service_maintenance:x", "critical"}},
		"":            {{"a", "critical"}, {"b", "maintenance"}},
	} {
		if got := consulHealth(checks); got != want {
			t.Errorf("%v: %q, want %q", checks, got, want)
		}
	}
	if got := consulHealth([]consulCheck{{"_node_maintenance", "critical"}}) + consulHealth(nil); got != "maintenancepassing" {
		t.Errorf("got %q", got)
	}
}

func TestChangesInConsulAreNoticed(t *testing.T) {
	s := newConsulServer(t)
	s.instances["a"] = instance(1)
	d := newConsul(t, s, component.Options{}, nil)
	run(t, d)
	awaitTargets(t, d.out, "10.0.0.1:1")
	s.set(func() { s.instances["b"] = instance(2) })
	awaitTargets(t, d.out, "10.0.0.1:1", "10.0.0.1:2")
	s.set(func() { s.instances["a"] = instance(1) + "," + instance(3) })
	awaitTargets(t, d.out, "10.0.0.1:1", "10.0.0.1:2", "10.0.0.1:3")
	s.set(func() { delete(s.instances, "a") })
	awaitTargets(t, d.out, "10.0.0.1:2")
	if status := d.Status().(ConsulStatus); status.Services != 1 || status.Targets != 1 || status.Error != "" || status.LastRefresh == nil {
		t.Errorf("status %+v", status)
	}
	s.set(func() { s.index, s.instances["b"], s.restores = 3, instance(4), 1 }) // a restore of a snapshot
	awaitTargets(t, d.out, "10.0.0.1:4")
	s.set(func() { s.instances["b"] = instance(5) })
	awaitTargets(t, d.out, "10.0.0.1:5")
}

func TestConsulIsAskedAsConfigured(t *testing.T) {
	s := newConsulServer(t)
	s.instances["a"], s.instances["b"], s.instances["c"] = instance(1, "x", "y"), instance(2, "x"), instance(3, "x", "y")
	d := newConsul(t, s, component.Options{}, func(c *ConsulConfig) {
		c.Server, c.Scheme = "http://"+c.Server+"/", "http"
		c.Token, c.Username, c.Password = "tok", "u", "p"
		c.Datacenter, c.Namespace, c.Partition, c.TagSeparator = "dc2", "ns1", "part1", ";"
		c.AllowStale, c.Services, c.Tags, c.NodeMeta = false, []string{"a", "b"}, []string{"x", "y"}, map[string]string{"rack": "1"}
	})
	run(t, d)
	targets := awaitTargets(t, d.out, "10.0.0.1:1")
	if tags := targets[0].Get("__meta_consul_tags"); tags != ";x;y;" {
		t.Errorf("tags are %q", tags)
	}
	requests := s.asked()
	for path, want := range map[string]url.Values{
		"/v1/catalog/services": {"dc": {"dc2"}, "ns": {"ns1"}, "partition": {"part1"}, "node-meta": {"rack:1"}},
		"/v1/health/service/a": {"dc": {"dc2"}, "ns": {"ns1"}, "partition": {"part1"}, "node-meta": {"rack:1"}, "tag": {"x", "y"}},
	} {
		i := slices.IndexFunc(requests, func(r *http.Request) bool { return r.URL.Path == path })
		if i < 0 {
			t.Fatalf("%s was not asked for", path)
		}
		user, password, _ := requests[i].BasicAuth()
		if diff := gocmp.Diff(want, requests[i].URL.Query()); diff != "" || requests[i].Header.Get("X-Consul-Token") != "tok" || user != "u" || password != "p" {
			t.Errorf("%s with %v: %s", path, requests[i].Header, diff)
		}
	}
	for _, r := range requests {
		if strings.HasSuffix(r.URL.Path, "/b") || strings.HasSuffix(r.URL.Path, "/c") {
			t.Errorf("%s was asked for", r.URL.Path)
		}
	}
}

func TestNamedServicesNeedNoCatalog(t *testing.T) {
	t.Setenv("CONSUL_HTTP_TOKEN", "of the environment")
	t.Setenv("CONSUL_NAMESPACE", "n")
	t.Setenv("CONSUL_PARTITION", "p")
	s := newConsulServer(t)
	s.instances["a"], s.instances["b c"] = instance(1), instance(2)
	d := newConsul(t, s, component.Options{}, func(c *ConsulConfig) { c.Services = []string{"b c", "absent"} })
	run(t, d)
	awaitTargets(t, d.out, "10.0.0.1:2")
	for _, r := range s.asked() {
		if !strings.HasPrefix(r.URL.Path, "/v1/health/service/") || r.Header.Get("X-Consul-Token") != "of the environment" || r.URL.Query().Get("ns")+r.URL.Query().Get("partition") != "np" || !r.URL.Query().Has("stale") {
			t.Errorf("asked for %s with %v", r.URL, r.Header)
		}
	}
}

// awaitHealth waits until the health is ok, and returns it.
func awaitHealth(t *testing.T, d *Consul, ok func(error) bool) error {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		err := d.Health()
		if ok(err) {
			return err
		}
		if time.Now().After(deadline) {
			t.Fatalf("health %v", err)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestTargetsStayWhileConsulFails(t *testing.T) {
	s := newConsulServer(t)
	s.instances["a"], s.instances["b"] = instance(1), instance(2)
	registry := prometheus.NewRegistry()
	o := component.Options{Dir: t.TempDir(), Metrics: registry}
	d := newConsul(t, s, o, nil)
	run(t, d)
	both := []string{"10.0.0.1:1", "10.0.0.1:2"}
	awaitTargets(t, d.out, both...)

	s.set(func() { s.broken["/v1/health/service/a"] = true })
	err := awaitHealth(t, d, func(err error) bool { return err != nil })
	if !errors.As(err, new(inspect.Partial)) || !strings.Contains(err.Error(), "1 of 2 services cannot be read; the first: a: the server answers 500 Internal Server Error: rpc error making call: No cluster leader") {
		t.Errorf("health %v", err)
	}
	s.set(func() { s.broken["/v1/catalog/services"] = true })
	awaitHealth(t, d, func(err error) bool {
		return err != nil && strings.HasPrefix(err.Error(), "the last targets are kept: list the services: ") && !errors.As(err, new(inspect.Partial))
	})
	if status := d.Status().(ConsulStatus); !strings.Contains(status.Error, "500") {
		t.Errorf("status %+v", status)
	}
	awaitTargets(t, d.out, both...)

	// A restart, while a is still broken.
	s.set(func() { delete(s.broken, "/v1/catalog/services"); s.instances["b"] = instance(3) })
	again := newConsul(t, s, component.Options{Dir: o.Dir}, nil)
	awaitTargets(t, again.out, both...)
	run(t, again)
	awaitTargets(t, again.out, "10.0.0.1:1", "10.0.0.1:3")

	s.set(func() { delete(s.broken, "/v1/health/service/a") })
	awaitHealth(t, d, func(err error) bool { return err == nil })
	s.set(func() { delete(s.instances, "a") })
	awaitTargets(t, d.out, "10.0.0.1:3")
	if n := testutil.ToFloat64(d.rpc.failures); n < 2 {
		t.Errorf("%v failures are counted", n)
	}
	if other := newConsul(t, s, component.Options{Dir: o.Dir}, func(c *ConsulConfig) { c.Namespace = "other" }); len(other.before) != 0 {
		t.Error("the targets of another namespace serve")
	}
}

func TestInvalidResponsesOfConsulAreFailures(t *testing.T) {
	for want, answer := range map[string]string{"not Consul's": "<html>", "larger than 16 MiB": strings.Repeat(" ", maxConsulAnswer+1)} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, answer) }))
		t.Cleanup(s.Close)
		d := newConsul(t, &consulServer{Server: s}, component.Options{}, nil)
		run(t, d)
		awaitHealth(t, d, func(err error) bool { return err != nil && strings.Contains(err.Error(), want) })
	}
}

func TestConsulIsAskedEachRefreshInterval(t *testing.T) {
	s := newConsulServer(t)
	s.index = 0 // so no request waits
	d := newConsul(t, s, component.Options{}, func(c *ConsulConfig) { c.Services, c.RefreshInterval = []string{"a"}, 5*time.Millisecond })
	run(t, d)
	deadline := time.Now().Add(20 * time.Second)
	for len(s.asked()) < 3 {
		if time.Now().After(deadline) {
			t.Fatal("it is not asked again")
		}
		time.Sleep(time.Millisecond)
	}
}

// An agent accepts 200 connections from an address.
func TestManyServicesInConsulArePolledAFewAtATime(t *testing.T) {
	s := newConsulServer(t)
	var want []string
	for i := range maxConsulWaiting + 1 {
		s.instances[fmt.Sprint("s", i)] = instance(1000 + i)
		want = append(want, fmt.Sprint("10.0.0.1:", 1000+i))
	}
	d := newConsul(t, s, component.Options{}, nil)
	run(t, d)
	slices.Sort(want)
	awaitTargets(t, d.out, want...)
	s.set(func() { s.instances["s0"] = instance(999) })
	want[0] = "10.0.0.1:999"
	slices.Sort(want)
	awaitTargets(t, d.out, want...)
	for _, r := range s.asked() {
		if r.URL.Query().Has("index") && r.URL.Path != "/v1/catalog/services" {
			t.Fatalf("%s waits", r.URL)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.most > maxConsulPolls+1 {
		t.Errorf("%d requests at once", s.most)
	}
}

func TestMoreServicesThanCanBeFollowedAreIgnored(t *testing.T) {
	d := newConsul(t, newConsulServer(t), component.Options{}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	names := make([]string, maxConsulServices+5)
	for i := range names {
		names[i] = fmt.Sprint(i)
	}
	var running sync.WaitGroup
	d.follow(ctx, &running, names)
	running.Wait()
	if len(d.services) != maxConsulServices {
		t.Errorf("%d services are followed", len(d.services))
	}
}

func TestConsulIsAskedWithTheClientsSettings(t *testing.T) {
	httpclienttest.User{Default: httpclient.Default(), Run: func(ctx context.Context, t *testing.T, url string, client httpclient.Config) {
		var c ConsulConfig
		c.SetToDefault()
		c.Server, c.HTTPClient, c.RefreshInterval = url, client, time.Millisecond
		if strings.HasPrefix(url, "https:") {
			c.Scheme = "https"
		}
		d, err := NewConsul(c, component.Options{ID: "discovery.consul.test"})
		if err != nil {
			t.Error(err)
			return
		}
		d.pause = 10 * time.Millisecond
		if err := d.Run(ctx); err != nil {
			t.Error(err)
		}
	}}.Test(t)
}

func TestTheServerOfConsulIsAnAddressOrAURL(t *testing.T) {
	t.Setenv("CONSUL_HTTP_ADDR", "")
	for _, test := range []struct{ server, scheme, want string }{
		{"consul:8500", "http", "http://consul:8500"},
		{"consul:8500", "https", "https://consul:8500"},
		{"", "", "http://127.0.0.1:8500"},
		{"https://h/prefix/", "http", "https://h/prefix"},
		{"http://h", "https", "https://h"},
	} {
		c := ConsulConfig{Server: test.server, Scheme: test.scheme}
		if got, err := c.base(); got != test.want || err != nil {
			t.Errorf("%+v: %q, %v", test, got, err)
		}
	}
	t.Setenv("CONSUL_HTTP_ADDR", "h:1")
	if got, err := (&ConsulConfig{}).base(); got != "http://h:1" || err != nil {
		t.Errorf("of the environment: %q, %v", got, err)
	}
}

func TestInvalidConsulSettingsAreRejected(t *testing.T) {
	for want, change := range map[string]func(*ConsulConfig){
		"server: a Unix socket":        func(c *ConsulConfig) { c.Server = "unix:///run/consul.sock" },
		"server: the scheme must be":   func(c *ConsulConfig) { c.Scheme = "ftp" },
		"username: the block":          func(c *ConsulConfig) { c.Username, c.HTTPClient.BasicAuth = "u", &httpclient.BasicAuth{} },
		"token: authorization":         func(c *ConsulConfig) { c.Token, c.HTTPClient.OAuth2 = "t", &httpclient.OAuth2{} },
		"refresh_interval: 0s is not":  func(c *ConsulConfig) { c.RefreshInterval = 0 },
		"at most one of basic_auth, a": func(c *ConsulConfig) { c.Username, c.HTTPClient.BearerToken = "u", "b" },
	} {
		var c ConsulConfig
		c.SetToDefault()
		change(&c)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	var warned string
	d := newConsul(t, &consulServer{Server: &httptest.Server{URL: "<CONSUL>"}}, component.Options{Warn: func(path, why string) { warned = path + ": " + why }}, nil)
	run(t, d)
	if err := awaitHealth(t, d, func(err error) bool { return err != nil }); !strings.HasPrefix(warned, "server: its host is a placeholder") || !strings.Contains(err.Error(), "placeholder") {
		t.Errorf("warned of %q, health %v", warned, err)
	}
}
