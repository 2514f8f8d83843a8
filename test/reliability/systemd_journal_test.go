//go:build integration

package reliability

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"collector/pkg/logs/lokitest"
	"collector/pkg/logs/source/journal/journaltest"
	"collector/test/harness"
)

// TestJ1_TheSystemdJournalIsReadOnce kills the collector every few seconds while the
// real journald writes, rotates its files, moves them from memory to disk and is
// restarted.
func TestJ1_TheSystemdJournalIsReadOnce(t *testing.T) {
	t.Parallel()
	d := journaltest.StartDaemon(t, "SystemMaxFileSize=1M\nSystemMaxFiles=1000\n")
	d.Flush()
	loki := lokitest.New(t)
	proxy := harness.StartProxy(t, harness.StartLag(t, hostOf(t, loki.URL()), 40*time.Millisecond))
	c := harness.NewCollector(t, fmt.Sprintf(`
loki.source.journal "j" {
	path       = %q
	matches    = "_TRANSPORT=journal"
	forward_to = [loki.write.w.receiver]
}

loki.write "w" {
	endpoint {
		url = "http://%s/loki/api/v1/push"
	}
}
`, d.Disk, proxy.Address))
	judge := harness.Journal{
		Name: "journal", InFlight: 1, Count: func() int { return len(loki.Requests()) },
		Requests: func() [][]harness.Item { return pushedLines(loki) },
	}
	c.Start(t)

	kills, every := 6, 2*time.Second
	if harness.Soaking() {
		kills, every = 240, 5*time.Second
	}
	sent := 0
	for kill := range kills {
		stop := make(chan struct{})
		send := d.Sender()
		var sending sync.WaitGroup
		sending.Go(func() { sent = sendUntil(t, stop, send, sent) })
		if kill%2 == 0 {
			d.Rotate()
		}
		harness.Wait(every)
		c.Kill()
		close(stop)
		sending.Wait()
		proxy.Settle(t)
		judge.Cut()
		if kill%3 == 2 {
			d.Stop()
			d.Start()
		}
		c.Start(t)
	}
	harness.GetsOn(t, 60*time.Second, func() error {
		if n := len(loki.Entries()); n < sent {
			return fmt.Errorf("%d of %d entries are stored", n, sent)
		}
		return nil
	})
	harness.Eventually(t, 20*time.Second, func() error { return c.Drained(t) })
	// A batch is in the queue a moment before the position is stored: see
	// TestR2_L6_KillsLoseNothingAndRepeatOnlyWhatWasInFlight.
	judge.Abandoned = kills
	v, err := judge.Judge()
	if err != nil {
		t.Error(err)
	}
	for i := range sent {
		if v.Arrived[fmt.Sprintf("line %d", i)] == 0 {
			t.Fatalf("line %d of %d is lost", i, sent)
		}
	}
	if v.Items != sent {
		t.Errorf("%d lines are stored, %d were written", v.Items, sent)
	}
	if lost := c.Metric(t, "collector_journal_entries_lost_total"); lost != 0 {
		t.Errorf("%v entries count as lost", lost)
	}
	t.Logf("%d kills; %d lines, 0 lost; repeated by cut %v", kills, sent, v.Repeated)
	c.Stop(t)
}

// pushedLines are the lines of each push.
func pushedLines(loki *lokitest.Server) (out [][]harness.Item) {
	for _, r := range loki.Requests() {
		var items []harness.Item
		for _, e := range r.Entries {
			items = append(items, harness.Item{Number: e.Line, Whole: fmt.Sprint(e)})
		}
		out = append(out, items)
	}
	return out
}

// sendUntil sends numbered entries, from one on, until stop is closed, and returns
// the number of the next.
func sendUntil(t *testing.T, stop <-chan struct{}, send func(...string) error, n int) int {
	for {
		select {
		case <-stop:
			return n
		case <-time.After(time.Millisecond):
		}
		if err := send(fmt.Sprintf("MESSAGE=line %d", n), "TEXT="+strings.Repeat("x", n%1000)); err != nil {
			t.Error(err)
			return n
		}
		n++
	}
}
