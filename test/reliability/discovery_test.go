//go:build integration

package reliability

import (
	"context"
	"fmt"
	"math"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/prometheus/prometheus/model/value"

	"collector/pkg/docker/dockertest"
	"collector/pkg/remotewrite/remotewritetest"
	"collector/test/harness"
)

// discoveryRig is a collector with the built-in configuration, which scrapes
// every second, on the host of an Engine.
type discoveryRig struct {
	Engine    *harness.Engine
	Proxy     *harness.SocketProxy
	Metrics   *remotewritetest.Receiver
	Oracle    *harness.LogOracle
	Collector *harness.Collector

	whole *testing.T // networks are removed with it
}

// builtinConfig is the built-in configuration for two destinations.
func builtinConfig(t *testing.T, host, metrics, logs string) string {
	t.Helper()
	cmd := exec.Command(harness.BuildCollector(t), "default-config", "--all")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	text := string(out)
	// The receivers of the other signals listen on fixed ports.
	text = text[:strings.Index(text, "// Traces that")]
	return strings.NewReplacer(
		`coalesce(sys.env("DOCKER_HOST"), "unix:///var/run/docker.sock")`, fmt.Sprintf("%q", host),
		`sys.env("COLLECTOR_METRICS_URL")`, fmt.Sprintf("%q", metrics), `sys.env("COLLECTOR_LOGS_URL")`, fmt.Sprintf("%q", logs),
		`scrape_interval = "15s"`, "scrape_interval = \"1s\"\n\tscrape_timeout = \"1s\"",
		// The oracle knows containers by their ids.
		`target_label  = "service"`, "target_label  = \"service\"\n\t}\n\n\trule {\n\t\tsource_labels = [\"__meta_docker_container_id\"]\n\t\ttarget_label  = \"container_id\"",
	).Replace(text)
}

// ups are the values of up by instance, of one container, oldest first.
func ups(r *remotewritetest.Receiver, containerName string) map[string][]float64 {
	out := make(map[string][]float64)
	for _, request := range r.Requests() {
		for _, series := range request.Write.Timeseries {
			labels := make(map[string]string)
			for _, l := range series.Labels {
				labels[l.Name] = l.Value
			}
			if labels["__name__"] != "up" || labels["container"] != containerName {
				continue
			}
			for _, s := range series.Samples {
				out[labels["instance"]] = append(out[labels["instance"]], s.Value)
			}
		}
	}
	return out
}

func isStale(v float64) bool { return math.Float64bits(v) == value.StaleNaN }

// awaitUp waits until a container is scraped with success at exactly one
// address, which it returns.
func awaitUp(t *testing.T, r *remotewritetest.Receiver, name string) string {
	t.Helper()
	instance := ""
	harness.Eventually(t, 20*time.Second, func() error {
		found := ups(r, name)
		for address, values := range found {
			if len(found) == 1 && len(values) > 1 && values[len(values)-1] == 1 {
				instance = address
				return nil
			}
		}
		return fmt.Errorf("%s: %v", name, found)
	})
	return instance
}

// TestDiscovery runs containers in all network modes under the built-in
// configuration.
func TestDiscovery(t *testing.T) {
	t.Parallel()
	e := harness.StartEngine(t)
	r := &discoveryRig{whole: t, Engine: e, Proxy: harness.StartSocketProxy(t, e.Host), Metrics: remotewritetest.New(t, nil), Oracle: harness.StartLogOracle(t)}
	r.Collector = harness.NewCollector(t, builtinConfig(t, r.Proxy.Host, r.Metrics.URL, r.Oracle.Loki.URL()))
	r.Collector.Start(t)
	t.Run("scenarios", func(t *testing.T) {
		for name, scenario := range map[string]func(*testing.T, *discoveryRig){
			"D1_NetworkModes":              networkModes,
			"D2_HostNetwork":               hostNetwork,
			"D2_D3_CollectorInAContainer":  collectorInAContainer,
			"D3_OneTargetOnManyNetworks":   oneTargetOnManyNetworks,
			"D4_D5_LabelsOnlyStartAndStop": labelsOnly,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				scenario(t, r)
			})
		}
	})
	r.finish(t)
}

