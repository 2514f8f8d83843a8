package tailsampling

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"collector/pkg/component"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/pipeline/pipelinetest"
)

func TestItKeepsTheContractOfSinks(t *testing.T) {
	to := &otlptest.Gathering{}
	pipelinetest.Sink{
		New: func(t *testing.T, dir string) pipelinetest.Runner {
			return newProcessor(t, to, component.Options{Dir: filepath.Join(dir, "x")}, func(c *Config) {
				c.DecisionWait = time.Millisecond
				c.Policies = []Policy{{Rule: Rule{Name: "all", Type: "always_sample"}}}
			})
		},
		Write: func(ctx context.Context, r pipelinetest.Runner, number int) error {
			return otlptest.WriteSpan(ctx, r.(*Processor), number)
		},
		Serve: to.Serve, Arrived: to.Got, Bad: otlptest.BadBytes,
	}.Test(t)
}
