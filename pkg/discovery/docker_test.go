package discovery

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/docker"
	"collector/pkg/docker/dockertest"
	"collector/pkg/httpclient"
)

func dockerConfig(d *dockertest.Daemon) DockerConfig {
	var c DockerConfig
	c.SetToDefault()
	c.Host = d.Host()
	return c
}

// newDocker makes the component on a test's daemon; in memory if it is so.
func newDocker(t *testing.T, d *dockertest.Daemon, c DockerConfig) *Docker {
	t.Helper()
	o := component.Options{ID: "discovery.docker.test"}.WithDefaults()
	made, err := NewDocker(c, o)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(c.Host, "http://") {
		if made.engine, err = o.Docker.Engine(docker.Config{Host: c.Host, Client: d.Client(), Key: "test"}); err != nil {
			t.Fatal(err)
		}
	}
	return made
}

type runner interface{ Run(context.Context) error }

// run runs a component for the rest of the test.
func run(t *testing.T, r runner) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// await waits for the targets to be so.
func await(t *testing.T, s *Set, ok func([]Target) bool) []Target {
	t.Helper()
	timeout := time.After(2 * time.Minute)
	for {
		targets, changed := s.Targets()
		if ok(targets) {
			return targets
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("waited 2 min; the targets are %v", targets)
		}
	}
}

func count(n int) func([]Target) bool { return func(t []Target) bool { return len(t) == n } }

func targetsOf(c interface{ Exports() map[string]any }, name string) *Set {
	return c.Exports()[name].(*Set)
}

func TestDockerTargetsHaveTheLabelsOfDockerSD(t *testing.T) {
	d := dockertest.New(t)
	d.AddNetwork(dockertest.Network{ID: "n1", Name: "front", Internal: true, Ingress: true, Labels: map[string]string{"com.docker.compose.network": "f"}})
	d.Run(dockertest.Container{
		ID: "c1", Name: "app", Labels: map[string]string{"com.docker.compose.project": "demo", "metrics-port": "1"},
		NetworkMode: "front", Networks: map[string]string{"front": "10.0.0.2"},
		Ports: []dockertest.Port{{Private: 9090, Public: 19090, IP: "127.0.0.1"}},
	})
	c := newDocker(t, d, dockerConfig(d))
	run(t, c)
	got := await(t, targetsOf(c, "targets"), count(1))
	want := labels.FromStrings(
		"__address__", "10.0.0.2:9090",
		"__meta_docker_container_id", "c1",
		"__meta_docker_container_label_com_docker_compose_project", "demo",
		"__meta_docker_container_label_metrics_port", "1",
		"__meta_docker_container_name", "/app",
		"__meta_docker_container_network_mode", "front",
		"__meta_docker_network_id", "n1",
		"__meta_docker_network_ingress", "true",
		"__meta_docker_network_internal", "true",
		"__meta_docker_network_ip", "10.0.0.2",
		"__meta_docker_network_label_com_docker_compose_network", "f",
		"__meta_docker_network_name", "front",
		"__meta_docker_network_scope", "local",
		"__meta_docker_port_private", "9090",
		"__meta_docker_port_public", "19090",
		"__meta_docker_port_public_ip", "127.0.0.1",
	)
	if diff := cmp.Diff([]Target{want}, got, sameLabels()); diff != "" {
		t.Error(diff)
	}
}

func TestWithoutNetworksATargetLacksTheirLabelsOnly(t *testing.T) {
	d := dockertest.New(t)
	d.Fail("/networks", http.StatusForbidden, "forbidden by the proxy")
	d.AddNetwork(dockertest.Network{ID: "n1", Name: "front", Labels: map[string]string{"a": "b"}})
	d.Run(dockertest.Container{
		ID: "c1", Name: "app", NetworkMode: "front", Networks: map[string]string{"front": "10.0.0.2"}, Ports: []dockertest.Port{{Private: 9090}},
	})
	c := newDocker(t, d, dockerConfig(d))
	run(t, c)
	got := await(t, targetsOf(c, "targets"), count(1))
	want := labels.FromStrings(
		"__address__", "10.0.0.2:9090",
		"__meta_docker_container_id", "c1",
		"__meta_docker_container_name", "/app",
		"__meta_docker_container_network_mode", "front",
		"__meta_docker_network_id", "n1",
		"__meta_docker_network_ip", "10.0.0.2",
		"__meta_docker_network_name", "front",
		"__meta_docker_port_private", "9090",
	)
	if diff := cmp.Diff([]Target{want}, got, sameLabels()); diff != "" {
		t.Error(diff)
	}
}

