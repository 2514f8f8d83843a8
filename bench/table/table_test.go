package table

import (
	"strings"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		want float64
		of   []float64
	}{{0, nil}, {4, []float64{4}}, {3, []float64{4, 2}}, {2, []float64{9, 2, 1}}, {2.5, []float64{9, 1, 2, 3}}} {
		if got := Median(c.of); got != c.want {
			t.Errorf("median of %v is %v, want %v", c.of, got, c.want)
		}
	}
}

func TestMedianDoesNotChangeItsArgument(t *testing.T) {
	values := []float64{3, 1, 2}
	if Median(values); values[0] != 3 || values[1] != 1 || values[2] != 2 {
		t.Errorf("%v", values)
	}
}

func TestFiguresHaveThreeDigits(t *testing.T) {
	for want, v := range map[string]float64{"0.012": 0.0123, "1.23": 1.234, "12.3": 12.34, "123": 123.4, "1235": 1234.6} {
		if got := figure(v); got != want {
			t.Errorf("%v is shown as %s, want %s", v, got, want)
		}
	}
	for want, v := range map[string]float64{"12.0 ms": 0.012, "1.50 s": 1.5} {
		if got := shortDuration(v); got != want {
			t.Errorf("%v s are shown as %s, want %s", v, got, want)
		}
	}
}

func measured(who string, cpu time.Duration, problem string) Measurement {
	return Measurement{Row: "scrape", Who: who, Items: 1000, Elapsed: 10 * time.Second, CPU: cpu, RSS: 10 << 20, Wire: 9000, Problem: problem}
}

func printed(all ...Measurement) map[string][]string {
	var text strings.Builder
	Print(&text, all, "mine")
	out := make(map[string][]string)
	for line := range strings.Lines(text.String()) {
		var cells []string
		for cell := range strings.SplitSeq(strings.Trim(strings.TrimSpace(line), "|"), "|") {
			cells = append(cells, strings.TrimSpace(cell))
		}
		out[cells[1]] = cells
	}
	return out
}

// TestRatiosAreOfTheSameRun: the peer is slow whenever the subject is, so that
// ratios of medians would say 1 where each run says 2.
func TestRatiosAreOfTheSameRun(t *testing.T) {
	ms := time.Millisecond
	got := printed(measured("mine", 2*ms, ""), measured("peer", 1*ms, ""), measured("mine", 8*ms, ""), measured("peer", 4*ms, ""), measured("mine", 40*ms, ""), measured("peer", 20*ms, ""))
	if cell := got["mine"][2]; cell != "8.00" {
		t.Errorf("mine is %q a sample, want 8.00 µs", cell)
	}
	if cell := got["mine / peer"][2]; cell != "×2.00" {
		t.Errorf("ratio is %q, want ×2.00", cell)
	}
	if line := got["mine / peer"]; line[8] != "×1.00" || line[len(line)-1] != "" {
		t.Errorf("line is %q", line)
	}
}

func TestWhatIsLostIsNotReportedAsFast(t *testing.T) {
	got := printed(measured("mine", time.Millisecond, ""), measured("peer", time.Second, ""), measured("mine", time.Millisecond, "5 of 1000 lost"), measured("peer", time.Second, ""))
	if line := got["mine"]; line[len(line)-1] != "NO: 5 of 1000 lost" {
		t.Errorf("line is %q", line)
	}
	if line := got["peer"]; line[len(line)-1] != "yes" {
		t.Errorf("line is %q", line)
	}
	if line := got["mine / peer"]; line[len(line)-1] != "not comparable" {
		t.Errorf("line is %q", line)
	}
}

func TestNotesAreNoProblem(t *testing.T) {
	noted := measured("mine", time.Millisecond, "")
	noted.Note = "2 of 10 scrapes timed out"
	got := printed(noted, measured("peer", time.Millisecond, ""), measured("mine", time.Millisecond, ""))
	if line := got["mine"]; line[len(line)-1] != "yes; 2 of 10 scrapes timed out" {
		t.Errorf("line is %q", line)
	}
	if line := got["mine / peer"]; line[len(line)-1] != "" {
		t.Errorf("line is %q", line)
	}
}

func TestWhatWasNotMeasuredIsEmpty(t *testing.T) {
	got := printed(measured("mine", time.Millisecond, ""))
	if line := got["mine"]; line[9] != "" || line[11] != "" {
		t.Errorf("p99 and dockerd are %q and %q", line[9], line[11])
	}
}
