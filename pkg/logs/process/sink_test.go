package process

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/pipeline"
	"collector/pkg/pipeline/pipelinetest"
)

// gathering is a sink that keeps the lines that it takes.
type gathering struct {
	mu      sync.Mutex
	up      bool
	arrived map[int]int
}

func (g *gathering) WriteLogs(_ context.Context, logs pipeline.Logs) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.up {
		return pipeline.ErrFull
	}
	for _, s := range logs.Streams {
		for _, e := range s.Entries {
			if n, err := strconv.Atoi(e.Line); err == nil {
				g.arrived[n]++
			}
		}
	}
	return nil
}

func TestLokiProcessKeepsTheContractOfSinks(t *testing.T) {
	to := &gathering{arrived: make(map[int]int)}
	pipelinetest.Sink{
		New: func(t *testing.T, dir string) pipelinetest.Runner {
			p, err := New(Config{ForwardTo: []pipeline.LogsSink{to}}, component.Options{Dir: dir, Metrics: prometheus.NewRegistry()})
			if err != nil {
				t.Fatal(err)
			}
			return p
		},
		Write: func(ctx context.Context, r pipelinetest.Runner, number int) error {
			entries := []pipeline.Entry{{Time: time.Unix(1, int64(number)), Line: fmt.Sprint(number)}}
			err := r.(*Process).WriteLogs(ctx, pipeline.Logs{Streams: []pipeline.Stream{{Labels: labels.FromStrings("job", "a"), Entries: entries}}})
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
