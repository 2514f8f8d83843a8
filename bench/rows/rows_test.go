package rows

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"collector-bench/contender"
	"collector-bench/generate"
	"collector-bench/receive"
)

func names(t *testing.T, o Options) []string {
	t.Helper()
	rows, err := list(o)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, r := range rows {
		out = append(out, strings.Trim(r.kind+" "+r.compression, " "))
	}
	return out
}

func TestOnlyRequestedRowsAreMeasured(t *testing.T) {
	for _, c := range []struct {
		options Options
		want    []string
	}{
		{Options{}, []string{"scrape snappy", "scrape zstd", "otlp none", "otlp gzip", "logs", "profiles", "idle", "host", "containers", "engine"}},
		{Options{Rows: []string{"idle", "otlp"}}, []string{"otlp none", "otlp gzip", "idle"}},
		{Options{Rows: []string{"scrape", "otlp"}, Compressions: []string{"zstd", "none"}}, []string{"scrape zstd", "otlp none"}},
	} {
		if diff := cmp.Diff(c.want, names(t, c.options)); diff != "" {
			t.Errorf("%+v: %s", c.options, diff)
		}
	}
	for _, o := range []Options{{Rows: []string{"scrapes"}}, {Rows: []string{"scrape"}, Compressions: []string{"gzip"}}} {
		if rows, err := list(o); err == nil {
			t.Errorf("%+v: %v and no error", o, rows)
		}
	}
}

func TestRateAndDurationAreAsRequested(t *testing.T) {
	rows, err := list(Options{Rows: []string{"otlp", "logs", "idle"}, Compressions: []string{"none"}, Rate: 500, Duration: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		rate, duration := 500.0, time.Second
		if r.kind == contender.Idle { // stays as it is
			rate, duration = 1, idleDuration
		}
		if r.rate != rate || r.duration != duration {
			t.Errorf("%s: %v a second for %v", r.name, r.rate, r.duration)
		}
	}
}

func TestOnlyRequestedProgramsAreMeasured(t *testing.T) {
	got, err := contenders(Options{Who: []string{"vmagent", "collector"}})
	if err != nil || len(got) != 2 || got[0].Name != "collector" || got[1].Name != "vmagent" {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := contenders(Options{Who: []string{"alloy"}}); err == nil {
		t.Errorf("%v and no error", got)
	}
}

func TestWhatIsMissingRepeatedOrDamagedIsAProblem(t *testing.T) {
	made := generate.Total{Items: 1000, Sum: 5}
	for _, c := range []struct {
		made    generate.Total
		arrived receive.Tally
		want    string
	}{
		{made, receive.Tally{Items: 1000, Sum: 5, Others: 7}, ""},
		{made, receive.Tally{Items: 990, Sum: 5}, "10 of 1000 lost"},
		{made, receive.Tally{Items: 1001, Sum: 5}, "1 of 1000 repeated"},
		{made, receive.Tally{Items: 1000, Sum: 6}, "some are lost and others repeated"},
		{made, receive.Tally{Items: 1000, Sum: 5, Bad: 1, Requests: 3}, "1 of 3 requests could not be read"},
		{generate.Total{}, receive.Tally{}, "nothing to do"},
		{generate.Total{Items: 1000, Sum: 5, Behind: 100}, receive.Tally{Items: 1000, Sum: 5}, "the rate was not kept"},
		{generate.Total{Items: 1000, Sum: 5, Behind: 20}, receive.Tally{Items: 1000, Sum: 5}, ""},
	} {
		if got, note := judge(c.made, c.arrived, 100); note != "" || !strings.Contains(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%+v, %+v: %q, want %q", c.made, c.arrived, got, c.want)
		}
	}
}

// TestAPageThatWasNotScrapedIsNoLoss: if the program says so, and only that many.
func TestAPageThatWasNotScrapedIsNoLoss(t *testing.T) {
	made := generate.Total{Items: 1000, Sum: 55}
	for _, c := range []struct {
		arrived       receive.Tally
		problem, note string
	}{
		{receive.Tally{Items: 800, Sum: 40, Failed: 2}, "", "2 of 10 scrapes timed out"},
		{receive.Tally{Items: 1000, Sum: 55, Failed: 1}, "", "1 of 11 scrapes timed out"}, // the page was not even written
		{receive.Tally{Items: 799, Sum: 40, Failed: 2}, "201 of 1000 lost", "2 of 9 scrapes timed out"},
	} {
		if problem, note := judge(made, c.arrived, 100); problem != c.problem || note != c.note {
			t.Errorf("%+v: %q and %q, want %q and %q", c.arrived, problem, note, c.problem, c.note)
		}
	}
}

func TestMissingMetricsOfAPageAreNamed(t *testing.T) {
	host := "# TYPE\nnode_memory_MemTotal_bytes 1\nnode_cpu_seconds_total{cpu=\"0\"} 1\n"
	var containers strings.Builder
	containers.WriteString("# TYPE\n")
	for n := range idle {
		fmt.Fprintf(&containers, "container_cpu_usage_seconds_total{name=\"bench-%d\"} 1\n", n)
	}
	whole := containers.String()
	for _, c := range []struct{ kind, text, want string }{
		{contender.Host, host, ""},
		{contender.Host, strings.Replace(host, "MemTotal", "MemFree", 1), "metrics of the host"},
		{contender.Containers, whole, ""},
		{contender.Engine, strings.Replace(whole, `"bench-19"`, `"x"`, 1), "container bench-19"},
	} {
		if got := missing(c.kind, c.text); c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", c.kind, got, c.want)
		}
	}
}