// finish checks the accounting, and that nothing was logged as an error, and
// ends the collector.
func (r *discoveryRig) finish(t *testing.T) {
	t.Helper()
	// It scrapes on, so that something may wait at any moment.
	backlog := r.Collector.Backlog(t, harness.Every)
	harness.Eventually(t, 20*time.Second, func() error { return r.Collector.Past(t, backlog) })
	for _, a := range r.Collector.Accounts(t) {
		if a.Dropped > 0 {
			t.Errorf("%s dropped %v items", a.Component, a.Dropped)
		}
	}
	if said := strings.Count(r.Collector.Output(), "level=error"); said > 0 {
		t.Errorf("%d errors were logged:\n%s", said, r.Collector.Output())
	}
	r.Collector.Stop(t)
}

// awaitStale waits until an instance of a container has its stale marker.
func awaitStale(t *testing.T, r *remotewritetest.Receiver, name, instance string) {
	t.Helper()
	harness.Eventually(t, 20*time.Second, func() error {
		values := ups(r, name)[instance]
		if !isStale(values[len(values)-1]) {
			return fmt.Errorf("up ends with %v", values[len(values)-1])
		}
		return nil
	})
}

func scraped(more ...string) map[string]string {
	out := map[string]string{"metrics.scrape": "true"}
	for i := 0; i+1 < len(more); i += 2 {
		out[more[i]] = more[i+1]
	}
	return out
}

// Containers in any network mode are read; one in another's network is scraped
// at that one's address; one without a network is not scraped.
func networkModes(t *testing.T, r *discoveryRig) {
	peer := r.Engine.Run(t, harness.Container{Name: "D1-peer", Args: []string{"-lines=5", "-stay"}})
	ids := map[string]string{"D1-peer": peer}
	for name, mode := range map[string]string{"D1-none": "none", "D1-host": "host", "D1-shared": "container:" + peer} {
		args := []string{"-lines=5", "-stay"}
		var labels map[string]string
		if name == "D1-shared" {
			args, labels = append(args, "-serve=:8080"), scraped("metrics.port", "8080")
		}
		if name == "D1-none" {
			labels = scraped("metrics.port", "8080")
		}
		ids[name] = r.Engine.Run(t, harness.Container{Name: name, Network: mode, Args: args, Labels: labels})
	}
	for name, id := range ids {
		r.Oracle.Await(t, 20*time.Second, r.Engine, id, 5)
		if got := r.Oracle.Pushed(t, id, "stdout")[0].Labels["container"]; got != name {
			t.Errorf("container %q, want %q", got, name)
		}
	}
	if got, want := awaitUp(t, r.Metrics, "D1-shared"), r.Engine.IP(t, peer)+":8080"; got != want {
		t.Errorf("scraped at %s, want %s", got, want)
	}
	if got := ups(r.Metrics, "D1-none"); len(got) > 0 {
		t.Errorf("a container without a network is scraped: %v", got)
	}
}

// A container in the host's network is scraped at the port of its label; one without a
// port label is not.
func hostNetwork(t *testing.T, r *discoveryRig) {
	port := fmt.Sprint(harness.FreePort(t))
	r.Engine.Run(t, harness.Container{Name: "D2-port", Network: "host", Labels: scraped("metrics.port", port), Args: []string{"-serve=:" + port}})
	r.Engine.Run(t, harness.Container{Name: "D2-noport", Network: "host", Labels: scraped(), Args: []string{"-stay"}})
	if got, want := awaitUp(t, r.Metrics, "D2-port"), "localhost:"+port; got != want {
		t.Errorf("scraped at %s, want %s", got, want)
	}
	if got := ups(r.Metrics, "D2-noport"); len(got) > 0 {
		t.Errorf("a container without a port is scraped: %v", got)
	}
}

