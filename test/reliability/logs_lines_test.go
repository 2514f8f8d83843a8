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

const lineLimit = 256 << 10 // of loki.source.docker by default

// Lines of all sizes arrive as they were written, from a terminal and from
// pipes; those over the limit are cut, marked and counted.
func linesOfAllSizes(t *testing.T, e *harness.Engine) {
	r := newLogRig(t, e, "L15")
	r.Collector.Start(t)
	before := r.Collector.RSS(t)
	const lines = 22
	args := []string{fmt.Sprintf("-lines=%d", lines), "-exact", "-interval=20ms", "-stay",
		"-sizes=1,15900,16383,16384,16385,102400,262143,262144,262145,307200,2097152"}
	pipes := r.run(t, "pipes", harness.Container{}, append(args, "-streams=stdout,stderr")...)
	tty := r.run(t, "tty", harness.Container{TTY: true}, args...)
	peak := int64(0)
	done := func() bool { return r.Oracle.Count(t, pipes) >= 2*lines && r.Oracle.Count(t, tty) >= lines }
	harness.Eventually(t, 60*time.Second, func() error {
		peak = max(peak, r.Collector.RSS(t))
		if !done() {
			return fmt.Errorf("%d and %d lines have come", r.Oracle.Count(t, pipes), r.Oracle.Count(t, tty))
		}
		return nil
	})
	cut := checkSizes(t, r, pipes, "stdout") + checkSizes(t, r, pipes, "stderr") + checkSizes(t, r, tty, "stdout")
	if got := int(r.Collector.Metric(t, "collector_log_lines_cut_total")); got != cut || cut != 3*3*2 {
		t.Errorf("%d lines are counted as cut, %d were, want %d", got, cut, 3*3*2)
	}
	t.Logf("memory: %d KiB at rest, at most %d KiB", before>>10, peak>>10)
	if peak-before > 16<<20 {
		t.Errorf("memory grew by %d KiB", (peak-before)>>10)
	}
	r.finish(t)
}

// checkSizes compares a stream with the Engine's log and returns how many lines
// were cut.
func checkSizes(t *testing.T, r *logRig, id, stream string) (cut int) {
	t.Helper()
	var want []harness.EngineLine
	for _, l := range r.Engine.Output(t, id) {
		if l.Stream == stream {
			want = append(want, l)
		}
	}
	got := r.Oracle.Pushed(t, id, stream)
	if len(got) != len(want) {
		t.Fatalf("%s of %.12s: %d lines were pushed, %d were written", stream, id, len(got), len(want))
	}
	for i, w := range want {
		w.Text = strings.TrimSuffix(w.Text, "\r")
		g := got[i]
		if len(w.Text) <= lineLimit {
			if g.Text != w.Text || !g.Time.Equal(w.Time) {
				t.Errorf("line %d of %d bytes came as %d bytes, %.60q", i, len(w.Text), len(g.Text), g.Text)
			}
			continue
		}
		cut++
		mark := fmt.Sprintf("… [cut by collector: %d bytes]", len(w.Text))
		kept, marked := strings.CutSuffix(g.Text, mark)
		if !marked || !strings.HasPrefix(w.Text, kept) || len(g.Text) > lineLimit || len(g.Text) < lineLimit-8 {
			t.Errorf("line %d of %d bytes came as %d bytes that end in %q", i, len(w.Text), len(g.Text), g.Text[max(0, len(g.Text)-60):])
		}
	}
	return cut
}

// What a terminal adds is removed.
func terminal(t *testing.T, e *harness.Engine) {
	r := newLogRig(t, e, "L16")
	r.Collector.Start(t)
	id := r.run(t, "app", harness.Container{TTY: true}, "-lines=200", "-rerun=100", "-interval=5ms", "-stay")
	compare := func(n int) {
		t.Helper()
		r.Oracle.AwaitCount(t, 20*time.Second, id, n)
		want := r.Engine.Output(t, id)
		for i := range want {
			text, ok := strings.CutSuffix(want[i].Text, "\r")
			if !ok {
				t.Fatalf("the Engine's line %q has no carriage return: this is no terminal", want[i].Text)
			}
			want[i].Text = text
		}
		if err := r.Oracle.Compare(t, id, want); err != nil {
			t.Fatal(err)
		}
	}
	r.Oracle.AwaitCount(t, 20*time.Second, id, 20)
	r.Proxy.Cut()
	compare(200)
	r.stop(t, id)
	r.start(t, id)
	compare(300)
	if n := r.Collector.Metric(t, "loki_source_docker_target_parsing_errors_total"); n > 0 {
		t.Errorf("%v parsing errors", n)
	}
	r.finish(t)
}

