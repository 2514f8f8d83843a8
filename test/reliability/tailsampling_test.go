//go:build integration

package reliability

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"collector/test/harness"
)

const tailSamplingConfig = `otelcol.receiver.otlp "in" {
	grpc { endpoint = "127.0.0.1:{{.Port}}" }
	output { traces = [otelcol.processor.tail_sampling.t.input] }
}
otelcol.processor.tail_sampling "t" {
	decision_wait = "1s"
	policy {
		name = "even"
		type = "ottl_condition"
		ottl_condition {
			error_mode = "propagate"
			span       = [` + "`IsMatch(name, \"[02468]$\")`" + `]
		}
	}
	output { traces = [otelcol.exporter.otlp.out.input] }
}
otelcol.exporter.otlp "out" {
	client {
		endpoint = "{{.Out}}"
		tls { insecure = true }
	}
}
`

// The collector is killed while traces wait for their decision, are decided on and are
// forwarded, and while the destination is down: each acknowledged trace that the policy chooses
// arrives, and no other.
func TestAKillLosesNoTraceThatWaitsForItsDecision(t *testing.T) {
	t.Parallel()
	kills := 6
	if harness.Soaking() {
		kills = 100
	}
	server, port := harness.StartOTLPServer(t), harness.FreePort(t)
	proxy := harness.StartProxy(t, server.Address)
	c := harness.NewCollector(t, fillTemplate(t, tailSamplingConfig, map[string]any{"Port": port, "Out": proxy.Address}))
	c.Start(t)
	const senders = 4
	var all []*harness.Sender
	for i := range senders {
		send := harness.SpanSender(t, fmt.Sprintf("127.0.0.1:%d", port))
		all = append(all, harness.StartSender(t, 2*time.Millisecond, func(seq int) error { return send(seq*senders + i) }))
	}
	acked := func() (n int) {
		for _, s := range all {
			n += s.Acked()
		}
		return n
	}
	more := func(n int) {
		before := acked()
		harness.Eventually(t, time.Minute, func() error {
			if n := acked() - before - n; n < 0 {
				return fmt.Errorf("%d traces are missing", -n)
			}
			return nil
		})
	}
	for i := range kills {
		more(100 + rand.IntN(400))
		if i%3 == 2 {
			proxy.Set(t, harness.Refuse)
			more(100)
		}
		c.Kill()
		c.Start(t)
		proxy.Set(t, harness.None)
	}
	more(100)
	var acknowledged []int
	for i, s := range all {
		for _, seq := range s.Stop() {
			acknowledged = append(acknowledged, seq*senders+i)
		}
	}
	harness.Eventually(t, catchUp, func() error {
		if n := c.Metric(t, "otelcol_processor_tail_sampling_waiting_spans"); n > 0 {
			return fmt.Errorf("%v spans wait", n)
		}
		return c.Drained(t)
	})
	arrived, missing, repeated := server.SpanNumbers(), 0, 0
	for _, n := range acknowledged {
		if n%2 == 0 && arrived[n] == 0 {
			missing++
		}
	}
	for n, times := range arrived {
		if n%2 != 0 {
			t.Errorf("trace %d should not have been sampled", n)
		}
		repeated += times - 1
	}
	t.Logf("%d kills; %d traces acknowledged, %d arrived, %d repetitions", kills, len(acknowledged), len(arrived), repeated)
	if missing > 0 {
		t.Errorf("%d of %d traces are lost", missing, len(acknowledged))
	}
}
