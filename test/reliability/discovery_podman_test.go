//go:build integration

package reliability

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"collector/pkg/docker/dockertest"
	"collector/pkg/remotewrite/remotewritetest"
	"collector/test/harness"
)

// TestD9_RealPodman runs containers by Podman under the built-in configuration.
func TestD9_RealPodman(t *testing.T) {
	if os.Getenv("PODMAN") == "" && !harness.Soaking() {
		t.Skip("real Podman takes minutes on a busy machine: PODMAN=1 makes this test run, as does `make soak`; TestD9_Podman runs always")
	}
	t.Parallel()
	e := harness.StartPodman(t)
	r := &discoveryRig{whole: t, Engine: e, Proxy: harness.StartSocketProxy(t, e.Host), Metrics: remotewritetest.New(t, nil), Oracle: harness.StartLogOracle(t)}
	// What Podman's list omits must not be lost when it is requested again.
	config := strings.Replace(builtinConfig(t, r.Proxy.Host, r.Metrics.URL, r.Oracle.Loki.URL()),
		"discovery.docker \"containers\" {", "discovery.docker \"containers\" {\n\trefresh_interval = \"2s\"", 1)
	r.Collector = harness.NewCollector(t, config)
	r.Collector.Start(t)
	// Podman does not answer for the log of a container that has said nothing: that
	// delays nobody else.
	for i := range 6 {
		r.Engine.Run(t, harness.Container{Name: fmt.Sprint("P-silent", i), Network: "none", Args: []string{"-stay"}})
	}
	t.Run("L9_ShortLived", func(t *testing.T) { podmanShortLived(t, r) })
	t.Run("scenarios", func(t *testing.T) {
		for name, scenario := range map[string]func(*testing.T, *discoveryRig){
			"D1_D4_NetworkModesAndLabels": podmanNetworks,
			"L1_StopAndStart":             podmanStopAndStart,
			"L15_Sizes":                   podmanSizes,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				scenario(t, r)
			})
		}
	})
	r.finish(t)
}

// samePodmanOutput compares what was pushed of a container with Podman's log. Times are
// omitted: Podman's API has whole seconds only.
func samePodmanOutput(t *testing.T, r *discoveryRig, id string) {
	t.Helper()
	want := map[string][]string{}
	for _, line := range r.Engine.PodmanOutput(t, id) {
		want[line.Stream] = append(want[line.Stream], strings.TrimSuffix(line.Text, "\r"))
	}
	for _, stream := range []string{"stdout", "stderr"} {
		got := r.Oracle.Pushed(t, id, stream)
		if len(got) != len(want[stream]) {
			t.Errorf("%s of %.12s: %d lines were pushed, %d were written", stream, id, len(got), len(want[stream]))
			continue
		}
		for i, text := range want[stream] {
			if got[i].Text != text {
				t.Errorf("%s of %.12s, line %d: got %d bytes, %.60q, want %d bytes, %.60q", stream, id, i+1, len(got[i].Text), got[i].Text, len(text), text)
				break
			}
		}
	}
}

