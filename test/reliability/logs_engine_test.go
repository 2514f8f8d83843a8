//go:build integration

package reliability

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"collector/pkg/docker/dockertest"
	"collector/test/harness"
)

// TestL11_EngineAway removes dockerd, its socket and all connections, while containers
// keep writing. Reading resumes within seconds, and each line comes once.
func TestL11_EngineAway(t *testing.T) {
	t.Parallel()
	e := harness.StartEngine(t)
	r := newLogRig(t, e, "L11")
	noise := harness.StartNoise(t)
	containers, away := 5, harness.For(8*time.Second, time.Minute)
	if harness.Soaking() {
		containers = 20
	}
	var ids []string
	r.Collector.Start(t)
	for i := range containers {
		ids = append(ids, r.run(t, fmt.Sprint("app", i), harness.Container{}, "-lines=1000000", "-interval=20ms", "-stay"))
	}
	for _, id := range ids {
		r.Oracle.AwaitCount(t, 20*time.Second, id, 10)
	}
	resumed := func(what string) {
		t.Helper()
		begin := time.Now()
		for _, id := range ids {
			harness.Eventually(t, 30*time.Second, func() error {
				got := r.Oracle.Pushed(t, id, "stdout")
				if len(got) == 0 {
					return fmt.Errorf("%.12s is not read", id)
				}
				if last := got[len(got)-1]; last.Time.Before(begin) {
					return fmt.Errorf("%.12s: the last line is of %s", id, last.Time)
				}
				return nil
			})
		}
		t.Logf("%s: all are read again after %s", what, time.Since(begin).Round(100*time.Millisecond))
		if took, limit := time.Since(begin), noise.Bound(5*time.Second); took > limit {
			t.Errorf("%s: it took %s, %s are allowed", what, took, limit)
		}
	}
	begun := time.Now()
	e.Stop(t)
	harness.Wait(away / 4)
	e.Start(t)
	resumed("restart of dockerd")
	r.Proxy.Vanish()
	ids = append(ids, r.run(t, "unseen", harness.Container{}, "-lines=1000000", "-interval=20ms", "-stay"))
	harness.Wait(away)
	r.Proxy.Restore(t)
	resumed("vanished socket")
	for range 5 {
		r.Proxy.Cut()
		harness.Wait(time.Second)
	}
	resumed("cut connections")
	said := len(r.complaints("warn")) + len(r.complaints("error"))
	// Twice for each container, and once a minute for each if it takes longer.
	if most := containers*2 + 4 + len(ids)*int(time.Since(begun).Minutes()); said > most {
		t.Errorf("%d complaints, want at most %d: %q", said, most, append(r.complaints("warn"), r.complaints("error")...))
	}
	t.Logf("%d complaints of %d containers", said, containers)
	for _, id := range ids {
		r.stop(t, id)
		r.await(t, 30*time.Second, id, len(e.Output(t, id)))
	}
	r.finish(t)
}

// fakeLogs is a collector that reads from an Engine that the test scripts.
func fakeLogs(t *testing.T, d *dockertest.Daemon) (*harness.Collector, *harness.LogOracle) {
	t.Helper()
	oracle := harness.StartLogOracle(t)
	return harness.NewCollector(t, harness.LogsConfig(d.Host(), "fake", oracle.Loki.URL(), "")), oracle
}

var fakeLabels = map[string]string{"scenario": "fake"}

// TestL18_EqualTimes has 1,000 lines with one time stored, each, in order.
func TestL18_EqualTimes(t *testing.T) {
	t.Parallel()
	d := dockertest.New(t)
	c, oracle := fakeLogs(t, d)
	id := d.Run(dockertest.Container{Labels: fakeLabels})
	at := time.Now()
	var want []harness.EngineLine
	log := func(from, to int) {
		var entries []dockertest.Entry
		for i := from; i < to; i++ {
			text := fmt.Sprintf("line %d", i)
			if i%10 > 5 {
				text = "the same line"
			}
			entries = append(entries, dockertest.Entry{Time: at, Text: text + "\n"})
			want = append(want, harness.EngineLine{Time: at, Stream: "stdout", Text: text})
		}
		d.Log(id, entries...)
	}
	c.Start(t)
	compare := func() {
		t.Helper()
		oracle.AwaitCount(t, 20*time.Second, id, len(want))
		if err := oracle.Compare(t, id, append([]harness.EngineLine(nil), want...)); err != nil {
			t.Fatal(err)
		}
	}
	log(0, 500)
	compare()
	d.CutConnections()
	log(500, 700)
	compare()
	end(t, c)
	log(700, 1000)
	c.Start(t)
	compare()
	if n := oracle.Loki.Repeated(); n > 0 || len(oracle.Loki.Entries()) != 1000 {
		t.Errorf("%d entries are stored, %d were repeated", len(oracle.Loki.Entries()), n)
	}
	harness.Eventually(t, 10*time.Second, func() error { return c.Drained(t) })
	c.Accounts(t)
	end(t, c)
}

