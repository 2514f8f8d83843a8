// Package logstest is what the tests of log components have in common.
package logstest

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"collector/pkg/pipeline"
)

// Received is an entry as a sink got it.
type Received struct {
	Labels   string
	Time     time.Time
	Line     string
	Metadata string // empty for none
}

// Sink keeps what it receives, unless it is set to fail. It is safe for concurrent use.
type Sink struct {
	mu      sync.Mutex
	entries []Received
	calls   int

	// Fail decides, by the number of a call, whether it fails; nil takes
	// everything. Guarded by mu: see Set.
	Fail func(call int) error
	// Block, if it isn't nil, makes calls wait until it is closed; likewise.
	Block chan struct{}
}

// WriteLogs implements pipeline.LogsSink.
func (s *Sink) WriteLogs(ctx context.Context, logs pipeline.Logs) error {
	s.mu.Lock()
	s.calls++
	call, fail, block := s.calls, s.Fail, s.Block
	s.mu.Unlock()
	if block != nil {
		select {
		case <-block:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if fail != nil {
		if err := fail(call); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, stream := range logs.Streams {
		for _, e := range stream.Entries {
			r := Received{Labels: stream.Labels.String(), Time: e.Time, Line: strings.Clone(e.Line)}
			if !e.Metadata.IsEmpty() {
				r.Metadata = e.Metadata.String()
			}
			s.entries = append(s.entries, r)
		}
	}
	return nil
}

// Set runs f while no call looks at the fields.
func (s *Sink) Set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// Calls is how many calls have been made.
func (s *Sink) Calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

// All is every entry, in the order in which they came.
func (s *Sink) All() []Received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Received(nil), s.entries...)
}

// Lines is the line of every entry.
func (s *Sink) Lines() []string {
	out := []string{}
	for _, e := range s.All() {
		out = append(out, e.Line)
	}
	return out
}

// ValueOf is the value of a counter.
func ValueOf(m prometheus.Metric) float64 {
	var out dto.Metric
	if m.Write(&out) != nil {
		return -1
	}
	return out.GetCounter().GetValue()
}

// WantValue waits until a counter has a value, as lines are counted after a sink has
// them, and fails if it has a higher one.
func WantValue(t *testing.T, what string, m prometheus.Metric, want float64) {
	t.Helper()
	state := func() string { return fmt.Sprintf("it is %v", ValueOf(m)) }
	Until(t, fmt.Sprintf("%s is %v", what, want), func() bool { return ValueOf(m) >= want }, time.Minute, state)
	if got := ValueOf(m); got != want {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

// Numbered is lines with the numbers from one up to another.
func Numbered(from, to int) []string {
	var out []string
	for i := from; i < to; i++ {
		out = append(out, "line "+strconv.Itoa(i))
	}
	return out
}

// Text is lines, each with a line end.
func Text(lines []string) string { return strings.Join(lines, "\n") + "\n" }

// WantEach fails unless got has each line of want once.
func WantEach(t *testing.T, want, got []string) {
	t.Helper()
	count := make(map[string]int)
	for _, l := range got {
		count[l]++
	}
	lost, repeated := 0, 0
	for _, l := range want {
		if count[l] == 0 {
			lost++
		}
		if count[l] > 1 {
			repeated++
		}
	}
	if lost+repeated > 0 || len(got) != len(want) {
		t.Errorf("of %d lines, %d are lost and %d are repeated; %d came", len(want), lost, repeated, len(got))
	}
}