func TestDockerAddressesMatchDockerSD(t *testing.T) {
	several := map[string]string{"b": "10.2.0.2", "a": "10.1.0.2"}
	for _, test := range []struct {
		container dockertest.Container
		first     bool
		want      string
	}{
		{dockertest.Container{Ports: []dockertest.Port{{Private: 80}, {Private: 81}}, Networks: several}, true, "10.1.0.2:80 10.1.0.2:81"},
		{dockertest.Container{Ports: []dockertest.Port{{Private: 80}, {Private: 81}}, Networks: several}, false, "10.1.0.2:80 10.1.0.2:81 10.2.0.2:80 10.2.0.2:81"},
		{dockertest.Container{Networks: several}, true, "10.1.0.2:8000"},
		{dockertest.Container{Networks: several, Ports: []dockertest.Port{{Private: 53, Type: "udp"}}}, false, "10.1.0.2:8000 10.2.0.2:8000"},
		{dockertest.Container{Networks: several, Ports: []dockertest.Port{{Private: 53, Type: "udp"}, {Private: 53}}}, true, "10.1.0.2:53"},
		{dockertest.Container{NetworkMode: "host"}, true, "gateway"},
		{dockertest.Container{Networks: map[string]string{"six": "fd00::2"}, Ports: []dockertest.Port{{Private: 80}}}, true, "[fd00::2]:80"},
	} {
		d := dockertest.New(t)
		d.Run(test.container)
		config := dockerConfig(d)
		config.MatchFirstNetwork, config.Port, config.HostNetworkingHost = test.first, 8000, "gateway"
		c := newDocker(t, d, config)
		run(t, c)
		var got []string
		for _, target := range await(t, targetsOf(c, "targets"), count(len(strings.Fields(test.want)))) {
			got = append(got, target.Get("__address__"))
		}
		if diff := cmp.Diff(test.want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%+v: %s", test.container, diff)
		}
	}
}

func TestContainersWithIPv6AddressesHaveTargets(t *testing.T) {
	for _, test := range []struct {
		name      string
		container dockertest.Container
		all       bool
		host      string
		want      string
	}{
		{"only IPv6", dockertest.Container{Networks: map[string]string{"six": "fd00::2"}, Ports: []dockertest.Port{{Private: 80}}}, false, "", "[fd00::2]:80"},
		{"without a port", dockertest.Container{Networks: map[string]string{"six": "fd00::2"}}, false, "", "[fd00::2]:8000"},
		{"a network with an address", dockertest.Container{Networks: map[string]string{"a": "", "b": "fd00::2"}}, false, "", "[fd00::2]:8000"},
		{"the first with an address", dockertest.Container{Networks: map[string]string{"a": "", "b": "10.0.0.2", "c": "fd00::2"}}, false, "", "10.0.0.2:8000"},
		{"every network", dockertest.Container{Networks: map[string]string{"b": "10.0.0.2", "c": "fd00::2"}}, true, "", "10.0.0.2:8000 [fd00::2]:8000"},
		{"the host by IPv6", dockertest.Container{NetworkMode: "host"}, false, "fd00::1", "[fd00::1]"},
		{"the host in brackets", dockertest.Container{NetworkMode: "host", Ports: []dockertest.Port{{Private: 80}}}, false, "[fd00::1]", "[fd00::1]:80"},
		{"the host with a port", dockertest.Container{NetworkMode: "host"}, false, "gateway:9100", "gateway:9100"},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := dockertest.New(t)
			d.Run(test.container)
			config := dockerConfig(d)
			config.MatchFirstNetwork, config.Port = !test.all, 8000
			if test.host != "" {
				config.HostNetworkingHost = test.host
			}
			c := newDocker(t, d, config)
			run(t, c)
			var got []string
			for _, target := range await(t, targetsOf(c, "targets"), count(len(strings.Fields(test.want)))) {
				got = append(got, target.Get("__address__"))
			}
			if strings.Join(got, " ") != test.want {
				t.Errorf("addresses %q, want %s", got, test.want)
			}
		})
	}
}

