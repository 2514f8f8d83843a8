//go:build integration

package reliability

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"collector/test/harness"
)

const chainConfig = `otelcol.receiver.otlp "in" {
	grpc { endpoint = "127.0.0.1:{{.Port}}" }
	output { traces = [otelcol.processor.memory_limiter.m.input] }
}
otelcol.processor.memory_limiter "m" {
	check_interval = "100ms"
	limit          = "1GiB"
	output { traces = [otelcol.processor.batch.b.input] }
}
otelcol.processor.batch "b" {
	timeout         = "50ms"
	send_batch_size = 20
	output { traces = [otelcol.processor.filter.f.input, otelcol.connector.spanmetrics.s.input] }
}
otelcol.connector.spanmetrics "s" {
	metrics_flush_interval = "1s"
	histogram { explicit { } }
	output { metrics = [otelcol.exporter.otlp.metrics.input] }
}
otelcol.exporter.otlp "metrics" {
	client {
		endpoint = "{{.Out}}"
		tls { insecure = true }
	}
}
otelcol.processor.filter "f" {
	traces { span = [` + "`IsMatch(name, \"1$\")`" + `] }
	output { traces = [otelcol.processor.probabilistic_sampler.p.input] }
}
otelcol.processor.probabilistic_sampler "p" {
	sampling_percentage = {{.Percentage}}
	output { traces = [otelcol.exporter.loadbalancing.lb.input] }
}
otelcol.exporter.loadbalancing "lb" {
	resolver { static { hostnames = ["{{.First}}", "{{.Second}}"] } }
	protocol {
		otlp {
			client { tls { insecure = true } }
			retry {
				initial_interval = "100ms"
				max_interval     = "500ms"
			}
		}
	}
}
`

// Through a row of processors, all acknowledged spans arrive but for those that the filter
// drops, whether the destinations are down or the collector is killed. Then, with a
// sampler, each span has arrived or is counted as dropped.
func TestAChainOfProcessorsLosesNothingAndCountsWhatItDrops(t *testing.T) {
	t.Parallel()
	first, second, port := harness.StartOTLPServer(t), harness.StartOTLPServer(t), harness.FreePort(t)
	proxies := []*harness.Proxy{harness.StartProxy(t, first.Address), harness.StartProxy(t, second.Address)}
	config := func(percentage int) string {
		return fillTemplate(t, chainConfig, map[string]any{
			"Port": port, "Percentage": percentage, "Out": first.Address, "First": proxies[0].Address, "Second": proxies[1].Address,
		})
	}
	kills := 4
	if harness.Soaking() {
		kills = 60
	}
	c := harness.NewCollector(t, config(100))
	c.Start(t)
	sender := harness.StartSender(t, time.Millisecond, harness.SpanSender(t, fmt.Sprintf("127.0.0.1:%d", port)))
	more := func(n int) {
		before := sender.Acked()
		harness.Eventually(t, time.Minute, func() error {
			if now := sender.Acked(); now < before+n {
				return fmt.Errorf("%d of %d spans", now-before, n)
			}
			return nil
		})
	}
	for i := range kills {
		proxies[i%2].Set(t, harness.Refuse)
		more(200)
		c.Kill()
		c.Start(t)
		more(50)
		proxies[i%2].Set(t, harness.None)
	}
	acknowledged := sender.Stop()
	harness.Eventually(t, catchUp, func() error { return c.Drained(t) })
	arrived := first.SpanNumbers()
	for n, times := range second.SpanNumbers() {
		arrived[n] += times
	}
	lost := 0
	for _, n := range acknowledged {
		filtered := strings.HasSuffix(fmt.Sprint(n), "1")
		if filtered != (arrived[n] == 0) {
			lost++
		}
	}
	if lost > 0 {
		t.Errorf("%d of %d spans are lost, or should not have arrived", lost, len(acknowledged))
	}
	t.Logf("%d kills, %d spans acknowledged, %d arrived", kills, len(acknowledged), len(arrived))
	c.Kill()
	c.Configure(t, config(40))
	c.Start(t)
	accountOfDrops(t, c, port)
}

// accountOfDrops sends spans to a collector that has just started, and checks that each is
// delivered or counted as dropped.
func accountOfDrops(t *testing.T, c *harness.Collector, port int) {
	t.Helper()
	send := harness.SpanSender(t, fmt.Sprintf("127.0.0.1:%d", port))
	const spans = 400
	for n := range spans {
		if err := send(1_000_000 + n); err != nil {
			t.Fatal(err)
		}
	}
	harness.Eventually(t, catchUp, func() error {
		accepted := c.Metric(t, "otelcol_receiver_accepted_spans_total")
		filtered := c.Metric(t, "otelcol_processor_dropped_items_total", "component_id", "otelcol.processor.filter.f")
		sampledOut := c.Metric(t, "otelcol_processor_dropped_items_total", "component_id", "otelcol.processor.probabilistic_sampler.p")
		delivered := c.Metric(t, "collector_delivered_items_total", "component_id", "otelcol.exporter.loadbalancing.lb", "signal", "traces")
		if accepted != spans || filtered != spans/10 || sampledOut == 0 || delivered == 0 || accepted != filtered+sampledOut+delivered {
			return fmt.Errorf("%v accepted, %v filtered, %v sampled out, %v delivered", accepted, filtered, sampledOut, delivered)
		}
		return nil
	})
}