// A collector in a container reaches those in the host's network, and of several networks
// chooses one that it is in itself.
func collectorInAContainer(t *testing.T, r *discoveryRig) {
	// Sorted by name, the one that it can't reach would come first.
	r.Engine.AddNetwork(r.whole, "a-unreachable")
	gateway := r.Engine.AddNetwork(r.whole, "b-common")
	receiver := remotewritetest.New(t, nil)
	target := strings.TrimSuffix(strings.TrimPrefix(receiver.URL, "http://"), "/api/v1/write")
	address := harness.Expose(t, gateway, target)
	port := fmt.Sprint(harness.FreePort(t))
	r.Engine.Run(t, harness.Container{Name: "D23-host", Network: "host", Labels: scraped("metrics.port", port), Args: []string{"-serve=:" + port}})
	id := r.Engine.Run(t, harness.Container{Name: "D23-several", Network: "b-common", Labels: scraped("metrics.port", "8080"), Args: []string{"-serve=:8080"}})
	if err := r.Engine.Client.NetworkConnect(context.Background(), "a-unreachable", id, &network.EndpointSettings{}); err != nil {
		t.Fatal(err)
	}
	inside := r.Engine.RunCollector(t, "D23-collector", "b-common", "COLLECTOR_METRICS_URL=http://"+address+"/api/v1/write")
	t.Cleanup(func() {
		if t.Failed() {
			for _, line := range r.Engine.Output(t, inside) {
				t.Log(line.Text)
			}
		}
	})
	networks := r.Engine.Inspect(t, id).NetworkSettings.Networks
	awaitOnce := func(name, want string, value float64) {
		t.Helper()
		harness.Eventually(t, 40*time.Second, func() error {
			got := ups(receiver, name)
			if len(got) != 1 || len(got[want]) == 0 || got[want][len(got[want])-1] < value {
				return fmt.Errorf("%s: %v, want %s", name, got, want)
			}
			return nil
		})
	}
	// Whether containers reach each other depends on the machine's firewall; at which
	// address they are scraped depends on the collector.
	awaitOnce("D23-several", networks["b-common"].IPAddress+":8080", 0)
	awaitOnce("D23-host", gateway+":"+port, 1)
}

// A container in three networks with four ports and one port label is one
// target, and is read once.
func oneTargetOnManyNetworks(t *testing.T, r *discoveryRig) {
	r.Engine.AddNetwork(r.whole, "d3-one")
	r.Engine.AddNetwork(r.whole, "d3-two")
	id := r.Engine.Run(t, harness.Container{
		Name: "D3-many", Labels: scraped("metrics.port", "8080"), Args: []string{"-lines=100", "-serve=:8080"},
		Ports: []string{"8080/tcp", "8081/tcp", "9000/tcp", "9001/tcp"},
	})
	for _, name := range []string{"d3-one", "d3-two"} {
		if err := r.Engine.Client.NetworkConnect(context.Background(), name, id, &network.EndpointSettings{}); err != nil {
			t.Fatal(err)
		}
	}
	r.Oracle.Await(t, 20*time.Second, r.Engine, id, 100)
	if got, want := awaitUp(t, r.Metrics, "D3-many"), r.Engine.IP(t, id)+":8080"; got != want {
		t.Errorf("scraped at %s, want %s", got, want)
	}
	harness.Wait(3 * time.Second)
	if got := ups(r.Metrics, "D3-many"); len(got) != 1 {
		t.Errorf("%d targets: %v", len(got), got)
	}
	harness.Eventually(t, 10*time.Second, func() error { // a silent log is opened again after a while
		if n := r.Proxy.Streams(logPath(id)); n != 1 {
			return fmt.Errorf("the log is read %d times", n)
		}
		return nil
	})
	if n := r.Oracle.Count(t, id); n != 100 {
		t.Errorf("%d lines were pushed, want 100", n)
	}
}

