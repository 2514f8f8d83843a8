//go:build integration

package reliability

import (
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"collector/test/harness"
)

// syslogRun is one connection of a syslogClient.
type syslogRun struct {
	sent   int // messages
	queued int // those of them of which the collector has said that they are queued
}

// syslogClient sends numbered messages over TCP, one connection after the other, as
// programs do: what it has written to a connection it doesn't write again.
type syslogClient struct {
	name, address string

	mu     sync.Mutex
	runs   []syslogRun
	first  int // of the runs to the collector that runs now
	paused bool
}

// run sends messages until end is closed.
func (s *syslogClient) run(end <-chan struct{}) {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	var c net.Conn
	defer func() {
		if c != nil {
			c.Close()
		}
	}()
	for {
		select {
		case <-end:
			return
		case <-tick.C:
		}
		if c == nil {
			var err error
			if c, err = net.Dial("tcp", s.address); err != nil {
				continue // it is down
			}
			s.mu.Lock()
			s.runs = append(s.runs, syslogRun{})
			s.mu.Unlock()
		}
		if err := s.send(c); err != nil {
			c.Close()
			c = nil
		}
	}
}

// send writes a message, unless the client has paused.
func (s *syslogClient) send(c net.Conn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.paused {
		return nil
	}
	n := len(s.runs) - 1
	s.runs[n].sent++
	_, err := fmt.Fprintf(c, "<14>1 2026-01-02T03:04:05Z host app - - - %s\n", s.message(n, s.runs[n].sent))
	return err
}

func (s *syslogClient) message(run, n int) string { return fmt.Sprintf("%s %d %d", s.name, run, n) }

// pause has the client send nothing, and returns how many messages it has sent to the
// collector that runs.
func (s *syslogClient) pause() (sent int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paused = true
	for _, run := range s.runs[s.first:] {
		sent += run.sent
	}
	return sent
}

// queued says that what has been sent is queued.
func (s *syslogClient) queued() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.runs[s.first:] {
		s.runs[s.first+i].queued = s.runs[s.first+i].sent
	}
}

// killed says that the collector was killed, and has the client go on.
func (s *syslogClient) killed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.first, s.paused = len(s.runs), false
}

// judge fails unless what has arrived of each connection is what was sent first, once,
// and all of which the collector has said that it is queued. It returns how many messages
// are lost.
func (s *syslogClient) judge(t *testing.T, stored map[string]int) (sent, lost int) {
	t.Helper()
	// What is read at once, and what was on its way when the collector was killed.
	const mayBeLost = 2000
	for i, run := range s.runs {
		last := run.sent
		for last > 0 && stored[s.message(i, last)] == 0 {
			last--
		}
		for n := 1; n <= last; n++ {
			if times := stored[s.message(i, n)]; times != 1 {
				t.Errorf("message %s of %d is stored %d times, and message %d has arrived", s.message(i, n), run.sent, times, last)
			}
		}
		if last < run.queued || run.sent-last > mayBeLost {
			t.Errorf("%s, connection %d: of %d messages, of which %d were queued, %d have arrived", s.name, i, run.sent, run.queued, last)
		}
		sent, lost = sent+run.sent, lost+run.sent-last
	}
	return sent, lost
}

// TestS1_AKillCostsOnlyTheSyslogMessagesOnTheirWay kills the collector while clients
// send over TCP, and in pauses, in which everything is queued.
func TestS1_AKillCostsOnlyTheSyslogMessagesOnTheirWay(t *testing.T) {
	t.Parallel()
	loki, port := startLokiBehind(t, "syslog", 0), harness.FreePort(t)
	c := harness.NewCollector(t, fmt.Sprintf(`
loki.source.syslog "s" {
	listener {
		address  = "127.0.0.1:%d"
		protocol = "tcp"
		labels   = {job = "syslog"}
	}
	forward_to = [loki.write.w.receiver]
}
`, port)+loki.writer("w"))
	clients := []*syslogClient{{name: "one"}, {name: "two"}, {name: "three"}}
	end := make(chan struct{})
	var sending sync.WaitGroup
	for _, s := range clients {
		s.address = harness.Address(port)
		sending.Go(func() { s.run(end) })
	}
	queued := func() int { return int(c.Metric(t, "loki_source_syslog_entries_total")) }
	kills, every := 6, time.Second
	if harness.Soaking() {
		kills, every = 240, 5*time.Second
	}
	for kill := range kills {
		if kill%3 == 1 {
			loki.proxy.Set(t, harness.Refuse)
		}
		c.Start(t)
		harness.Wait(every)
		if kill%2 == 1 {
			awaitQueued(t, clients, queued)
		}
		c.Kill()
		for _, s := range clients {
			s.killed()
		}
		loki.cut(t)
		loki.proxy.Set(t, harness.None)
	}
	c.Start(t)
	harness.Wait(every)
	awaitQueued(t, clients, queued)
	close(end)
	sending.Wait()
	harness.Eventually(t, catchUp, func() error { return c.Drained(t) })
	stored := make(map[string]int)
	for _, e := range loki.Entries() {
		stored[e.Line]++
	}
	sent, lost := 0, 0
	for _, s := range clients {
		n, l := s.judge(t, stored)
		sent, lost = sent+n, lost+l
	}
	if _, err := loki.judge.Judge(); err != nil {
		t.Error(err)
	}
	t.Logf("%d kills; %d messages, %d lost that were on their way", kills, sent, lost)
	c.Stop(t)
}

// awaitQueued has clients pause, and waits until what they have sent is queued.
func awaitQueued(t *testing.T, clients []*syslogClient, queued func() int) {
	t.Helper()
	sent := 0
	for _, s := range clients {
		sent += s.pause()
	}
	harness.Eventually(t, catchUp, func() error {
		if n := queued(); n != sent {
			return fmt.Errorf("%d of %d messages are queued", n, sent)
		}
		return nil
	})
	for _, s := range clients {
		s.queued()
	}
}