// Containers in the networks that Podman knows are read and scraped once, at an
// address that reaches them, as long as they run.
func podmanNetworks(t *testing.T, r *discoveryRig) {
	hostPort := fmt.Sprint(harness.FreePort(t))
	run := func(name, mode, port string) string {
		return r.Engine.Run(t, harness.Container{Name: name, Network: mode, Labels: scraped("metrics.port", port), Args: []string{"-lines=5", "-serve=:" + port}})
	}
	own := run("P-own", "bridge", "8080")
	ids := []string{own, run("P-shared", "container:"+own, "8081"), run("P-host", "host", hostPort), run("P-none", "none", "8080")}
	address := ""
	for _, n := range r.Engine.Inspect(t, own).NetworkSettings.Networks {
		address = n.IPAddress
	}
	for name, want := range map[string]string{"P-own": address + ":8080", "P-shared": address + ":8081", "P-host": "localhost:" + hostPort} {
		if got := awaitUp(t, r.Metrics, name); got != want {
			t.Errorf("%s is scraped at %s, want %s", name, got, want)
		}
	}
	for _, id := range ids {
		r.Oracle.AwaitCount(t, 20*time.Second, id, 5)
		samePodmanOutput(t, r, id)
	}
	lists := r.Proxy.Opened("/containers/json")
	harness.Eventually(t, 20*time.Second, func() error {
		if n := r.Proxy.Opened("/containers/json") - lists; n < 2 {
			return fmt.Errorf("%d lists", n)
		}
		return nil
	})
	instance := awaitUp(t, r.Metrics, "P-host")
	if got := ups(r.Metrics, "P-none"); len(got) > 0 {
		t.Errorf("a container without a network is scraped: %v", got)
	}
	for _, v := range ups(r.Metrics, "P-host")[instance] {
		if isStale(v) {
			t.Errorf("the target went and came: up %v", ups(r.Metrics, "P-host")[instance])
		}
	}
	removed := time.Now()
	if err := r.Engine.Client.ContainerRemove(context.Background(), ids[2], container.RemoveOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	awaitStale(t, r.Metrics, "P-host", instance)
	t.Logf("stale %s after the removal was asked for", time.Since(removed).Round(100*time.Millisecond))
}

// A container that is stopped and started gives its new lines only, also when
// connections are cut.
func podmanStopAndStart(t *testing.T, r *discoveryRig) {
	id := r.Engine.Run(t, harness.Container{Name: "P-again", Args: []string{"-lines=2000", "-rerun=10", "-stay"}})
	r.Oracle.AwaitCount(t, 20*time.Second, id, 2000)
	lines := 2000
	for range 3 {
		r.Proxy.Cut()
		second := 1
		if err := r.Engine.Client.ContainerStop(context.Background(), id, container.StopOptions{Timeout: &second}); err != nil {
			t.Fatal(err)
		}
		if err := r.Engine.Client.ContainerStart(context.Background(), id, container.StartOptions{}); err != nil {
			t.Fatal(err)
		}
		lines += 10
		r.Oracle.AwaitCount(t, 20*time.Second, id, lines)
		samePodmanOutput(t, r, id)
	}
}

// Containers that live for a moment are read. Of those that Podman removes with
// their log as they end, only what is counted here: Podman may take the log away
// while it answers.
func podmanShortLived(t *testing.T, r *discoveryRig) {
	const containers, lines = 8, 200
	kept, removed := make([]string, containers), make([]string, containers)
	args := []string{fmt.Sprintf("-lines=%d", lines)}
	for i := range containers {
		kept[i] = r.Engine.Run(t, harness.Container{Name: fmt.Sprint("P-short", i), Network: "none", Args: args})
		removed[i] = r.Engine.Run(t, harness.Container{Name: fmt.Sprint("P-removed", i), Network: "none", AutoRemove: true, Args: args})
	}
	for _, id := range kept {
		r.Oracle.AwaitCount(t, 20*time.Second, id, lines)
		samePodmanOutput(t, r, id)
	}
	got := 0
	for _, id := range removed {
		got += min(r.Oracle.Count(t, id), lines)
	}
	t.Logf("of %d containers that Podman removed at their end at once, %d of %d lines came", containers, got, containers*lines)
}

// Lines of all sizes arrive as they were written, those over the limit cut.
func podmanSizes(t *testing.T, r *discoveryRig) {
	const lines = 18
	id := r.Engine.Run(t, harness.Container{Name: "P-sizes", Args: []string{
		fmt.Sprintf("-lines=%d", lines), "-exact", "-interval=20ms", "-streams=stdout,stderr", "-stay", "-sizes=1,15900,16383,16384,16385,102400,262143,262144,100",
	}})
	r.Oracle.AwaitCount(t, 20*time.Second, id, 2*lines)
	samePodmanOutput(t, r, id)
}

// TestD9_Podman speaks to a fake with Podman's ways: each piece of a line has a time of
// its own, in whole seconds, and any length; a log is not answered before it has a line;
// events have other names, and the list has less.
func TestD9_Podman(t *testing.T) {
	t.Parallel()
	d := dockertest.New(t)
	d.SetPodman()
	d.SetAPI("1.24", "1.41")
	target := harness.StartTarget(t, 1)
	_, port, _ := strings.Cut(target.Address, ":")
	metrics, oracle := remotewritetest.New(t, nil), harness.StartLogOracle(t)
	c := harness.NewCollector(t, strings.Replace(builtinConfig(t, d.Host(), metrics.URL, oracle.Loki.URL()),
		"discovery.docker \"containers\" {", "discovery.docker \"containers\" {\n\trefresh_interval = \"1s\"", 1))
	for range 12 {
		d.Run(dockertest.Container{})
	}
	d.Run(dockertest.Container{Name: "onhost", NetworkMode: "host", Labels: scraped("metrics.port", port)})
	c.Start(t)
	if got, want := awaitUp(t, metrics, "onhost"), "localhost:"+port; got != want {
		t.Errorf("scraped at %s, want %s", got, want)
	}
	podmanLines(t, d, oracle)
	lists := d.Count("/containers/json")
	d.AwaitCount("/containers/json", lists+2)
	awaitUp(t, metrics, "onhost")
	for _, v := range ups(metrics, "onhost")["localhost:"+port] {
		if isStale(v) {
			t.Fatalf("the target went and came: up %v", ups(metrics, "onhost"))
		}
	}
	harness.Eventually(t, 10*time.Second, func() error { return c.Drained(t) })
	c.Accounts(t)
	c.Stop(t)
}

// podmanLines checks that lines in pieces, and those of a short-lived container, are read
// once.
func podmanLines(t *testing.T, d *dockertest.Daemon, oracle *harness.LogOracle) {
	id := d.Run(dockertest.Container{})
	at := time.Now()
	d.Log(id, dockertest.Entry{Time: at.Add(-2 * time.Second), Text: "one "}, dockertest.Entry{Time: at.Add(-time.Second), Text: "line "}, dockertest.Entry{Time: at, Text: "in pieces\n"})
	d.Print(id, "stdout", "two\n")
	oracle.AwaitCount(t, 10*time.Second, id, 2)
	for i := range 5 {
		d.CutConnections()
		d.Print(id, "stdout", fmt.Sprintf("cut %d\n", i))
		oracle.AwaitCount(t, 15*time.Second, id, 3+i)
	}
	short := d.Run(dockertest.Container{AutoRemove: true})
	d.Print(short, "stdout", "short\n")
	d.AwaitFollowers(short, 1)
	d.Stop(short)
	oracle.AwaitCount(t, 10*time.Second, short, 1)
	var got []string
	for _, line := range oracle.Pushed(t, id, "stdout") {
		got = append(got, line.Text)
	}
	if want := "one line in pieces|two|cut 0|cut 1|cut 2|cut 3|cut 4"; strings.Join(got, "|") != want {
		t.Errorf("lines %q", got)
	}
}
