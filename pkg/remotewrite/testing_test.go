package remotewrite

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"collector/pkg/component"
	"collector/pkg/pipeline"
	"collector/pkg/queue"
)

// everything is a shape that omits nothing.
func everything() shape {
	s := shape{exemplars: true, histograms: true}
	s.metadata.SetToDefault()
	return s
}

// testBlocks encodes m as blocks.
func testBlocks(t testing.TB, m pipeline.Metrics, enc encoding) []queue.Block {
	t.Helper()
	e := newEncoder(nil, everything(), newCodec(), new(activeSeries), defaultItems)
	var blocks []queue.Block
	err := e.encode(m, func(b *batch) error {
		block := e.codec.block(b, enc)
		block.Data = append([]byte(nil), block.Data...)
		blocks = append(blocks, block)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return blocks
}

// testConfig is a configuration with an endpoint for each URL.
func testConfig(urls ...string) Config {
	var c Config
	c.SetToDefault()
	for _, u := range urls {
		var e Endpoint
		e.SetToDefault()
		e.URL = u
		c.Endpoints = append(c.Endpoints, e)
	}
	return c
}

// testEndpoint makes an endpoint whose blocks come in the shape everything.
func testEndpoint(t testing.TB, url string, change func(*Endpoint)) *endpoint {
	t.Helper()
	cfg := testConfig(url).Endpoints[0]
	cfg.SendNativeHistograms = true
	if change != nil {
		change(&cfg)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	m := newMetrics(prometheus.NewRegistry())
	own, err := shapeOf(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	e, err := newEndpoint(&cfg, make(map[string]string), own, everything(), newCodec(), m, component.Options{}.WithDefaults())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.client.Close)
	return e
}

// metricValue reads a counter or a gauge.
func metricValue(t testing.TB, m prometheus.Metric) float64 {
	t.Helper()
	var out dto.Metric
	if err := m.Write(&out); err != nil {
		t.Fatal(err)
	}
	if out.Counter != nil {
		return out.Counter.GetValue()
	}
	return out.Gauge.GetValue()
}
