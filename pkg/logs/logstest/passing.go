package logstest

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/pipeline"
	"collector/pkg/pipeline/pipelinetest"
)

// Passing is a component that forwards log entries and has no queue of its own.
type Passing interface {
	pipelinetest.Runner
	pipeline.LogsSink
}

// counting is a sink that counts the numbers that are lines.
type counting struct {
	mu      sync.Mutex
	up      bool        // guarded by mu
	arrived map[int]int // guarded by mu
}

func (c *counting) WriteLogs(_ context.Context, logs pipeline.Logs) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.up {
		return pipeline.ErrFull
	}
	for _, s := range logs.Streams {
		for _, e := range s.Entries {
			if n, err := strconv.Atoi(e.Line); err == nil {
				c.arrived[n]++
			}
		}
	}
	return nil
}

// TestPassing checks that a component that forwards to what it is made with keeps the
// contract of sinks.
func TestPassing(t *testing.T, construct func(t *testing.T, to pipeline.LogsSink) Passing) {
	to := &counting{arrived: make(map[int]int)}
	pipelinetest.Sink{
		New: func(t *testing.T, _ string) pipelinetest.Runner { return construct(t, to) },
		Write: func(ctx context.Context, r pipelinetest.Runner, number int) error {
			entries := []pipeline.Entry{{Time: time.Unix(1, int64(number)), Line: strconv.Itoa(number)}}
			err := r.(Passing).WriteLogs(ctx, pipeline.Logs{Streams: []pipeline.Stream{{Labels: labels.FromStrings("job", "a"), Entries: entries}}})
			entries[0].Line = "overwritten"
			return err
		},
		Serve: func(up bool) {
			to.mu.Lock()
			defer to.mu.Unlock()
			to.up = up
		},
		Arrived: func() map[int]int {
			to.mu.Lock()
			defer to.mu.Unlock()
			out := make(map[int]int)
			for n, times := range to.arrived {
				out[n] = times
			}
			return out
		},
	}.TestPassing(t)
}