// A line end of two bytes is no part of the line, whatever driver keeps the log
// and wherever it cuts a line into pieces.
func carriageReturns(t *testing.T, e *harness.Engine) {
	r := newLogRig(t, e, "CRLF")
	r.Collector.Start(t)
	sizes := []int{0, 40, 16382, 16383, 16384, 32767}
	const lines = 60
	for _, driver := range []string{"json-file", "local"} {
		id := r.run(t, driver, harness.Container{LogDriver: driver}, fmt.Sprintf("-lines=%d", lines), "-exact", "-crlf",
			"-sizes=0,40,16382,16383,16384,32767", "-streams=stdout,stderr", "-stay")
		r.Oracle.AwaitCount(t, 20*time.Second, id, 2*lines*(len(sizes)-1)/len(sizes))
		for _, stream := range []string{"stdout", "stderr"} {
			seq := 0
			for _, got := range r.Oracle.Pushed(t, id, stream) {
				if seq++; seq%len(sizes) == 0 { // an empty line
					seq++
				}
				size := sizes[seq%len(sizes)]
				if want := workload.Line(stream, seq, size)[:size]; got.Text != want {
					t.Fatalf("%s: line %d of %s has %d bytes that end in %q, want %d", driver, seq, stream, len(got.Text), got.Text[max(0, len(got.Text)-20):], size)
				}
			}
		}
	}
	harness.Eventually(t, 10*time.Second, func() error {
		if got := r.Collector.Metric(t, "collector_log_lines_empty_total"); got != 2*2*lines/float64(len(sizes)) {
			return fmt.Errorf("%v empty lines were counted", got)
		}
		return nil
	})
	r.finish(t)
}

// Empty lines are counted, make no entry, and are no error. NUL bytes are bytes
// like others.
func emptyLines(t *testing.T, e *harness.Engine) {
	r := newLogRig(t, e, "L17")
	r.Collector.Start(t)
	pipes := r.run(t, "pipes", harness.Container{}, "-lines=1000", "-exact", "-sizes=0,40,0,0,40", "-streams=stdout,stderr", "-stay")
	tty := r.run(t, "tty", harness.Container{TTY: true}, "-lines=100", "-exact", "-sizes=0,40", "-stay")
	nul := r.run(t, "nul", harness.Container{}, "-lines=200", "-nul", "-sizes=60,20000", "-streams=stdout,stderr", "-stay")
	r.await(t, 20*time.Second, pipes, 2*400)
	r.await(t, 20*time.Second, nul, 2*200)
	for _, line := range r.Oracle.Pushed(t, nul, "stdout") {
		if !strings.Contains(line.Text, "\x00") {
			t.Errorf("entry %q lost its NUL bytes", line.Text[:min(len(line.Text), 60)])
		}
	}
	r.Oracle.AwaitCount(t, 20*time.Second, tty, 50)
	for _, line := range r.Oracle.Pushed(t, tty, "stdout") {
		if !strings.HasPrefix(line.Text, "seq=") {
			t.Errorf("entry %q", line.Text)
		}
	}
	harness.Eventually(t, 10*time.Second, func() error {
		if got := r.Collector.Metric(t, "collector_log_lines_empty_total"); got != 2*600+50 {
			return fmt.Errorf("%v empty lines were counted, want %d", got, 2*600+50)
		}
		return nil
	})
	if n := r.Collector.Metric(t, "loki_source_docker_target_parsing_errors_total"); n > 0 {
		t.Errorf("%v parsing errors", n)
	}
	if said := append(r.complaints("error"), r.complaints("warn")...); len(said) > 0 {
		t.Errorf("the collector complains: %q", said)
	}
	r.finish(t)
}