// Labels are enough: a container that starts is scraped within seconds, one that
// is removed leaves within seconds, with stale markers and without an error.
func labelsOnly(t *testing.T, r *discoveryRig) {
	noise := harness.StartNoise(t)
	for round := range 2 {
		name := fmt.Sprint("D45-", round)
		id := r.Engine.Run(t, harness.Container{Name: name, Labels: scraped("prometheus.io/port", "8080"), Args: []string{"-serve=:8080"}})
		started := time.Now()
		instance := awaitUp(t, r.Metrics, name)
		appeared := time.Since(started)
		removed := time.Now()
		if err := r.Engine.Client.ContainerRemove(context.Background(), id, container.RemoveOptions{Force: true}); err != nil {
			t.Fatal(err)
		}
		awaitStale(t, r.Metrics, name, instance)
		left := time.Since(removed)
		t.Logf("scraped twice %s after the start, stale %s after the removal was asked for", appeared.Round(100*time.Millisecond), left.Round(100*time.Millisecond))
		// 2 s, and two scrapes.
		if limit := noise.Bound(5 * time.Second); appeared > limit || left > limit {
			t.Errorf("it took %s and %s; %s are allowed", appeared, left, limit)
		}
		failed := 0 // since the last success
		for _, v := range ups(r.Metrics, name)[instance] {
			switch v {
			case 0:
				failed++
			case 1:
				failed = 0
			}
		}
		// They may fall between the end of the process and the event.
		if failed > 1+int(left.Seconds()) {
			t.Errorf("a removed container was scraped on: up %v", ups(r.Metrics, name)[instance])
		}
	}
}

// TestD6_IdleContainersCostNothing counts the requests for 100 idle containers.
func TestD6_IdleContainersCostNothing(t *testing.T) {
	t.Parallel()
	d := dockertest.New(t)
	oracle := harness.StartLogOracle(t)
	c := harness.NewCollector(t, strings.Replace(harness.LogsConfig(d.Host(), "fake", oracle.Loki.URL(), ""), `refresh_interval = "5s"`, `refresh_interval = "1m"`, 1))
	var ids []string
	for range 100 {
		id := d.Run(dockertest.Container{Labels: fakeLabels})
		d.Print(id, "stdout", "a\nb\n")
		ids = append(ids, id)
	}
	started := time.Now()
	c.Start(t)
	for _, id := range ids {
		d.AwaitFollowers(id, 1)
	}
	before := 0
	harness.Eventually(t, time.Minute, func() error { // containers are inspected beside
		before = len(d.Requests())
		harness.Wait(3 * time.Second)
		if n := len(d.Requests()); n > before {
			return fmt.Errorf("%d requests in 3 s", n-before)
		}
		return nil
	})
	quiet := time.Now()
	harness.Wait(harness.For(25*time.Second, 30*time.Minute))
	requests, duration := len(d.Requests())-before, time.Since(quiet)
	// A list a minute; and a silent log is opened again after 35 s, and then each
	// time after four times as long.
	most := 1 + int(duration.Minutes())
	for silence, at := 30*time.Second, 30*time.Second; at < time.Since(started); at += silence {
		most += 2 * len(ids)
		silence *= 4
	}
	t.Logf("%d requests in %s for 100 idle containers, at most %d are allowed", requests, duration.Round(time.Second), most)
	if requests > most {
		t.Errorf("%d requests, want at most %d", requests, most)
	}
	oracle.AwaitCount(t, 5*time.Second, ids[99], 2)
	c.Accounts(t)
	c.Stop(t)
}

