//go:build integration

package reliability

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"collector/pkg/logs/source/journal/journaltest"
	"collector/test/harness"
)

// incompressible is text of n bytes that can't be compressed much.
func incompressible(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return base64.StdEncoding.EncodeToString(b)[:n]
}

// holding is a collector whose sources have to hold what they read, as its queue takes
// nothing more, and what feeds it.
type holding struct {
	c       *harness.Collector
	loki    *lokiBehind
	logs    logWriters
	pushes  *harness.Attempts
	padding string // of pushes
	journal *journalWriter
	stop    func() // ends the writers of files
	kills   int
}

// journalWriter sends entries to a journal.
type journalWriter struct {
	entries int
	end     chan struct{}
	sending sync.WaitGroup
}

func startJournalWriter(t *testing.T, d *journaltest.Daemon) *journalWriter {
	t.Helper()
	w, send := &journalWriter{end: make(chan struct{})}, d.Sender()
	w.sending.Go(func() { w.entries = sendUntil(t, w.end, send, 0) })
	return w
}

func (w *journalWriter) stop() {
	close(w.end)
	w.sending.Wait()
}

// startHolding starts everything. The storage is on a file system of so many bytes; 0: on
// that of all tests.
func startHolding(t *testing.T, size int) *holding {
	t.Helper()
	d := journaltest.StartDaemon(t, "SystemMaxFileSize=8M\nSystemMaxFiles=1000\n")
	d.Flush()
	f := &holding{loki: startLokiBehind(t, "logs", 2), logs: startLogWriters(t), padding: incompressible(32 << 10)}
	for _, w := range f.logs {
		w.padding = " " + f.padding[:4<<10]
		if size == 0 {
			w.padding = " " + f.padding
		}
	}
	match, targets := f.logs.targets()
	port := harness.FreePort(t)
	f.c = harness.NewCollector(t, match+fmt.Sprintf(`
loki.source.file "f" {
	targets    = %s
	forward_to = [loki.write.w.receiver]
}

loki.source.journal "j" {
	path       = %q
	matches    = "_TRANSPORT=journal"
	forward_to = [loki.write.w.receiver]
}

loki.source.api "a" {
	http {
		listen_address = "127.0.0.1"
		listen_port    = %d
	}
	use_incoming_timestamp = true
	forward_to             = [loki.write.w.receiver]
}
`, targets, d.Disk, port)+f.loki.writer("w"))
	if size > 0 {
		f.c.Storage = harness.SmallDisk(t, size)
	}
	f.c.Start(t)
	f.stop = f.logs.run(10 * time.Millisecond)
	f.journal = startJournalWriter(t, d)
	f.pushes = harness.StartAttempts(t, time.Millisecond, lokiSender(harness.Address(port), f.padding))
	f.logs.areRead(t, f.c)
	return f
}

// full waits until the queue takes nothing more.
func (f *holding) full(t *testing.T) {
	t.Helper()
	before, _ := f.pushes.Refused()
	harness.Eventually(t, harness.For(catchUp, 15*time.Minute), func() error {
		if n, err := f.pushes.Refused(); n < before+5 {
			return fmt.Errorf("%d pushes were refused (%v); %d bytes are free", n-before, err, free(t, f.c.Storage))
		}
		return nil
	})
	if _, err := f.pushes.Refused(); err.Error() != "503" {
		t.Errorf("a client got %v, want 503", err)
	}
}

// kill kills the collector and starts it again.
func (f *holding) kill(t *testing.T) {
	t.Helper()
	f.kills++
	f.c.Kill()
	f.loki.cut(t)
	f.c.Start(t)
}

// outage is a way to fill the queue.
func (f *holding) outage(t *testing.T) diskFill {
	return diskFill{"an outage", func() {
		f.loki.proxy.Set(t, harness.Refuse)
		f.loki.cut(t)
	}, func() { f.loki.proxy.Set(t, harness.None) }}
}

// survive fills the queue or its disk, rotates the files, kills the collector, and makes
// room.
func (f *holding) survive(t *testing.T, fill diskFill) {
	t.Helper()
	fill.begin()
	f.full(t)
	for _, w := range f.logs {
		w.turn()
	}
	harness.Wait(harness.For(time.Second, 10*time.Second))
	f.kill(t)
	f.full(t)
	fill.end()
	acked := f.pushes.Acked()
	harness.Eventually(t, catchUp, func() error {
		if n := f.pushes.Acked() - acked; n < 20 {
			return fmt.Errorf("%s: %d pushes were acknowledged afterwards", fill.name, n)
		}
		return nil
	})
	f.kill(t) // soon after it goes on
	f.logs.areRead(t, f.c)
}

// finish ends the load, waits until everything is stored, and fails unless it is stored
// once.
func (f *holding) finish(t *testing.T) {
	t.Helper()
	f.stop()
	f.journal.stop()
	acked, entries := f.pushes.Stop(), f.journal.entries
	wanted := f.logs.events()*eventLines + entries
	harness.GetsOn(t, harness.For(time.Minute, 10*time.Minute), func() error { return f.c.Drained(t) })
	harness.GetsOn(t, 60*time.Second, func() error {
		n := 0
		for _, e := range f.loki.Entries() {
			if !strings.HasPrefix(e.Line, "push ") {
				n++
			}
		}
		if n < wanted {
			return fmt.Errorf("%d of %d lines and entries are stored", n, wanted)
		}
		return nil
	})
	f.logs.checkStored(t, f.loki.Server, false)
	checkPushed(t, f.loki.Server, acked, f.padding)
	stored := make(map[string]int)
	for _, e := range f.loki.Entries() {
		if strings.HasPrefix(e.Line, "line ") {
			stored[e.Line]++
		}
	}
	for i := range entries {
		if n := stored[fmt.Sprintf("line %d", i)]; n != 1 {
			t.Errorf("entry %d of the journal is stored %d times", i, n)
		}
	}
	f.loki.judge.Abandoned = f.kills * 2 // a batch of each source is in the queue a moment before its position is stored
	v, err := f.loki.judge.Judge()
	if err != nil {
		t.Error(err)
	}
	refused, _ := f.pushes.Refused()
	t.Logf("%d kills; %d lines, %d entries of the journal, %d pushes (%d refused): 0 lost; repeated by cut %v",
		f.kills, f.logs.events()*eventLines, entries, len(acked), refused, v.Repeated)
	f.c.Stop(t)
}

// TestF2_AFullDiskHoldsFilesJournalAndPushes fills a small disk, by the file of another
// program and in an outage, and kills the collector while it is full, and soon after.
// Files are rotated in the meantime.
func TestF2_AFullDiskHoldsFilesJournalAndPushes(t *testing.T) {
	t.Parallel()
	f := startHolding(t, 32<<20)
	f.survive(t, strangersFile(t, f.c.Storage))
	f.survive(t, f.outage(t))
	f.finish(t)
}

// TestF3_AFullQueueHoldsFilesJournalAndPushes does the same with a queue that reaches its
// cap, which is 1 GiB.
func TestF3_AFullQueueHoldsFilesJournalAndPushes(t *testing.T) {
	if !harness.Soaking() {
		t.Skip("only in the full form: the cap is 1 GiB")
	}
	t.Parallel()
	f := startHolding(t, 0)
	f.survive(t, f.outage(t))
	f.finish(t)
}