// A container that shares the network of one with an IPv6 address, and what an
// inspection and Podman tell.
func TestIPv6AddressesAreKnownFromEveryAnswer(t *testing.T) {
	for _, podman := range []bool{false, true} {
		d := dockertest.New(t)
		if podman {
			d.SetPodman()
		}
		c := newDocker(t, d, dockerConfig(d))
		run(t, c)
		d.AwaitSubscribers(1)
		owner := d.Run(dockertest.Container{Networks: map[string]string{"six": "fd00::2"}})
		d.Run(dockertest.Container{NetworkMode: "container:" + owner, Ports: []dockertest.Port{{Private: 90}}})
		await(t, targetsOf(c, "targets"), func(targets []Target) bool {
			var got []string
			for _, target := range targets {
				got = append(got, target.Get("__address__"))
			}
			slices.Sort(got)
			return slices.Equal(got, []string{"[fd00::2]:80", "[fd00::2]:90"})
		})
	}
}

func TestContainersWithoutAddressHaveATargetForTheirLogs(t *testing.T) {
	d := dockertest.New(t)
	gone := d.Create(dockertest.Container{Name: "gone"})
	d.Run(dockertest.Container{Name: "none", NetworkMode: "none"})
	d.Run(dockertest.Container{Name: "shared", NetworkMode: "container:" + gone})
	c := newDocker(t, d, dockerConfig(d))
	run(t, c)
	for _, target := range await(t, targetsOf(c, "targets"), count(2)) {
		if target.Has("__address__") || target.Get("__meta_docker_container_id") == "" {
			t.Errorf("target %v", target)
		}
	}
}

func TestASharedNetworksAddressFollowsItsOwner(t *testing.T) {
	d := dockertest.New(t)
	owner := d.Run(dockertest.Container{Name: "owner", Networks: map[string]string{"net": "10.0.0.2"}})
	d.Run(dockertest.Container{Name: "byid", NetworkMode: "container:" + owner, Ports: []dockertest.Port{{Private: 90}}})
	d.Run(dockertest.Container{Name: "byname", NetworkMode: "container:owner"})
	c := newDocker(t, d, dockerConfig(d))
	run(t, c)
	addresses := func(targets []Target) string {
		var out []string
		for _, t := range targets {
			if !t.Has(EndedLabel) {
				out = append(out, t.Get("__meta_docker_container_name")+"="+t.Get("__address__"))
			}
		}
		slices.Sort(out)
		return strings.Join(out, " ")
	}
	await(t, targetsOf(c, "targets"), func(targets []Target) bool {
		return addresses(targets) == "/byid=10.0.0.2:90 /byname=10.0.0.2:80 /owner=10.0.0.2:80"
	})
	d.Connect(owner, "net", "10.0.0.77")
	await(t, targetsOf(c, "targets"), func(targets []Target) bool {
		return addresses(targets) == "/byid=10.0.0.77:90 /byname=10.0.0.77:80 /owner=10.0.0.77:80"
	})
}

func TestANetworkThatChangesChangesItsTargets(t *testing.T) {
	d := dockertest.New(t)
	d.AddNetwork(dockertest.Network{Name: "net", Labels: map[string]string{"v": "1"}})
	d.Run(dockertest.Container{Networks: map[string]string{"net": "10.0.0.2"}})
	c := newDocker(t, d, dockerConfig(d))
	run(t, c)
	version := func(v string) func([]Target) bool {
		return func(targets []Target) bool {
			return len(targets) == 1 && targets[0].Get("__meta_docker_network_label_v") == v
		}
	}
	await(t, targetsOf(c, "targets"), version("1"))
	d.AddNetwork(dockertest.Network{Name: "net", Labels: map[string]string{"v": "2"}})
	await(t, targetsOf(c, "targets"), version("2"))
}