// TestD7_RestartReadsNoWholeLog restarts the collector with large logs in which nothing
// is new.
func TestD7_RestartReadsNoWholeLog(t *testing.T) {
	t.Parallel()
	e := harness.StartEngine(t)
	r := newLogRig(t, e, "D7")
	containers, lines := 2, 20_000 // of 1,000 bytes
	if harness.Soaking() {
		containers, lines = 50, 100_000
	}
	var ids []string
	for i := range containers {
		ids = append(ids, r.run(t, fmt.Sprint("app", i), harness.Container{}, fmt.Sprintf("-lines=%d", lines), "-sizes=1000", "-stay"))
	}
	r.Collector.Start(t)
	for _, id := range ids {
		r.Oracle.AwaitCount(t, 10*time.Minute, id, lines)
	}
	r.Collector.Stop(t)
	opened := make(map[string]int)
	for _, id := range ids {
		opened[id] = r.Proxy.Opened(logPath(id))
	}
	before := e.ReadBytes(t)
	r.Collector.Start(t)
	for _, id := range ids {
		harness.Eventually(t, 30*time.Second, func() error {
			if r.Proxy.Opened(logPath(id)) == opened[id] {
				return fmt.Errorf("%.12s is not read", id)
			}
			return nil
		})
	}
	harness.Wait(3 * time.Second)
	read, size := e.ReadBytes(t)-before, int64(containers*lines*1000)
	t.Logf("dockerd read %d KiB at the restart, of %d KiB of logs", read>>10, size>>10)
	if read > size/4 {
		t.Errorf("dockerd read %d bytes of %d", read, size)
	}
	for _, id := range ids {
		if n := r.Oracle.Count(t, id); n != lines {
			t.Errorf("%.12s: %d lines were pushed, want %d", id, n, lines)
		}
	}
	r.finish(t)
}

// TestD8_APIVersions reads from Engines of all ages, and from one that is
// exchanged while the collector runs.
func TestD8_APIVersions(t *testing.T) {
	t.Parallel()
	d := dockertest.New(t)
	target := harness.StartTarget(t, 1)
	oracle, metrics := harness.StartLogOracle(t), remotewritetest.New(t, nil)
	config := harness.LogsConfig(d.Host(), "fake", oracle.Loki.URL(), "") + fmt.Sprintf(`
prometheus.scrape "beside" {
	targets         = [{"__address__" = %q}]
	scrape_interval = "1s"
	scrape_timeout  = "1s"
	forward_to      = [prometheus.remote_write.all.receiver]
}

prometheus.remote_write "all" {
	endpoint { url = %q }
}
`, target.Address, metrics.URL)
	c := harness.NewCollector(t, config)
	id := d.Run(dockertest.Container{Labels: fakeLabels})
	written := 0
	print := func() {
		written++
		d.Print(id, "stdout", fmt.Sprintf("line %d\n", written))
	}
	for i, version := range []string{"1.24", "1.41", "1.43", "1.44", "1.53"} {
		d.Shutdown()
		d.SetAPI(version, version)
		d.Restart()
		print()
		if i == 0 {
			c.Start(t)
		}
		oracle.AwaitCount(t, 20*time.Second, id, written)
		print()
		oracle.AwaitCount(t, 20*time.Second, id, written)
		another := d.Run(dockertest.Container{Labels: fakeLabels})
		d.Print(another, "stdout", "hello\n")
		oracle.AwaitCount(t, 20*time.Second, another, 1)
		spoken := ""
		for _, request := range d.Requests() {
			if request.Version != "" { // from the requests for the version
				spoken = request.Version
			}
		}
		if spoken != version {
			t.Errorf("version %s is spoken to an Engine of %s", spoken, version)
		}
	}
	// An Engine that answers everything with an error stops nothing else.
	d.Fail("/", 400, "client version 1.43 is too old. Minimum supported API version is 9.99")
	d.CutConnections()
	scrapes := target.Scrapes()
	harness.Eventually(t, 10*time.Second, func() error {
		if n := target.Scrapes() - scrapes; n < 3 {
			return fmt.Errorf("%d scrapes", n)
		}
		return nil
	})
	d.Fail("/", 0, "")
	print()
	oracle.AwaitCount(t, 20*time.Second, id, written)
	for i, line := range oracle.Pushed(t, id, "stdout") {
		if want := fmt.Sprintf("line %d", i+1); line.Text != want {
			t.Errorf("line %q, want %q", line.Text, want)
		}
	}
	backlog := c.Backlog(t, harness.Every) // it scrapes on
	harness.Eventually(t, 20*time.Second, func() error { return c.Past(t, backlog) })
	c.Accounts(t)
	c.Stop(t)
}
