package process

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/logs/logstest"
	"collector/pkg/pipeline"
)

func TestLokiProcessKeepsTheContractOfSinks(t *testing.T) {
	logstest.TestPassing(t, func(t *testing.T, to pipeline.LogsSink) logstest.Passing {
		p, err := New(Config{ForwardTo: []pipeline.LogsSink{to}}, component.Options{Dir: t.TempDir(), Metrics: prometheus.NewRegistry()})
		if err != nil {
			t.Fatal(err)
		}
		return p
	})
}
