//go:build integration

package reliability

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"collector/test/harness"
)

// logRig is a collector that reads the containers of one scenario from an
// Engine which other scenarios may share.
type logRig struct {
	Engine    *harness.Engine
	Proxy     *harness.SocketProxy // between the collector and the Engine
	Oracle    *harness.LogOracle
	Collector *harness.Collector

	scenario string
	whole    map[string]bool // containers of which everything must have arrived in the end
}

// newLogRig does not start the collector.
func newLogRig(t *testing.T, e *harness.Engine, scenario string) *logRig {
	t.Helper()
	r := &logRig{
		Engine: e, Proxy: harness.StartSocketProxy(t, e.Host), Oracle: harness.StartLogOracle(t),
		scenario: scenario, whole: make(map[string]bool),
	}
	r.Collector = harness.NewCollector(t, r.config(""))
	return r
}

func (r *logRig) config(extra string) string {
	return harness.LogsConfig(r.Proxy.Host, r.scenario, r.Oracle.Loki.URL(), extra)
}

// run starts a container of the scenario.
func (r *logRig) run(t *testing.T, name string, c harness.Container, args ...string) string {
	t.Helper()
	c.Name, c.Args = r.scenario+"-"+name, args
	if c.Labels == nil {
		c.Labels = make(map[string]string)
	}
	c.Labels["scenario"] = r.scenario
	return r.Engine.Run(t, c)
}

// await waits until n lines of a container were pushed, each once.
func (r *logRig) await(t *testing.T, limit time.Duration, id string, n int) {
	t.Helper()
	r.whole[id] = true
	r.Oracle.Await(t, limit, r.Engine, id, n)
}

// finish checks the accounting, and that nothing was dropped, ends the
// collector, and compares once more what has come, for a repetition may be late.
func (r *logRig) finish(t *testing.T) {
	t.Helper()
	harness.Eventually(t, 20*time.Second, func() error { return r.Collector.Drained(t) })
	for _, a := range r.Collector.Accounts(t) {
		t.Logf("%+v", a)
		if a.Dropped > 0 {
			t.Errorf("%s dropped %v items", a.Component, a.Dropped)
		}
	}
	r.Collector.Stop(t)
	for id := range r.whole {
		if err := r.Oracle.Compare(t, id, r.Engine.Output(t, id)); err != nil {
			t.Error(err)
		}
	}
}

// end stops the collector cleanly. Another test checks that this takes 5 s at most: these
// tests leave the disk with much to write.
func end(t *testing.T, c *harness.Collector) {
	t.Helper()
	if code, _ := c.Terminate(t, 30*time.Second); code != 0 {
		t.Errorf("the collector ended with code %d", code)
	}
}

func (r *logRig) stop(t *testing.T, id string) {
	t.Helper()
	second := 1
	if err := r.Engine.Client.ContainerStop(context.Background(), id, container.StopOptions{Timeout: &second}); err != nil {
		t.Fatal(err)
	}
}

func (r *logRig) start(t *testing.T, id string) {
	t.Helper()
	if err := r.Engine.Client.ContainerStart(context.Background(), id, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
}

func logPath(id string) string { return "/containers/" + id + "/logs" }

// logRequests are the queries by which a container's output was asked for.
func (r *logRig) logRequests(id string) []url.Values {
	var out []url.Values
	for _, request := range r.Proxy.Requests() {
		if request.Path == logPath(id) {
			out = append(out, request.Query)
		}
	}
	return out
}

// wantContinued fails the test when a request asks for more of a log than
// follows a time: more than the few seconds by which the streams may overlap, or
// more than a short piece of the log's end.
func wantContinued(t *testing.T, requests []url.Values, last time.Time) {
	t.Helper()
	if len(requests) == 0 {
		t.Error("the log was not asked for again")
	}
	for _, q := range requests {
		since, err := strconv.ParseFloat(q.Get("since"), 64)
		if err != nil {
			t.Errorf("the whole log was asked for again: %v", q)
			continue
		}
		at := time.Unix(0, int64(since*1e9))
		if tail, err := strconv.Atoi(q.Get("tail")); err == nil && tail <= 500 && at.After(last.Add(-25*time.Hour)) {
			continue
		}
		if at.Before(last.Add(-6 * time.Second)) {
			t.Errorf("asked for all since %s, %s before the last line delivered: %v", at, last.Sub(at), q)
		}
	}
}

// complaints are the lines that the collector has logged at a level.
func (r *logRig) complaints(level string) []string {
	var out []string
	for line := range strings.Lines(r.Collector.Output()) {
		if strings.Contains(line, "level="+level) || strings.Contains(line, `"level":"`+level) {
			out = append(out, strings.TrimSpace(line))
		}
	}
	return out
}

// TestDockerLogs runs the scenarios that can share an Engine, side by side.
func TestDockerLogs(t *testing.T) {
	t.Parallel()
	engine := harness.StartEngine(t)
	for _, s := range []struct {
		name string
		run  func(*testing.T, *harness.Engine)
	}{ // the longest first
		{"L12_RotationAndTruncation", rotationAndTruncation},
		{"L4_CutConnectionsRepeatNothing", cutConnectionsRepeatNothing},
		{"L2_RestartsRepeatNothing", restartsRepeatNothing},
		{"L3_ChangedLabelsAndAddressRepeatNothing", changesRepeatNothing},
		{"L9_ShortLivedContainersAreRead", shortLivedContainersAreRead},
		{"L7_DamagedCursorFilesHeal", damagedCursorFilesHeal},
		{"L5_InterleavedStreamsLoseNothing", interleavedStreamsLoseNothing},
		{"L1_StopAndStartRepeatNothing", stopAndStartRepeatNothing},
		{"L13_DamagedLogIsSkipped", damagedLogIsSkipped},
		{"L15_LinesOfAllSizes", linesOfAllSizes},
		{"L14_UnreadableDriverIsQuiet", unreadableDriverIsQuiet},
		{"L10_ExitedContainersAreRead", exitedContainersAreRead},
		{"L8_AlloysPositionsAreContinued", alloysPositionsAreContinued},
		{"L16_Terminal", terminal},
		{"L17_EmptyLines", emptyLines},
		{"CarriageReturnsBeforeLineEndsAreRemoved", carriageReturns},
	} {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			s.run(t, engine)
		})
	}
}

