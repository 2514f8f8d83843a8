package syslog

import (
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/listen"
	"collector/pkg/logs/logstest"
)

// piped is a Source whose connections are pipes, in a bubble of its own time.
func piped(t *testing.T, sink *logstest.Sink, budget int64) *started {
	t.Helper()
	s := &started{registry: prometheus.NewRegistry()}
	var err error
	if s.Source, err = New(config(sink, func(*ListenerConfig) {}), component.Options{Metrics: s.registry}); err != nil {
		t.Fatal(err)
	}
	s.budget = listen.NewBudget(budget)
	return s
}

// connect returns the client's side of a connection, and what is closed when the
// server has ended it.
func (s *started) connect(t *testing.T) (net.Conn, <-chan struct{}) {
	t.Helper()
	client, server := net.Pipe()
	ended := make(chan struct{})
	go func() {
		s.listeners[0].serve(t.Context(), t.Context(), server)
		close(ended)
	}()
	return client, ended
}

func TestALongMessageMustNotTrickleIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sink logstest.Sink
		s := piped(t, &sink, 10<<20)
		client, ended := s.connect(t)
		begun := time.Now()
		_, err := io.WriteString(client, "<13>1 - - - - - - "+strings.Repeat("x", 20<<10))
		for err == nil {
			time.Sleep(time.Second)
			_, err = io.WriteString(client, "x")
		}
		<-ended
		if took := time.Since(begun); took > time.Minute || s.metric(t, failedMetric, reasonTooSlow) != 1 {
			t.Errorf("the connection ended after %s with %v", took, err)
		}
		if s.budget.Used() != 0 || len(sink.Lines()) != 0 {
			t.Errorf("%d bytes are held, and lines %q have come", s.budget.Used(), sink.Lines())
		}
	})
}

// Stalled long messages are ended in favor of one that makes progress; one that has
// arrived, and waits for receivers, is not.
func TestStalledLongMessagesMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		block := make(chan struct{})
		sink := logstest.Sink{Block: block}
		s := piped(t, &sink, 2<<20)
		long := strings.Repeat("x", 200<<10)
		var clients []net.Conn
		var stalled []<-chan struct{}
		for i := range 9 {
			client, ended := s.connect(t)
			text := "<13>1 - - - - - - " + long
			if i == 0 {
				text = "<13>1 - - - - - - waiting " + long + "\n<13>"
			}
			go io.WriteString(client, text)
			clients, stalled = append(clients, client), append(stalled, ended)
		}
		time.Sleep(5 * time.Second) // one of them ends for the one that has arrived, if that waits for memory
		good, goodEnded := s.connect(t)
		sent := make(chan error, 1)
		go func() {
			_, err := io.WriteString(good, "<13>1 - - - - - - good "+long+"\n<13>")
			sent <- err
		}()
		if err := <-sent; err != nil {
			t.Error(err)
		}
		close(block)
		synctest.Wait()
		time.Sleep(time.Second)
		got := map[string]bool{}
		for _, line := range sink.Lines() {
			word, _, _ := strings.Cut(line, " ")
			got[word] = true
		}
		if !got["good"] || !got["waiting"] {
			t.Errorf("lines that begin with %v have come", got)
		}
		over := 0
		for i, ended := range stalled {
			select {
			case <-ended:
				over++
			default:
			}
			clients[i].Close()
			<-ended
		}
		if over == 0 {
			t.Error("no stalled message has ended")
		}
		if s.metric(t, failedMetric, reasonOverload) == 0 {
			t.Error("it is not counted")
		}
		good.Close()
		<-goodEnded
	})
}