func TestASharedHostNetworkIsReachedThroughTheHost(t *testing.T) {
	d := dockertest.New(t)
	owner := d.Run(dockertest.Container{NetworkMode: "host"})
	d.Run(dockertest.Container{NetworkMode: "container:" + owner, Ports: []dockertest.Port{{Private: 9104}}})
	c := newDocker(t, d, dockerConfig(d))
	run(t, c)
	await(t, targetsOf(c, "targets"), func(targets []Target) bool {
		return len(targets) == 2 && slices.ContainsFunc(targets, func(t Target) bool { return t.Get("__address__") == "localhost:9104" })
	})
}

// Podman's list omits the network mode and unpublished ports, and the
// host's network has no entry there.
func TestWhatPodmanOmitsIsStillKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dockertest.NewPipe(t)
		d.SetPodman()
		d.Run(dockertest.Container{NetworkMode: "host"})
		d.Run(dockertest.Container{Networks: map[string]string{"bridge": "10.0.0.2"}, Ports: []dockertest.Port{{Private: 9000}}})
		made := newDocker(t, d, dockerConfig(d))
		run(t, made)
		for _, pause := range []time.Duration{time.Second, 90 * time.Second} { // by then they are listed again
			<-time.After(pause)
			targets, _ := made.set.Targets()
			var addresses []string
			for _, target := range targets {
				addresses = append(addresses, target.Get("__address__"))
			}
			slices.Sort(addresses)
			if diff := cmp.Diff([]string{"10.0.0.2:9000", "localhost"}, addresses); diff != "" {
				t.Error(diff)
			}
		}
	})
}

func TestAPortPublishedForBothIPVersionsIsOneTarget(t *testing.T) {
	d := dockertest.New(t)
	d.Run(dockertest.Container{Ports: []dockertest.Port{
		{Private: 80, Public: 8080, IP: "::"}, {Private: 80, Public: 8080, IP: "0.0.0.0"}, {Private: 81},
	}})
	c := newDocker(t, d, dockerConfig(d))
	run(t, c)
	targets := await(t, targetsOf(c, "targets"), count(2))
	if ip := targets[0].Get("__meta_docker_port_public_ip"); ip != "0.0.0.0" {
		t.Errorf("public IP %q", ip)
	}
}

func TestATargetFollowsItsContainer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dockertest.NewPipe(t)
		config := dockerConfig(d)
		config.Filters = []DockerFilter{{"status", []string{"running"}}}
		c := newDocker(t, d, config)
		run(t, c)
		d.AwaitSubscribers(1)
		synctest.Wait()
		set := targetsOf(c, "targets")
		begun := time.Now()
		id := d.Run(dockertest.Container{Ports: []dockertest.Port{{Private: 80}}})
		whole := await(t, set, func(targets []Target) bool { return len(targets) == 1 && targets[0].Has("__address__") })[0]
		if took := time.Since(begun); took > 50*time.Millisecond {
			t.Errorf("the target came after %v", took)
		}
		<-time.After(time.Minute)
		begun = time.Now()
		d.Stop(id)
		d.Remove(id)
		ended := await(t, set, func(targets []Target) bool { return len(targets) == 1 && targets[0].Get(EndedLabel) == "true" })[0]
		if took := time.Since(begun); took > 50*time.Millisecond {
			t.Errorf("the end came after %v", took)
		}
		if diff := cmp.Diff(whole, labels.NewBuilder(ended).Del(EndedLabel).Labels(), sameLabels()); diff != "" {
			t.Error(diff)
		}
		await(t, set, count(0))
		if took := time.Since(begun); took > 15*time.Second {
			t.Errorf("the target went after %v", took)
		}
	})
}

func TestAContainerThatLivesForAMomentHasATarget(t *testing.T) {
	d := dockertest.New(t)
	config := dockerConfig(d)
	config.Filters = []DockerFilter{{"status", []string{"running"}}, {"label", []string{"a=b"}}}
	c := newDocker(t, d, config)
	run(t, c)
	d.AwaitSubscribers(1)
	d.AwaitCount("/containers/json", 1)
	for range 50 {
		d.Stop(d.Run(dockertest.Container{Labels: map[string]string{"a": "b"}, AutoRemove: true}))
	}
	await(t, targetsOf(c, "targets"), count(50))
}

