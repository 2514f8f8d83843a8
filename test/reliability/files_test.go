//go:build integration

package reliability

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"collector/test/harness"
)

// twoWriters is a source whose lines one writer gets, and another one the events that
// they make. The first also gets what is pushed.
type twoWriters struct {
	c           *harness.Collector
	logs        logWriters
	raw, joined *lokiBehind
	push        string // the address
	disk        diskFill
}

func newTwoWriters(t *testing.T) *twoWriters {
	t.Helper()
	w := &twoWriters{logs: startLogWriters(t), raw: startLokiBehind(t, "lines", 1), joined: startLokiBehind(t, "events", 1)}
	match, targets := w.logs.targets()
	port := harness.FreePort(t)
	w.push = harness.Address(port)
	w.c = harness.NewCollector(t, match+fmt.Sprintf(`
loki.source.file "f" {
	targets    = %s
	forward_to = [loki.write.raw.receiver, loki.process.join.receiver]
}

loki.process "join" {
	stage.label_drop {
		values = ["filename"]
	}

	stage.multiline {
		firstline     = "^\\S"
		max_wait_time = "1h"
	}
	forward_to = [loki.write.joined.receiver]
}

loki.source.api "a" {
	http {
		listen_address = "127.0.0.1"
		listen_port    = %d
	}
	use_incoming_timestamp = true
	forward_to             = [loki.write.raw.receiver]
}
`, targets, port)+w.raw.writer("raw")+w.joined.writer("joined"))
	w.c.Storage = harness.SmallDisk(t, diskSize)
	w.disk = strangersFile(t, w.c.Storage)
	return w
}

// round starts the collector, rotates the files while it runs, or after it has been
// killed, and kills it. In some rounds, destinations are away, or the disk is full.
func (w *twoWriters) round(t *testing.T, kill int, every time.Duration) {
	t.Helper()
	if n := kill % 9; n == 1 || n == 7 {
		w.raw.proxy.Set(t, harness.Refuse)
	}
	if n := kill % 9; n == 4 || n == 7 {
		w.joined.proxy.Set(t, harness.Refuse)
	}
	w.c.Start(t)
	w.logs.areRead(t, w.c)
	dead := kill%2 == 1
	for _, log := range w.logs {
		if !dead || log.name == "back" {
			log.turn()
		}
	}
	w.logs[3:].areRead(t, w.c) // by its new name
	full := kill%9 == 3 || kill%9 == 6
	if full {
		w.disk.begin()
	}
	harness.Wait(every)
	w.c.Kill()
	if full {
		w.disk.end()
	}
	w.raw.cut(t)
	w.joined.cut(t)
	for _, log := range w.logs[:3] {
		if dead {
			log.turn()
		}
	}
	w.raw.proxy.Set(t, harness.None)
	w.joined.proxy.Set(t, harness.None)
}

// finish waits until everything is stored, and fails unless it is stored once. Each file
// ends with an event that is not over.
func (w *twoWriters) finish(t *testing.T, kills int, acked []int) {
	t.Helper()
	events := w.logs.events() - len(w.logs)
	harness.GetsOn(t, 60*time.Second, func() error {
		lines, whole := 0, len(w.joined.Entries())
		for _, e := range w.raw.Entries() {
			if !strings.HasPrefix(e.Line, "push ") {
				lines++
			}
		}
		if lines < w.logs.events()*eventLines || whole < events {
			return fmt.Errorf("%d lines and %d of %d events are stored", lines, whole, events)
		}
		return nil
	})
	harness.Eventually(t, catchUp, func() error { return w.c.Drained(t) })
	w.logs.checkStored(t, w.raw.Server, false)
	for _, log := range w.logs {
		log.events--
	}
	w.logs.checkStored(t, w.joined.Server, true)
	checkPushed(t, w.raw.Server, acked, "")
	for _, l := range []*lokiBehind{w.raw, w.joined} {
		// A batch is in the queue a moment before its position is stored.
		l.judge.Abandoned = kills
		v, err := l.judge.Judge()
		if err != nil {
			t.Error(err)
		}
		t.Logf("%s: %d items, repeated by cut %v", l.judge.Name, v.Items, v.Repeated)
	}
	for _, name := range []string{"collector_file_lost_total", "collector_file_abandoned_total"} {
		if n := w.c.Metric(t, name); n != 0 {
			t.Errorf("%s is %v", name, n)
		}
	}
	t.Logf("%d kills, %d rotations; %d events, %d pushes: 0 lost", kills, w.logs[0].rotated*len(w.logs), events, len(acked))
	w.c.Stop(t)
}

// TestF1_FilesAndPushesSurviveKills kills the collector again and again while files are
// written and rotated in every way, also while it does not run, and while one or both
// destinations are away or the disk is full.
func TestF1_FilesAndPushesSurviveKills(t *testing.T) {
	t.Parallel()
	w := newTwoWriters(t)
	stop := w.logs.run(10 * time.Millisecond)
	pushes := harness.StartAttempts(t, 10*time.Millisecond, lokiSender(w.push, ""))
	kills, every := 9, time.Second
	if harness.Soaking() {
		kills, every = 240, 5*time.Second
	}
	for kill := range kills {
		w.round(t, kill, every)
	}
	w.c.Start(t)
	w.logs.areRead(t, w.c)
	stop()
	acked := pushes.Stop()
	for _, log := range w.logs { // what follows the last event says that it is over
		if err := log.write(); err != nil {
			t.Fatal(err)
		}
	}
	w.finish(t, kills, acked)
}
