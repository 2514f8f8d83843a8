package write

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/logs/lokitest"
	"collector/pkg/pipeline"
	"collector/pkg/pipeline/pipelinetest"
)

func TestLokiWriteKeepsTheContractOfSinks(t *testing.T) {
	loki := lokitest.New(t)
	var up atomic.Bool
	loki.Respond(func(lokitest.Request) *lokitest.Answer {
		if up.Load() {
			return nil
		}
		return &lokitest.Answer{Status: 503, Body: "not now"}
	})
	pipelinetest.Sink{
		New: func(t *testing.T, dir string) pipelinetest.Runner {
			w, err := New(writeConfig(loki.URL()), component.Options{Dir: dir, Metrics: prometheus.NewRegistry()})
			if err != nil {
				t.Fatal(err)
			}
			return w
		},
		Write: func(ctx context.Context, r pipelinetest.Runner, number int) error {
			entries := []pipeline.Entry{{Time: at(number), Line: fmt.Sprint(number)}}
			streams := []pipeline.Stream{stream(labels.FromStrings("job", "a"), entries...)}
			err := r.(*Write).WriteLogs(ctx, pipeline.Logs{Streams: streams})
			entries[0] = pipeline.Entry{Line: "overwritten"}
			streams[0] = stream(labels.FromStrings("job", "overwritten"), entries...)
			return err
		},
		Serve: up.Store,
		Arrived: func() map[int]int {
			arrived := make(map[int]int)
			for _, e := range loki.Entries() {
				if n, err := strconv.Atoi(e.Line); err == nil {
					arrived[n] += 1 + loki.Repeated()
				}
			}
			return arrived
		},
	}.Test(t)
}