func TestFiltersThatOnlyTheEngineKnowsAreAppliedWhenSomethingHappens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dockertest.NewPipe(t)
		config := dockerConfig(d)
		config.Filters = []DockerFilter{{"ancestor", []string{"app:1"}}}
		c := newDocker(t, d, config)
		run(t, c)
		d.Run(dockertest.Container{Image: "other"})
		id := d.Run(dockertest.Container{Image: "app:1"})
		set := targetsOf(c, "targets")
		if got := await(t, set, count(1))[0].Get("__meta_docker_container_id"); got != id {
			t.Errorf("target of %s", got)
		}
		<-time.After(time.Minute)
		before := len(d.Requests())
		<-time.After(5 * time.Minute)
		if n := len(d.Requests()) - before; n > 6 {
			t.Errorf("%d requests in 5 minutes in which nothing happened", n)
		}
		d.Stop(id)
		d.Remove(id)
		await(t, set, func(targets []Target) bool { return len(targets) == 1 && targets[0].Has(EndedLabel) })
		await(t, set, count(0))
	})
}

func TestAFilterThatTheEngineRefusesLeavesTheTargets(t *testing.T) {
	d := dockertest.New(t)
	config := dockerConfig(d)
	config.Filters = []DockerFilter{{"ancestor", []string{"app:1"}}}
	c := newDocker(t, d, config)
	run(t, c)
	id := d.Run(dockertest.Container{Image: "app:1"})
	await(t, targetsOf(c, "targets"), count(1))
	d.Fail("/containers/json", http.StatusBadRequest, "invalid filter 'ancestor'")
	d.Rename(id, "other")
	timeout := time.After(2 * time.Minute)
	for !strings.Contains(c.Status().(DockerStatus).Error, "invalid filter") {
		select {
		case <-timeout:
			t.Fatalf("status %+v", c.Status())
		case <-time.After(time.Millisecond):
		}
	}
	if targets, _ := targetsOf(c, "targets").Targets(); len(targets) != 1 {
		t.Errorf("targets %v", targets)
	}
}

func TestAReloadFindsTheTargetsAtOnce(t *testing.T) {
	d := dockertest.New(t)
	d.Run(dockertest.Container{})
	o := component.Options{}.WithDefaults()
	first, err := NewDocker(dockerConfig(d), o)
	if err != nil {
		t.Fatal(err)
	}
	run(t, first)
	await(t, targetsOf(first, "targets"), count(1))
	config := dockerConfig(d)
	config.Port = 81
	o.Metrics = prometheus.NewRegistry()
	second, err := NewDocker(config, o)
	if err != nil {
		t.Fatal(err)
	}
	if targets, _ := targetsOf(second, "targets").Targets(); len(targets) != 1 {
		t.Errorf("targets %v", targets)
	}
}

func TestAMetricShowsWhetherTheEngineIsConnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dockertest.NewPipe(t)
		metrics := prometheus.NewRegistry()
		made, err := NewDocker(dockerConfig(d), component.Options{Metrics: metrics})
		if err != nil {
			t.Fatal(err)
		}
		if made.engine, err = docker.NewPool(nil).Engine(docker.Config{Host: d.Host(), Client: d.Client(), Key: "test"}); err != nil {
			t.Fatal(err)
		}
		up := func(want float64) {
			t.Helper()
			families, err := metrics.Gather()
			at := slices.IndexFunc(families, func(f *dto.MetricFamily) bool { return f.GetName() == "collector_docker_up" })
			if err != nil || at < 0 {
				t.Fatal(families, err)
			}
			m := families[at].GetMetric()[0]
			if l := m.GetLabel()[0]; l.GetName() != "docker_host" || l.GetValue() != d.Host() || m.GetGauge().GetValue() != want {
				t.Errorf("%v, want %v", m, want)
			}
		}
		up(0)
		run(t, made)
		time.Sleep(time.Minute)
		synctest.Wait()
		up(1)
		d.Shutdown()
		time.Sleep(time.Minute)
		synctest.Wait()
		up(0)
	})
}

