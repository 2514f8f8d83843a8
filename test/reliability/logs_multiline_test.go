//go:build integration

package reliability

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"collector/test/harness"
	"collector/test/workload"
)

// multilineConfig joins the lines of stack traces.
func (r *logRig) multilineConfig(maxWait string) string {
	config := strings.Replace(r.config(""), "loki.write.all.receiver", "loki.process.all.receiver", 1)
	return config + fmt.Sprintf(`
loki.process "all" {
	forward_to = [loki.write.all.receiver]

	stage.multiline {
		firstline     = %q
		max_wait_time = %q
	}
}
`, workload.TraceFirstLine, maxWait)
}

// Traces of 40 lines on stderr, with lines on stdout between theirs, become one
// entry each, also when the collector is killed in the middle; the last one when
// nothing more comes, at the end of the collector, or after a kill.
func TestL19_TracesBecomeOneEntry(t *testing.T) {
	t.Parallel()
	r := newLogRig(t, harness.StartEngine(t), "L19")
	// Longer than a start and a first read here.
	r.Collector.Configure(t, r.multilineConfig("30s"))
	r.Collector.Start(t)
	traces, kills := 120, 4
	if harness.Soaking() {
		traces, kills = 6000, 120
	}
	noise := traces * 40
	id := r.run(t, "app", harness.Container{}, fmt.Sprintf("-traces=%d", traces), "-trace-interval=2ms",
		fmt.Sprintf("-lines=%d", noise), "-interval=2ms", "-stay")
	for kill := range kills {
		harness.Eventually(t, time.Minute, func() error {
			if n := len(distinctEntries(r.Oracle.Pushed(t, id, "stderr"))); n < (kill+1)*traces/(kills+2) {
				return fmt.Errorf("%d traces have come", n)
			}
			return nil
		})
		r.Collector.Kill()
		r.Collector.Start(t)
	}
	harness.Eventually(t, catchUp, func() error { return r.checkTraces(t, id, traces) })
	harness.Eventually(t, time.Minute, func() error {
		if n := len(distinctEntries(r.Oracle.Pushed(t, id, "stdout"))); n != noise {
			return fmt.Errorf("%d of %d lines between traces have come", n, noise)
		}
		return nil
	})
	last := r.Oracle.Pushed(t, id, "stderr")
	t.Logf("%d traces, %d lines between theirs, %d kills: %d and %d repeated identically", traces, noise, kills,
		len(last)-traces, len(r.Oracle.Pushed(t, id, "stdout"))-noise)

	t.Log("shutdown")
	r.Collector.Configure(t, r.multilineConfig("1h"))
	if status, body := r.Collector.Reload(t); status != 200 {
		t.Fatalf("reload: %d %s", status, body)
	}
	stopped := r.holdTrace(t, "stopped")
	r.Collector.Stop(t)
	if err := r.checkTraces(t, stopped, 1); err != nil {
		t.Errorf("at the end of the collector: %v", err)
	}

	t.Log("kill with a trace held back")
	r.Collector.Start(t)
	killed := r.holdTrace(t, "killed")
	r.Collector.Kill()
	r.Collector.Configure(t, r.multilineConfig("3s"))
	r.Collector.Start(t)
	harness.Eventually(t, 30*time.Second, func() error { return r.checkTraces(t, killed, 1) })
	if n := r.Collector.Metric(t, "collector_process_held_lines"); n > 0 {
		t.Errorf("%v lines are held still", n)
	}
	r.Collector.Stop(t)
	for _, id := range []string{id, stopped, killed} { // a repetition may be late
		n := 1
		if id != stopped && id != killed {
			n = traces
		}
		if err := r.checkTraces(t, id, n); err != nil {
			t.Error(err)
		}
	}
}

// holdTrace runs a container that writes one trace, and waits until the
// collector holds all of it.
func (r *logRig) holdTrace(t *testing.T, name string) (id string) {
	t.Helper()
	id = r.run(t, name, harness.Container{}, "-traces=1", "-stay")
	harness.Eventually(t, 30*time.Second, func() error {
		if n := r.Collector.Metric(t, "collector_process_held_lines"); n != 40 {
			return fmt.Errorf("%v lines are held", n)
		}
		return nil
	})
	if n := len(r.Oracle.Pushed(t, id, "stderr")); n != 0 {
		t.Fatalf("%d entries of the trace have come already", n)
	}
	return id
}

// checkTraces is nil when n traces of a container have come, whole, in order,
// and with the time of their first line. What is repeated has to be identical.
func (r *logRig) checkTraces(t *testing.T, id string, n int) error {
	t.Helper()
	// In this order, as what has been pushed is in the Engine's log by then.
	got := distinctEntries(r.Oracle.Pushed(t, id, "stderr"))
	var first []harness.EngineLine
	for _, line := range r.Engine.Output(t, id) {
		if line.Stream == "stderr" && strings.Contains(line.Text, "trace=") {
			first = append(first, line)
		}
	}
	for i, entry := range got {
		if i >= n || entry.Text != workload.Trace(i+1) {
			t.Fatalf("entry %d of %.12s: %d lines, %.200q", i+1, id, 1+strings.Count(entry.Text, "\n"), entry.Text)
		}
		if d := entry.Time.Sub(first[i].Time); d < 0 || d > time.Millisecond {
			t.Fatalf("trace %d of %.12s has the time %s, its first line %s", i+1, id, entry.Time, first[i].Time)
		}
	}
	if len(got) < n {
		return fmt.Errorf("%.12s: %d of %d traces have come", id, len(got), n)
	}
	return nil
}

// distinctEntries omits what is repeated identically.
func distinctEntries(lines []harness.PushedLine) []harness.PushedLine {
	type key struct {
		at   int64
		text string
	}
	seen := make(map[key]bool)
	var out []harness.PushedLine
	for _, l := range lines {
		if k := (key{l.Time.UnixNano(), l.Text}); !seen[k] {
			seen[k] = true
			out = append(out, l)
		}
	}
	return out
}