// A container that is stopped and started again gives its new lines only.
func stopAndStartRepeatNothing(t *testing.T, e *harness.Engine) {
	r := newLogRig(t, e, "L1")
	r.Collector.Configure(t, strings.Replace(r.config(""), `"5s"`, `"2s"`, 1))
	id := r.run(t, "app", harness.Container{}, "-lines=10000", "-rerun=10", "-stay")
	r.Collector.Start(t)
	r.await(t, 30*time.Second, id, 10000)
	n, asked := 10000, len(r.logRequests(id))
	last := r.Oracle.Pushed(t, id, "stdout")[n-1].Time
	for range 2 {
		r.stop(t, id)
		harness.Wait(harness.For(6*time.Second, time.Minute)) // three refresh intervals
		harness.Eventually(t, 30*time.Second, func() error {
			if n := r.Collector.Metric(t, "collector_log_tails"); n > 0 {
				return fmt.Errorf("%v containers are still followed", n)
			}
			return nil
		})
		r.start(t, id)
		n += 10
		r.await(t, 20*time.Second, id, n)
	}
	// Once more, while the collector is away.
	r.Collector.Stop(t)
	r.stop(t, id)
	r.start(t, id)
	r.Collector.Start(t)
	r.await(t, 20*time.Second, id, n+10)
	wantContinued(t, r.logRequests(id)[asked:], last)
	r.finish(t)
}

// Containers that are restarted, or crash in a loop, give each line once.
func restartsRepeatNothing(t *testing.T, e *harness.Engine) {
	r := newLogRig(t, e, "L2")
	restarted := r.run(t, "restarted", harness.Container{}, "-lines=50", "-rerun=50", "-stay")
	crashing := r.run(t, "crashing", harness.Container{Restart: "always"}, "-lines=50", "-rerun=50", "-interval=1ms", "-exit=1")
	r.Collector.Start(t)
	const restarts = 20
	begin, pause := time.Now(), harness.For(500*time.Millisecond, 3*time.Second)
	for range restarts {
		harness.Wait(pause)
		second := 1
		if err := e.Client.ContainerRestart(context.Background(), restarted, container.StopOptions{Timeout: &second}); err != nil {
			t.Fatal(err)
		}
	}
	harness.Wait(time.Until(begin.Add(harness.For(25*time.Second, 5*time.Minute))))
	// Without further restarts it can be compared. The Engine does not update one that
	// has just ended.
	harness.Eventually(t, catchUp, func() error {
		_, err := e.Client.ContainerUpdate(context.Background(), crashing, container.UpdateConfig{RestartPolicy: container.RestartPolicy{Name: "no"}})
		return err
	})
	// How many lines there are is up to the machine: a run may be ended before
	// it has written any.
	for name, id := range map[string]string{"restarted": restarted, "crashing": crashing} {
		r.stop(t, id)
		lines := len(e.Output(t, id))
		r.await(t, 20*time.Second, id, lines)
		t.Logf("%d lines of the %s container", lines, name)
	}
	r.finish(t)
}