func TestDockerConfigErrorsSayWhatToDo(t *testing.T) {
	for _, test := range []struct {
		change func(*DockerConfig)
		want   string
	}{
		{func(c *DockerConfig) { c.Host = "ssh://x" }, "use unix, tcp, http or https"},
		{func(c *DockerConfig) { c.Port = 70000 }, "port: 70000"},
		{func(c *DockerConfig) { c.RefreshInterval = 0 }, "refresh_interval"},
		{func(c *DockerConfig) { c.Filters = []DockerFilter{{"status", []string{"up"}}} }, "created, running"},
		{func(c *DockerConfig) { c.Filters = []DockerFilter{{"name", []string{"("}}} }, "filter 1 > values: error parsing"},
		{func(c *DockerConfig) { c.Filters = []DockerFilter{{"label", nil}} }, "has none"},
		{func(c *DockerConfig) { c.Filters = []DockerFilter{{"", []string{"x"}}} }, "filter 1 > name: it is empty"},
		{func(c *DockerConfig) { c.HTTPClient.BearerToken, c.HTTPClient.BearerTokenFile = "a", "b" }, "bearer_token"},
	} {
		c := DockerConfig{}
		c.SetToDefault()
		c.Host = "unix:///var/run/docker.sock"
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		test.change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error %v, want %q", err, test.want)
		}
	}
}

func TestClientsAreToldApartByTheirSecretsToo(t *testing.T) {
	key := func(change func(*httpclient.Config)) string {
		c := httpclient.Default()
		change(&c)
		return clientKey(&c)
	}
	seen := map[string]bool{}
	for _, change := range []func(*httpclient.Config){
		func(*httpclient.Config) {},
		func(c *httpclient.Config) { c.EnableHTTP2 = false },
		func(c *httpclient.Config) { c.BearerToken = "a" },
		func(c *httpclient.Config) { c.BearerToken = "b" },
		func(c *httpclient.Config) { c.BasicAuth = &httpclient.BasicAuth{Password: "a"} },
		func(c *httpclient.Config) { c.BasicAuth = &httpclient.BasicAuth{Password: "b"} },
		func(c *httpclient.Config) { c.HTTPHeaders = map[string][]component.Secret{"X": {"a"}} },
		func(c *httpclient.Config) { c.HTTPHeaders = map[string][]component.Secret{"X": {"b"}} },
	} {
		k := key(change)
		if seen[k] || k != key(change) {
			t.Errorf("key %s", k)
		}
		seen[k] = true
	}
}

func BenchmarkDockerTargets(b *testing.B) {
	snap := docker.Snapshot{Listed: true}
	for i := range 2000 {
		snap.Containers = append(snap.Containers, &docker.Container{
			ID: fmt.Sprintf("%064d", i), Name: fmt.Sprintf("/c%d", i), Running: true, NetworkMode: "bridge",
			Labels:   map[string]string{"com.docker.compose.project": "p", "com.docker.compose.service": "s", "a": "b"},
			Networks: []docker.Endpoint{{Name: "bridge", NetworkID: "n", IP: "10.0.0.1"}}, Ports: []docker.Port{{Private: 80, Type: "tcp"}},
		})
	}
	var c DockerConfig
	c.SetToDefault()
	c.Host = "unix:///nowhere"
	d, err := NewDocker(c, component.Options{})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		changed := *snap.Containers[7]
		snap.Containers[7] = &changed
		d.targets(snap)
	}
}

func TestAnEmptyHostIsTheDefaultSocket(t *testing.T) {
	var c DockerConfig
	c.SetToDefault()
	var warned []string
	d, err := NewDocker(c, component.Options{Warn: func(name, why string) { warned = append(warned, name+": "+why) }})
	if err != nil {
		t.Fatal(err)
	}
	if got := d.EngineStatus().Host; got != docker.DefaultHost {
		t.Errorf("the Engine is at %q", got)
	}
	if len(warned) != 1 || !strings.Contains(warned[0], "host: it is empty: "+docker.DefaultHost+" is used") {
		t.Errorf("warnings %q", warned)
	}
}
