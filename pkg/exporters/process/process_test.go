package process

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ncabatoff/process-exporter/proc"
	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/exporters/exporter"
	"collector/pkg/exporters/exporter/exportertest"
)

const everything = "matcher {\n name = \"{{.Comm}}\"\n cmdline = [\".+\"]\n}\n"

// sleeper is a child that sleeps until the test is over, or until it is stopped.
func sleeper(t *testing.T) (pid int, stop func()) {
	t.Helper()
	cmd := exec.Command("sleep", "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop = func() { cmd.Process.Kill(); cmd.Wait() }
	t.Cleanup(stop)
	return cmd.Process.Pid, stop
}

// only is a folder like /proc with this process and pids.
func only(t *testing.T, pids ...int) string {
	t.Helper()
	dir := t.TempDir()
	links := []string{"stat", "self", "meminfo"}
	for _, pid := range append(pids, os.Getpid()) {
		links = append(links, fmt.Sprint(pid))
	}
	for _, name := range links {
		target := filepath.Join("/proc", name)
		if name == "self" {
			target = fmt.Sprintf("/proc/%d", os.Getpid())
		}
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return fmt.Sprintf("procfs_path = %q\n", dir)
}

// testdata/alloy.txt lists the metrics that Alloy 1.12 gave.
func TestTheMetricsMatchAlloys(t *testing.T) {
	e := exportertest.New(t, Definition(), everything)
	code, page := e.Page()
	if diff := cmp.Diff(exportertest.Alloys(t), page.Series(t)); diff != "" || code != 200 || e.Health() != nil {
		t.Errorf("%d %v (-Alloy's +ours) %s", code, e.Health(), diff)
	}
	if target := e.Targets()[0]; target["instance"] != exporter.Host() || target["job"] != "integrations/process" {
		t.Errorf("the target is %v", target)
	}
}

func TestArgumentsAreSeenOnThePage(t *testing.T) {
	pid, _ := sleeper(t)
	base := only(t, pid)
	self := fmt.Sprintf("matcher {\n comm = [%q]\n}\n", own(t))
	group := filepath.Base(os.Args[0])
	matcher := func(lines string) string { return base + "matcher {\n" + lines + "\n}\n" }
	for settings, want := range map[string]string{
		matcher(`comm = ["sleep"]`): `namedprocess_namegroup_num_procs{groupname="sleep"} 1`,
		matcher(`exe = ["sleep"]`):  `namedprocess_namegroup_num_procs{groupname="sleep"} 1`,
		matcher("cmdline = [\"^sleep (?P<time>\\\\d+)$\"]\n name = \"{{.Matches.time}}\""): `namedprocess_namegroup_num_procs{groupname="600"} 1`,
		base + self:                            fmt.Sprintf("namedprocess_namegroup_num_procs{groupname=%q} 2", group),
		base + self + "track_children = false": fmt.Sprintf("namedprocess_namegroup_num_procs{groupname=%q} 1", group),
	} {
		if code, page := exportertest.New(t, Definition(), settings).Page(); code != 200 || !page.Has(want) {
			t.Errorf("%s: %d, no %s in\n%s", settings, code, want, page)
		}
	}
	sleep := matcher(`comm = ["sleep"]`)
	for _, x := range []exportertest.Effect{
		{Settings: "gather_smaps = false", Without: `namedprocess_namegroup_memory_bytes{groupname="sleep",memtype="proportionalResident"} `},
	} {
		x.Check(t, Definition(), sleep)
	}
	// Only processes with several threads have series for each.
	exportertest.Effect{Settings: "track_threads = false", Without: `namedprocess_namegroup_thread_count{groupname="` + group + `"`}.Check(t, Definition(), base+self)
}

// own is the name of this process.
func own(t *testing.T) string {
	t.Helper()
	name, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(name))
}

// Linux cuts names after 15 bytes, also within a character.
func TestNamesThatAreNotTextAreShown(t *testing.T) {
	before := own(t)
	t.Cleanup(func() { os.WriteFile("/proc/self/comm", []byte(before), 0) })
	if err := os.WriteFile("/proc/self/comm", []byte("caf\xc3"), 0); err != nil {
		t.Fatal(err)
	}
	e := exportertest.New(t, Definition(), only(t)+everything)
	if code, page := e.Page(); code != 200 || !page.Has(`namedprocess_namegroup_num_procs{groupname="caf\\xc3"} 1`) || !page.Has(`namedprocess_namegroup_thread_count{groupname="caf\\xc3",threadname="caf\\xc3"} `) {
		t.Errorf("%d %s", code, page)
	}
}

func TestNamesThatAreNotTextStayDifferent(t *testing.T) {
	groups := proc.GroupByName{}
	for _, name := range []string{"caf\xc3", "caf\xc4", `caf\xc3`, "\xc3\\xc4", "\\xc3\xc4"} {
		groups[name] = proc.Group{Threads: []proc.Threads{{Name: "a\xff"}, {Name: `a\xff`}, {Name: "b"}}}
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collected(func(to chan<- prometheus.Metric) { (&Process{threads: true}).groups(metrics{to}, groups) }))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "namedprocess_namegroup_num_procs" && len(f.Metric) != 3 {
			t.Errorf("%v", f.Metric)
		}
	}
}