// TestL4_AWeekOfSilence reads a container whose last line is a week old, cuts
// the connection, restarts the Engine's side and the collector, and repeats
// nothing.
func TestL4_AWeekOfSilence(t *testing.T) {
	t.Parallel()
	d := dockertest.New(t)
	c, oracle := fakeLogs(t, d)
	id := d.Run(dockertest.Container{Labels: fakeLabels})
	week := time.Now().Add(-7 * 24 * time.Hour)
	var want []harness.EngineLine
	log := func(at time.Time, stream, text string) {
		d.Log(id, dockertest.Entry{Time: at, Stream: stream, Text: text + "\n"})
		want = append(want, harness.EngineLine{Time: at, Stream: stream, Text: text})
	}
	log(week, "stdout", "one")
	log(week.Add(time.Millisecond), "stderr", "two")
	log(week.Add(time.Second), "stdout", "three")
	compare := func() {
		t.Helper()
		oracle.AwaitCount(t, 20*time.Second, id, len(want))
		if err := oracle.Compare(t, id, append([]harness.EngineLine(nil), want...)); err != nil {
			t.Fatal(err)
		}
	}
	path := "/containers/" + id + "/logs"
	c.Start(t)
	compare()
	for range 6 {
		before := d.Count(path)
		d.CutConnections()
		harness.Eventually(t, 20*time.Second, func() error {
			if d.Count(path) == before {
				return fmt.Errorf("the log is not read again")
			}
			return nil
		})
		d.AwaitFollowers(id, 1)
	}
	for range 2 {
		end(t, c)
		c.Start(t)
		d.AwaitFollowers(id, 1)
	}
	log(time.Now(), "stdout", "four")
	compare()
	harness.Eventually(t, 10*time.Second, func() error { return c.Drained(t) })
	c.Accounts(t)
	end(t, c)
	compare()
}

// TestL13_EngineThatCannotRead has an Engine that repeatedly fails at the same place of a
// log: what is damaged is omitted, with one warning.
func TestL13_EngineThatCannotRead(t *testing.T) {
	t.Parallel()
	d := dockertest.New(t)
	c, oracle := fakeLogs(t, d)
	id := d.Run(dockertest.Container{Labels: fakeLabels})
	beside := d.Run(dockertest.Container{Labels: fakeLabels})
	d.Print(id, "stdout", "before\n")
	d.Log(id, dockertest.Entry{Err: `invalid character '\x00' looking for beginning of value`})
	started := time.Now()
	c.Start(t)
	d.Print(beside, "stdout", "beside\n")
	oracle.AwaitCount(t, 10*time.Second, beside, 1)
	harness.Eventually(t, 30*time.Second, func() error {
		if n := c.Metric(t, "collector_log_damage_skipped_total"); n != 1 {
			return fmt.Errorf("damage was skipped %v times", n)
		}
		return nil
	})
	d.AwaitFollowers(id, 1)
	d.Print(id, "stdout", "after\n")
	oracle.AwaitCount(t, 10*time.Second, id, 2)
	if got := oracle.Pushed(t, id, "stdout"); got[0].Text != "before" || got[1].Text != "after" {
		t.Errorf("lines %v", got)
	}
	if n := d.Count("/containers/" + id + "/logs"); n > 12 {
		t.Errorf("the log was asked for %d times", n)
	}
	if n := strings.Count(c.Output(), "level=warn"); n > 2+int(time.Since(started).Minutes()) {
		t.Errorf("%d warnings", n)
	}
	c.Accounts(t)
	end(t, c)
}
