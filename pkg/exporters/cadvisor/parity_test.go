//go:build integration

package cadvisor

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"collector/test/harness"
)

// reading is what cAdvisor itself says: values by series, without empty labels.
type reading struct {
	values  series
	kinds   map[string]dto.MetricType
	written time.Time // the oldest time of a sample
}

func readPeer(url string, of func(key string) bool) (reading, error) {
	response, err := http.Get(url)
	if err != nil {
		return reading{}, err
	}
	defer response.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(response.Body)
	if err != nil {
		return reading{}, err
	}
	out := reading{values: series{}, kinds: map[string]dto.MetricType{}, written: time.Now()}
	for name, f := range families {
		for _, m := range f.Metric {
			m.Label = slices.DeleteFunc(m.Label, func(l *dto.LabelPair) bool { return l.GetValue() == "" })
			key := name + labelText(m.Label, true)
			if !of(key) {
				continue
			}
			out.values[key] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
			out.kinds[key] = f.GetType()
			if at := time.UnixMilli(m.GetTimestampMs()); m.GetTimestampMs() > 0 && at.Before(out.written) {
				out.written = at
			}
		}
	}
	return out, nil
}

// otherThanPeer is why the value of a series is another one on purpose; empty if it is not.
func otherThanPeer(key string) string {
	name, labels, _ := strings.Cut(key, "{")
	switch {
	case name == "container_tasks_state":
		return "cAdvisor says 0 for all"
	case name == "container_oom_events_total":
		return "cAdvisor counts what the kernel logs while it runs"
	case strings.HasPrefix(name, "container_fs_") && strings.Contains(name, "_seconds_"):
		return "cAdvisor divides milliseconds by a billion"
	case name == "container_memory_failures_total" && strings.Contains(labels, "scope=hierarchy"):
		return "cAdvisor says of the cgroups below what it says of the cgroup alone"
	case name == "container_start_time_seconds" && !strings.Contains(labels, "image="):
		return "cAdvisor gives no earlier time than the minute of the boot"
	}
	return ""
}

// onlyOne are the series that one of the two alone has, with the reason.
func onlyOne(key string) (reason string) {
	name, labels, _ := strings.Cut(key, "{")
	switch {
	case strings.Contains(labels, "device=overlay"), strings.Contains(labels, "/containers/"), strings.Contains(labels, "device=shm"):
		return "file systems of containers come and go with them"
	case strings.Contains(labels, "device=/dev/loop"), strings.HasPrefix(name, "container_fs_") && !strings.Contains(labels, "image="):
		return "file systems of the machine are mounted and unmounted in between"
	case name == "container_fs_usage_bytes", name == "container_fs_inodes_total", name == "container_fs_inodes_free":
		return "measured once a minute by both"
	}
	return ""
}

// Series by series against the real cAdvisor, on the same Engine: a value is between what
// cAdvisor says before and after.
func TestSeriesAreTheSameAsWithCAdvisor(t *testing.T) {
	engine := harness.StartEngine(t)
	id, url := server(t, engine)
	address := harness.Address(harness.FreePort(t))
	harness.Start(t, "cadvisor", nil, harness.Tool(t, "cadvisor"), address, engine.Host)
	c := make1(t, Config{}.at(engine.Host), findPlaces())
	ofContainer := func(key string) bool { return strings.Contains(key, id) && strings.Contains(key, "image=") }
	of := func(key string) bool {
		return ofContainer(key) || strings.Contains(key, "id=/,") || strings.Contains(key, "id=/}")
	}
	read := func(since time.Time) (out reading) {
		harness.Eventually(t, time.Minute, func() (err error) {
			if out, err = readPeer("http://"+address+"/metrics", of); err != nil {
				return err
			}
			for key := range out.values {
				if ofContainer(key) && strings.HasPrefix(key, "container_memory_rss{") && out.written.After(since) {
					return nil
				}
			}
			return fmt.Errorf("cAdvisor does not know the container, or what it says is of %v", out.written)
		})
		return out
	}
	for range 50 {
		if _, err := fetch(url); err != nil {
			t.Fatal(err)
		}
	}
	before := read(time.Now())
	families, err := c.gather()
	if err != nil {
		t.Fatal(err)
	}
	after := read(time.Now())
	compared := compare(t, before, after, families, of)
	t.Logf("%d series compared", compared)
	if compared < 60 {
		t.Errorf("only %d series were compared", compared)
	}
}

func compare(t *testing.T, before, after reading, families []*dto.MetricFamily, of func(string) bool) (compared int) {
	t.Helper()
	ours, kinds := series{}, map[string]dto.MetricType{}
	for _, f := range families {
		for _, m := range f.Metric {
			if key := f.GetName() + labelText(m.Label, true); of(key) {
				ours[key] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
				kinds[key] = f.GetType()
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(after.values)) {
		name, _, _ := strings.Cut(key, "{")
		value, has := ours[key]
		_, lasting := before.values[key]
		switch {
		case !has && lasting && onlyOne(key) == "":
			t.Errorf("cAdvisor alone has %s = %v", key, after.values[key])
		case !has || !lasting || otherThanPeer(key) != "":
		case kinds[key] != after.kinds[key]:
			t.Errorf("%s is a %v, with cAdvisor a %v", key, kinds[key], after.kinds[key])
		default:
			compared++
			low, high := min(before.values[key], after.values[key]), max(before.values[key], after.values[key])
			if slack := slackOf(name, high); value < low-slack || value > high+slack {
				t.Errorf("%s is %v; cAdvisor says %v before and %v after", key, value, before.values[key], after.values[key])
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(ours)) {
		if _, has := after.values[key]; !has && onlyOne(key) == "" {
			t.Errorf("cAdvisor does not have %s", key)
		}
	}
	return compared
}

// slackOf is how far a gauge may go up and down between two readings; counters don't.
func slackOf(name string, high float64) float64 {
	switch {
	case strings.HasPrefix(name, "container_spec_"), strings.HasSuffix(name, "_total"):
		return 0
	case name == "container_fs_io_current":
		return 100
	}
	return math.Max(1<<20, high/5)
}