// A new address, a new name, a new network and edited rules give new labels
// and no old line.
func changesRepeatNothing(t *testing.T, e *harness.Engine) {
	r := newLogRig(t, e, "L3")
	r.Collector.Start(t)
	// The first lines take half a minute, for the reload to be in the middle.
	id := r.run(t, "app", harness.Container{}, "-lines=3000", "-rerun=500", "-interval=10ms", "-stay")
	r.Oracle.AwaitCount(t, 10*time.Second, id, 1)

	t.Log("reload with other labels, in the middle of the lines")
	edited := r.config(`labels = {"edited" = "yes"}`)
	r.Collector.Configure(t, edited)
	if status, body := r.Collector.Reload(t); status != 200 {
		t.Fatalf("reload: %d %s", status, body)
	}
	harness.Eventually(t, 5*time.Second, func() error {
		lines := r.Oracle.Pushed(t, id, "stdout")
		if len(lines) == 0 || lines[len(lines)-1].Labels["edited"] != "yes" {
			return fmt.Errorf("the last of %d lines does not have the new label", len(lines))
		}
		return nil
	})
	r.await(t, 5*time.Minute, id, 3000)

	t.Log("another address, name and network")
	n := renameAndMove(t, r, id, 3000)

	t.Log("other rules")
	r.Collector.Configure(t, strings.Replace(edited, "target_label  = \"container\"", "target_label  = \"renamed\"", 1))
	if status, body := r.Collector.Reload(t); status != 200 {
		t.Fatalf("reload: %d %s", status, body)
	}
	for attempt := 0; ; attempt++ {
		r.stop(t, id)
		r.start(t, id)
		n += 500
		last := r.lastLabels(t, id, n)
		if last["renamed"] == "L3-renamed" && last["container"] == "" {
			break
		}
		if attempt == 10 {
			t.Fatalf("labels after the change: %v", last)
		}
	}
	r.finish(t)
}

// lastLabels waits for n lines of a container, and returns the labels of the last one. On
// a slow machine a run may be over before a change is known: so the change is awaited
// over several runs.
func (r *logRig) lastLabels(t *testing.T, id string, n int) map[string]string {
	t.Helper()
	r.await(t, 20*time.Second, id, n)
	return r.Oracle.Pushed(t, id, "stdout")[n-1].Labels
}

// renameAndMove gives a container that has written n lines another name, another
// address and, while it writes, another network. It returns how many lines it
// has written then.
func renameAndMove(t *testing.T, r *logRig, id string, n int) int {
	t.Helper()
	e, ctx, address := r.Engine, context.Background(), r.Engine.IP(t, id)
	e.AddNetwork(t, "L3")
	r.stop(t, id)
	err := e.Client.ContainerRename(ctx, id, "L3-renamed")
	for attempt := 0; err == nil; attempt++ {
		// It gets the address, unless another scenario's container is faster.
		r.run(t, fmt.Sprint("squatter", attempt), harness.Container{}, "-stay")
		r.start(t, id)
		now := e.IP(t, id)
		if attempt == 0 {
			err = e.Client.NetworkConnect(ctx, "L3", id, nil)
		}
		n += 500
		last := r.lastLabels(t, id, n)
		if now != address && last["container"] == "L3-renamed" {
			break
		}
		if attempt == 10 {
			t.Fatalf("after the change: address %s, before %s; labels %v", now, address, last)
		}
		r.stop(t, id)
	}
	if err == nil {
		err = e.Client.NetworkDisconnect(ctx, "bridge", id, false)
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Silent containers whose connections are cut 100 times repeat nothing.
func cutConnectionsRepeatNothing(t *testing.T, e *harness.Engine) {
	r := newLogRig(t, e, "L4")
	containers, cuts := 12, 9
	if harness.Soaking() {
		containers, cuts = 3, 100
	}
	var ids []string
	for i := range containers {
		ids = append(ids, r.run(t, fmt.Sprint("silent", i), harness.Container{}, "-lines=3", "-rerun=2", "-streams=stdout,stderr", "-stay"))
	}
	r.Collector.Start(t)
	for _, id := range ids {
		r.await(t, 20*time.Second, id, 6)
	}
	opened := make([]int, containers)
	for range cuts {
		for i, id := range ids {
			opened[i] = r.Proxy.Opened(logPath(id))
		}
		r.Proxy.Cut()
		for i, id := range ids {
			harness.Eventually(t, 30*time.Second, func() error {
				if r.Proxy.Opened(logPath(id)) == opened[i] || r.Proxy.Streams(logPath(id)) == 0 {
					return fmt.Errorf("%.12s is not read again", id)
				}
				return nil
			})
		}
	}
	for _, id := range ids[:3] {
		r.stop(t, id)
		r.start(t, id)
		r.await(t, 20*time.Second, id, 10)
	}
	t.Logf("%d reconnects of %d silent containers", cuts*containers, containers)
	r.finish(t)
}

// Lines written to both streams at once all arrive, in the order of their
// stream, however often the connection is cut.
func interleavedStreamsLoseNothing(t *testing.T, e *harness.Engine) {
	r := newLogRig(t, e, "L5")
	lines := 50000
	id := r.run(t, "app", harness.Container{}, fmt.Sprintf("-lines=%d", lines), "-streams=stdout,stderr", "-burst=20", "-interval=5ms", "-stay")
	r.Collector.Start(t)
	for cut := range 5 {
		r.Oracle.AwaitCount(t, 3*time.Minute, id, (cut+1)*lines/4)
		r.Proxy.Cut()
	}
	r.await(t, 3*time.Minute, id, 2*lines)
	r.finish(t)
}