// collected is a collector that is one function.
type collected func(chan<- prometheus.Metric)

func (collected) Describe(chan<- *prometheus.Desc)      {}
func (c collected) Collect(to chan<- prometheus.Metric) { c(to) }

func TestGroupsWithoutProcessesStayUnlessTheyAreRemoved(t *testing.T) {
	for settings, want := range map[string]bool{"": true, "remove_empty_groups = true": false} {
		pid, stop := sleeper(t)
		e := exportertest.New(t, Definition(), only(t, pid)+"matcher {\n comm = [\"sleep\"]\n}\n"+settings)
		if _, page := e.Page(); !page.Has(`namedprocess_namegroup_num_procs{groupname="sleep"} 1`) {
			t.Errorf("%s", page)
		}
		stop()
		if _, page := e.Page(); page.Has(`namedprocess_namegroup_num_procs{groupname="sleep"} 0`) != want {
			t.Errorf("%q: %s", settings, page)
		}
	}
}

func TestNamesAreCheckedAgainIfConfigured(t *testing.T) {
	before := own(t)
	t.Cleanup(func() { os.WriteFile("/proc/self/comm", []byte(before), 0) })
	for settings, want := range map[string]bool{"": false, "recheck_on_scrape = true": true} {
		os.WriteFile("/proc/self/comm", []byte(before), 0)
		e := exportertest.New(t, Definition(), only(t)+"matcher {\n name = \"{{.Comm}}\"\n comm = [\"renamed\"]\n}\n"+settings)
		if _, page := e.Page(); page.Has(`namedprocess_namegroup_num_procs{groupname="renamed"}`) {
			t.Errorf("%s", page)
		}
		if err := os.WriteFile("/proc/self/comm", []byte("renamed"), 0); err != nil {
			t.Fatal(err)
		}
		if _, page := e.Page(); page.Has(`namedprocess_namegroup_num_procs{groupname="renamed"} 1`) != want {
			t.Errorf("%q: %s", settings, page)
		}
	}
}

// Processes that run when the component starts count from then on: this one starts
// late, and has had many page faults.
func TestCountersBeginWhenTheComponentStarts(t *testing.T) {
	e := exportertest.New(t, Definition(), only(t, 1)+"track_children = false\nmatcher {\n name = \"{{.PID}}\"\n cmdline = [\".+\"]\n}")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.Run(ctx); err != nil {
		t.Fatal(err)
	}
	_, page := e.Page()
	const name = `namedprocess_namegroup_minor_page_faults_total{groupname="1"} `
	i := slices.IndexFunc(page, func(line string) bool { return strings.HasPrefix(line, name) })
	stat, err := os.ReadFile("/proc/1/stat")
	if i < 0 || err != nil {
		t.Fatalf("%v\n%s", err, page)
	}
	all, err := strconv.ParseFloat(strings.Fields(string(stat[bytes.LastIndexByte(stat, ')'):]))[8], 64)
	if err != nil || all < 100 {
		t.Fatalf("process 1 has had %v page faults, %v", all, err)
	}
	if counted, err := strconv.ParseFloat(strings.TrimPrefix(page[i], name), 64); err != nil || counted > all/2 {
		t.Errorf("%v of %v page faults are counted, %v", counted, all, err)
	}
}

func TestFoldersThatVanishAreShown(t *testing.T) {
	settings := only(t)
	e := exportertest.New(t, Definition(), settings+everything)
	if err := os.RemoveAll(strings.Split(settings, `"`)[1]); err != nil {
		t.Fatal(err)
	}
	if _, page := e.Page(); !page.Has("namedprocess_scrape_errors 1") || e.Health() == nil {
		t.Errorf("%v\n%s", e.Health(), page)
	}
}

func TestWrongSettingsAreRejectedAtTheirArgument(t *testing.T) {
	exportertest.RefusesArguments(t, Definition(), map[string]string{
		"matcher {\n name = \"x\"\n}":                   "one of comm, exe and cmdline",
		"matcher {\n cmdline = [\"(\"]\n}":              "bad cmdline regex",
		"matcher {\n comm = [\"x\"]\n name = \"{{\"\n}": "bad name template",
		"procfs_path = \"/absent\"":                     "procfs_path",
	})
}
