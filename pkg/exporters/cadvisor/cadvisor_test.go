package cadvisor

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"collector/pkg/component"
	"collector/pkg/docker/dockertest"
)

// With every kind on, the container has the same values whatever the cgroups' version
// and driver.
func TestAContainerIsReadFromEachHierarchy(t *testing.T) {
	want := map[string]float64{
		"container_cpu_user_seconds_total": 3, "container_cpu_system_seconds_total": 2,
		"container_cpu_cfs_periods_total": 100, "container_cpu_cfs_throttled_periods_total": 7, "container_cpu_cfs_throttled_seconds_total": 1.5,
		"container_spec_cpu_period": 100000, "container_spec_cpu_quota": 50000,
		"container_spec_memory_limit_bytes": 134217728, "container_spec_memory_swap_limit_bytes": 268435456, "container_spec_memory_reservation_limit_bytes": 67108864,
		"container_memory_usage_bytes": 50000000, "container_memory_max_usage_bytes": 60000000, "container_memory_working_set_bytes": 40000000,
		"container_memory_cache": 20000000, "container_memory_rss": 15000000, "container_memory_mapped_file": 4000, "container_memory_swap": 8192,
		"container_memory_kernel_usage": 123456, "container_memory_failcnt": 3, "container_oom_events_total": 2,
		"container_memory_failures_total{failure_type=pgfault,scope=container}":              99,
		"container_memory_failures_total{failure_type=pgmajfault,scope=hierarchy}":           2,
		"container_memory_numa_pages{node=0,scope=container,type=anon}":                      4,
		"container_memory_numa_pages{node=0,scope=container,type=file}":                      5,
		"container_hugetlb_usage_bytes{pagesize=2MB}":                                        2097152,
		"container_hugetlb_failcnt{pagesize=2MB}":                                            1,
		"container_fs_reads_bytes_total{device=/dev/sda}":                                    4096,
		"container_fs_writes_bytes_total{device=/dev/sda}":                                   8192,
		"container_fs_reads_total{device=/dev/sda}":                                          1,
		"container_fs_writes_total{device=/dev/sda}":                                         2,
		"container_fs_reads_total{device=/dev/sda1}":                                         90,
		"container_fs_read_seconds_total{device=/dev/sda1}":                                  2.7,
		"container_fs_inodes_total{device=/dev/sda1}":                                        2,
		"container_blkio_device_usage_total{device=/dev/sda,major=8,minor=0,operation=Read}": 4096,
		"container_network_receive_bytes_total{interface=eth0}":                              1000,
		"container_network_receive_errors_total{interface=eth0}":                             1,
		"container_network_receive_packets_dropped_total{interface=eth0}":                    2,
		"container_network_transmit_packets_total{interface=eth0}":                           20,
		"container_network_tcp_usage_total{tcp_state=listen}":                                1,
		"container_network_tcp_usage_total{tcp_state=established}":                           1,
		"container_network_udp_usage_total{udp_state=dropped}":                               5,
		"container_network_udp_usage_total{udp_state=rxqueued}":                              16,
		"container_network_udp_usage_total{udp_state=txqueued}":                              2,
		"container_network_advance_tcp_stats_total{tcp_state=tcptimeouts}":                   2,
		"container_network_advance_tcp_stats_total{tcp_state=maxconn}":                       -1,
		"container_tasks_state{state=sleeping}":                                              1,
		"container_tasks_state{state=running}":                                               1,
		"container_tasks_state{state=uninterruptible}":                                       1,
		"container_processes": 2, "container_file_descriptors": 3, "container_sockets": 1, "container_threads": 3, "container_threads_max": 0,
		"container_ulimits_soft{ulimit=max_open_files}": 1024,
		"container_cpu_schedstat_run_seconds_total":     4, "container_cpu_schedstat_runqueue_seconds_total": 1, "container_cpu_schedstat_run_periods_total": 50,
		"container_referenced_bytes": 8192,
	}
	for _, unified := range []bool{false, true} {
		for _, systemd := range []bool{false, true} {
			t.Run(fmt.Sprintf("unified=%v,systemd=%v", unified, systemd), func(t *testing.T) {
				h, d := newHost(t, unified, systemd), dockertest.New(t)
				d.Run(shop())
				c := make1(t, config(d, func(c *Config) { c.EnabledMetrics = allKinds() }), h.places())
				page := c.series(t)
				got := page.of(h.cgroupOf(shopID))
				got.want(t, want)
				if unified {
					got.want(t, map[string]float64{"container_cpu_usage_seconds_total{cpu=total}": 5, "container_spec_cpu_shares": 500})
				} else {
					got.want(t, map[string]float64{"container_cpu_usage_seconds_total{cpu=cpu01}": 3, "container_spec_cpu_shares": 512, "container_memory_migrate": 1, "container_hugetlb_max_usage_bytes{pagesize=2MB}": 4194304})
				}
				if used := got["container_fs_usage_bytes{device=/dev/sda1}"]; used < 15_000 || used > 100_000 {
					t.Errorf("two files of 10,000 and 5,000 bytes take %v bytes", used)
				}
				page.of("/").want(t, map[string]float64{
					"container_spec_memory_limit_bytes": 8000000 << 10, "container_spec_memory_swap_limit_bytes": 2000000 << 10,
					"container_memory_working_set_bytes":                     map[bool]float64{false: 900000000 - 1000, true: 700000000 - 1000}[unified],
					"container_network_transmit_bytes_total{interface=eth0}": 20, "container_cpu_user_seconds_total": 5857.59,
					"container_fs_io_time_seconds_total{device=/dev/sda1}": 5.4,
				})
				page.of(h.cgroupOf(strayID)).want(t, map[string]float64{"container_tasks_state{state=running}": 0})
				status := c.Status().(Status)
				if want := map[bool]string{false: "v1", true: "v2"}[unified]; status.Cgroups != want || status.Containers != 1 || len(status.Missing) > 0 || status.Error != "" {
					t.Errorf("status: %+v", status)
				}
			})
		}
	}
}

// differences are the metrics that differ from testdata/alloy.txt, with the reason. A star
// is any ending.
func differences() map[string]string {
	return map[string]string{
		"machine_*":                            "Alloy gives them the time of its start, so that its own scraper dropped them when the list was recorded",
		"container_fs_reads_bytes_total{*":     "the machine of the recording counted nothing for block devices",
		"container_fs_writes_bytes_total{*":    "the same",
		"container_blkio_device_usage_total{*": "the same",
		"container_spec_cpu_quota{*":           "the container of the recording had no limit",
		"container_cpu_cfs_*":                  "the same",
	}
}

func TestMetricsHaveTheNamesLabelsAndTypesOfAlloy(t *testing.T) {
	recorded, err := os.ReadFile("testdata/alloy.txt")
	if err != nil {
		t.Fatal(err)
	}
	h, d := newHost(t, false, false), dockertest.New(t)
	container := shop()
	container.Labels = map[string]string{"com.example.team": "a"}
	d.Run(container)
	c := make1(t, config(d), h.places())
	families, err := c.gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, f := range families {
		for _, m := range f.Metric {
			got[f.GetName()+labelText(m.Label, false)+" "+strings.ToLower(f.GetType().String())] = true
		}
	}
	wanted := map[string]bool{}
	for line := range strings.Lines(string(recorded)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") || line == "" {
			continue
		}
		if wanted[line] = true; !got[line] && line != "machine_scrape_error{} gauge" {
			t.Errorf("with Alloy there is also %s", line)
		}
	}
	for line := range got {
		explained := wanted[line]
		for pattern := range differences() {
			beginning, _ := strings.CutSuffix(pattern, "*")
			explained = explained || strings.HasPrefix(line, beginning)
		}
		if !explained {
			t.Errorf("Alloy does not have %s", line)
		}
	}
	if !got["machine_scrape_error{} gauge"] || !got["machine_cpu_cores{boot_id,machine_id,system_uuid} gauge"] {
		t.Error("the machine is missing")
	}
}

func TestThePageIsTextThatPrometheusReads(t *testing.T) {
	h, d := newHost(t, true, true), dockertest.New(t)
	container := shop()
	container.Labels["odd"] = "a\"b\\c\nd\xff"
	d.Run(container)
	text := make1(t, config(d), h.places()).text()
	for _, want := range []string{
		"# TYPE container_cpu_usage_seconds_total counter\n", `container_label_odd="a\"b\\c\nd` + "\uFFFD" + `"`,
		`container_cpu_usage_seconds_total{container_label_com_example_team="b",`, "machine_memory_bytes{",
		`osVersion="Test Linux 1"`, `version="1.2.3"`, `container_last_seen{id="/"}`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

func TestOnlyRequestedLabelsAreAdded(t *testing.T) {
	h, d := newHost(t, false, false), dockertest.New(t)
	container := shop()
	container.RestartCount = 3
	d.Run(container)
	for _, test := range []struct {
		change func(*Config)
		want   string
	}{
		{func(*Config) {}, "container_label_com_example_team=b,container_label_other=c,container_label_restartcount=3,"},
		{func(c *Config) { c.StoreContainerLabels = false }, ""},
		{func(c *Config) { c.StoreContainerLabels, c.AllowlistedContainerLabels = false, []string{"other"} }, "container_label_other=c,"},
		{func(c *Config) { c.StoreContainerLabels, c.EnvMetadataAllowlist = false, []string{"SHOP"} }, "container_env_shop_zone=north,"},
	} {
		page := make1(t, config(d, test.change), h.places()).series(t)
		key := "container_memory_rss{" + test.want + "id=/docker/" + shopID + ",image=shop:1,name=shop-web-1}"
		if _, ok := page[key]; !ok {
			t.Errorf("%s is not on the page", key)
		}
	}
}

func TestOnlyRequestedCgroupsAreAdded(t *testing.T) {
	h, d := newHost(t, false, true), dockertest.New(t)
	d.Run(shop())
	const service, stray = "/system.slice/cron.service", "/system.slice/docker-" + strayID + ".scope"
	container := h.cgroupOf(shopID)
	for _, test := range []struct {
		change func(*Config)
		want   []string
	}{
		{func(*Config) {}, []string{"/", "/system.slice", service, container, stray}},
		{func(c *Config) { c.DockerOnly = true }, []string{"/", container}},
		{func(c *Config) { c.DisableRootCgroupStats, c.DockerOnly = true, true }, []string{container}},
		{func(c *Config) { c.RawCgroupPrefixAllowlist = []string{"/system.slice/cron"} }, []string{"/", service, container}},
		{func(c *Config) { c.DockerOnly, c.RawCgroupPrefixAllowlist = true, []string{"/system.slice/cron"} }, []string{"/", service, container}},
		{func(c *Config) { c.RawCgroupPrefixAllowlist = nil }, []string{"/", "/system.slice", service, container, stray}},
	} {
		families, err := make1(t, config(d, test.change), h.places()).gather()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range families {
			for _, m := range f.Metric {
				for _, label := range m.Label {
					if f.GetName() == "container_last_seen" && label.GetName() == "id" {
						got = append(got, label.GetValue())
					}
				}
			}
		}
		slices.Sort(test.want)
		if slices.Sort(got); !slices.Equal(got, test.want) {
			t.Errorf("the page has %v, want %v", got, test.want)
		}
	}
}

func TestKindsAreTurnedOnAndOff(t *testing.T) {
	h, d := newHost(t, false, false), dockertest.New(t)
	d.Run(shop())
	has := func(change func(*Config), name string) bool {
		for key := range make1(t, config(d, change), h.places()).series(t) {
			if strings.HasPrefix(key, name+"{") {
				return true
			}
		}
		return false
	}
	for _, test := range []struct {
		change func(*Config)
		on     []string
		off    []string
	}{
		{func(*Config) {}, []string{"container_memory_rss", "container_network_receive_bytes_total"}, []string{"container_processes", "container_network_tcp_usage_total"}},
		{func(c *Config) { c.EnabledMetrics = []string{"process"} }, []string{"container_processes", "container_last_seen"}, []string{"container_memory_rss"}},
		{func(c *Config) { c.DisabledMetrics = []string{"memory"} }, []string{"container_processes", "container_network_tcp_usage_total"}, []string{"container_memory_rss"}},
		{func(c *Config) { c.DisabledMetrics = []string{} }, []string{"container_processes", "container_memory_rss"}, nil},
		{func(c *Config) { c.EnabledMetrics, c.DisabledMetrics = []string{"cpu"}, []string{"cpu"} }, []string{"container_cpu_user_seconds_total"}, nil},
	} {
		for _, name := range test.on {
			if !has(test.change, name) {
				t.Errorf("%s is not on the page", name)
			}
		}
		for _, name := range test.off {
			if has(test.change, name) {
				t.Errorf("%s is on the page", name)
			}
		}
	}
	page := make1(t, config(d, func(c *Config) { c.EnabledMetrics = []string{"cpu"} }), h.places()).series(t)
	page.of(h.cgroupOf(shopID)).want(t, map[string]float64{"container_cpu_usage_seconds_total{cpu=total}": 5}) // without percpu
}

// Files of kinds that are off are not read: these would never end.
func TestFilesOfKindsThatAreOffAreNotRead(t *testing.T) {
	h, d := newHost(t, false, false), dockertest.New(t)
	d.Run(shop())
	for _, name := range []string{"net/tcp", "net/udp", "net/netstat", "limits", "schedstat", "smaps_rollup"} {
		full := filepath.Join(h.dir, "proc", fmt.Sprint(shopPID), name)
		if err := os.Remove(full); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mkfifo(full, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	page := make1(t, config(d), h.places()).series(t)
	page.of(h.cgroupOf(shopID)).want(t, map[string]float64{"container_memory_rss": 15000000})
}

// A container sees its own cgroup where the host's is not mounted.
func TestTheOwnCgroupIsNotTheHosts(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"cgroup.controllers": "cpu", "cgroup.events": "populated 1", "memory.current": "5"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if h, err := findHierarchy([]string{dir}); err == nil {
		t.Errorf("taken for the host's: %+v", h)
	}
	host := newHost(t, true, true)
	if h, err := findHierarchy([]string{dir, filepath.Join(host.dir, "sys/fs/cgroup")}); err != nil || !h.unified {
		t.Errorf("the host's is passed over: %+v, %v", h, err)
	}
	divided := t.TempDir()
	for _, controller := range []string{"cpu", "memory"} {
		if err := os.MkdirAll(filepath.Join(divided, controller), 0o755); err != nil {
			t.Fatal(err)
		}
		os.WriteFile(filepath.Join(divided, controller, "cgroup.procs"), nil, 0o600)
	}
	if h, err := findHierarchy([]string{divided}); err == nil {
		t.Errorf("taken for the host's: %+v", h)
	}
}

const usedV1 = `{"pids_stats":{"current":3},"blkio_stats":{"io_service_bytes_recursive":[{"major":8,"minor":0,"op":"Read","value":4096}],"io_serviced_recursive":[]},
"cpu_stats":{"cpu_usage":{"total_usage":5000000000,"percpu_usage":[2000000000,3000000000],"usage_in_kernelmode":2000000000,"usage_in_usermode":3000000000},
"throttling_data":{"periods":100,"throttled_periods":7,"throttled_time":1500000000}},
"memory_stats":{"usage":50000000,"max_usage":60000000,"failcnt":3,"limit":134217728,"stats":{"total_cache":20000000,"total_rss":15000000,"total_inactive_file":10000000}},
"networks":{"eth0":{"rx_bytes":1000,"tx_bytes":2000},"eth1":{"rx_bytes":1}}}`

const usedV2 = `{"pids_stats":{"current":3,"limit":18446744073709551615},"blkio_stats":{"io_service_bytes_recursive":[{"major":8,"minor":0,"op":"read","value":4096}],"io_serviced_recursive":null},
"cpu_stats":{"cpu_usage":{"total_usage":5000000000,"usage_in_kernelmode":2000000000,"usage_in_usermode":3000000000},
"throttling_data":{"periods":100,"throttled_periods":7,"throttled_time":1500000000}},
"memory_stats":{"usage":50000000,"stats":{"file":20000000,"anon":15000000,"inactive_file":10000000}},
"networks":{"eth0":{"rx_bytes":1000,"tx_bytes":2000},"eth1":{"rx_bytes":1}}}`

func TestWithoutCgroupsTheEngineSaysWhatContainersUse(t *testing.T) {
	for name, used := range map[string]string{"v1": usedV1, "v2": usedV2} {
		t.Run(name, func(t *testing.T) {
			d := dockertest.New(t)
			container := shop()
			container.Usage = used
			d.Run(container)
			d.Create(dockertest.Container{Name: "stopped"})
			h := newHost(t, true, true)
			at := h.places()
			at.cgroups, at.proc = nil, ""
			c := make1(t, config(d), at)
			page := c.series(t)
			page.of("/docker/"+shopID).want(t, map[string]float64{
				"container_cpu_user_seconds_total": 3, "container_cpu_system_seconds_total": 2, "container_cpu_cfs_throttled_seconds_total": 1.5,
				"container_memory_usage_bytes": 50000000, "container_memory_working_set_bytes": 40000000, "container_memory_cache": 20000000, "container_memory_rss": 15000000,
				"container_spec_memory_limit_bytes": 134217728, "container_spec_cpu_quota": 50000, "container_spec_cpu_period": 100000, "container_spec_cpu_shares": 1024,
				"container_network_receive_bytes_total{interface=eth0}": 1000, "container_network_receive_bytes_total{interface=eth1}": 1,
				"container_fs_reads_bytes_total{device=/dev/sda}": 4096,
			})
			if name == "v1" {
				page.of("/docker/"+shopID).want(t, map[string]float64{"container_cpu_usage_seconds_total{cpu=cpu01}": 3, "container_memory_failcnt": 3, "container_memory_max_usage_bytes": 60000000})
			}
			status := c.Status().(Status)
			if status.Cgroups != "" || status.Containers != 1 || len(status.Missing) != 2 || !strings.Contains(status.Missing[0], "mount /sys") || !strings.Contains(status.Missing[1], "pid: host") {
				t.Errorf("status: %+v", status)
			}
			for _, r := range d.Requests() {
				if strings.HasSuffix(r.Path, "/stats") && (r.Query.Get("stream") != "false" || r.Query.Get("one-shot") != "true") {
					t.Errorf("asked with %v", r.Query)
				}
			}
		})
	}
}

func TestWithoutTheHostsProcTheEngineSaysWhatPassedThroughNetworks(t *testing.T) {
	h, d := newHost(t, false, false), dockertest.New(t)
	container := shop()
	container.Usage = usedV1
	d.Run(container)
	beside := dockertest.Container{ID: strayID, Name: "beside", NetworkMode: "container:" + shopID, PID: 7}
	d.Run(beside)
	at := h.places()
	at.proc = ""
	page := make1(t, config(d), at).series(t)
	page.of(h.cgroupOf(shopID)).want(t, map[string]float64{"container_network_receive_bytes_total{interface=eth1}": 1, "container_memory_rss": 15000000})
	for key := range page.of(h.cgroupOf(strayID)) {
		if strings.HasPrefix(key, "container_network_") {
			t.Errorf("a container in another's network has %s", key)
		}
	}
	if n := d.Count("/containers/" + strayID + "/stats"); n != 0 {
		t.Errorf("its usage was asked for %d times", n)
	}
	// A process of the same number is another one where /proc is not the host's.
	h.write(fmt.Sprintf("proc/%d/cgroup", shopPID), "0::/init.scope\n")
	page = make1(t, config(d), h.places()).series(t)
	page.of(h.cgroupOf(shopID)).want(t, map[string]float64{"container_network_receive_bytes_total{interface=eth1}": 1})
}

func TestTheEnginesAnswersAreCachedForAWhile(t *testing.T) {
	h, d := newHost(t, false, false), dockertest.New(t)
	d.Run(shop())
	path := "/containers/" + shopID + "/json"
	c := make1(t, config(d), h.places())
	for range 3 {
		c.series(t)
	}
	if n := d.Count(path); n != 1 {
		t.Errorf("%d inspections for three pages", n)
	}
	// A restart makes another cgroup, whose process is another one.
	for _, controller := range controllers() {
		folder := filepath.Join(h.dir, "sys/fs/cgroup", controller, h.cgroupOf(shopID))
		if err := os.Rename(folder, filepath.Join(h.dir, "before-"+controller)); err != nil {
			t.Fatal(err)
		}
	}
	h.dividedGroups()
	c.series(t)
	if n := d.Count(path); n != 2 {
		t.Errorf("%d inspections after a restart, want 2", n)
	}
	eager := make1(t, config(d, func(c *Config) { c.StorageDuration = 0 }), h.places())
	before := d.Count(path)
	eager.series(t)
	d.Rename(shopID, "shop-web-2")
	page := eager.series(t)
	if n := d.Count(path) - before; n != 2 {
		t.Errorf("%d inspections for two pages with storage_duration = 0", n)
	}
	found := false
	for key := range page {
		found = found || strings.Contains(key, "name=shop-web-2")
	}
	if !found {
		t.Error("the new name is not on the page")
	}
}

func TestWithoutTheEngineOnlyNamesAreMissing(t *testing.T) {
	h, d := newHost(t, false, false), dockertest.New(t)
	d.Run(shop())
	c := make1(t, config(d, func(c *Config) { c.StorageDuration = 0 }), h.places())
	c.series(t)
	if e := c.Engine(); !e.Connected || e.Error != "" {
		t.Errorf("connection: %+v", e)
	}
	d.Shutdown()
	known := c.series(t) // as it is known already
	key := "container_memory_rss{container_label_com_example_team=b,container_label_other=c,id=/docker/" + shopID + ",image=shop:1,name=shop-web-1}"
	if known[key] != 15000000 || known["container_scrape_error{}"] != 0 {
		t.Error("the container has lost its name")
	}
	if e := c.Engine(); e.Connected || e.Error == "" || e.Since.IsZero() {
		t.Errorf("connection: %+v", e)
	}
	fresh := make1(t, config(d), h.places())
	page := fresh.series(t)
	page.want(t, map[string]float64{"container_memory_rss{id=/docker/" + shopID + "}": 15000000, "container_scrape_error{}": 0})
	at := h.places()
	at.cgroups = nil
	blind := make1(t, config(d), at)
	page = blind.series(t)
	page.want(t, map[string]float64{"container_scrape_error{}": 1, "machine_scrape_error{}": 0})
	if s := blind.Status().(Status); s.Error == "" || s.Containers != 0 {
		t.Errorf("status: %+v", s)
	}
	d.Restart()
	if page := fresh.series(t); page[key] != 15000000 {
		t.Error("the container has no name when Docker answers again")
	}
}

func TestArgumentsWithoutEffectWarn(t *testing.T) {
	d := dockertest.New(t)
	warned := map[string]bool{}
	c := config(d, func(c *Config) {
		c.PerfEventsConfig, c.ResctrlInterval, c.ContainerdHost, c.ContainerdNamespace, c.DockerHost = "x.json", time.Second, "/x.sock", "default", ""
		c.EnabledMetrics = []string{"app", "cpu"}
	})
	if _, err := newAt(c, component.Options{ID: "prometheus.exporter.cadvisor.x", Warn: func(path, _ string) { warned[path] = true }}, places{}); err != nil {
		t.Fatal(err)
	}
	for _, argument := range []string{"perf_events_config", "resctrl_interval", "containerd_host", "containerd_namespace", "docker_host", "enabled_metrics"} {
		if !warned[argument] {
			t.Errorf("%s causes no warning", argument)
		}
	}
}

func TestWhatCannotWorkIsRejected(t *testing.T) {
	for argument, change := range map[string]func(*Config){
		"enabled_metrics":  func(c *Config) { c.EnabledMetrics = []string{"cpus"} },
		"disabled_metrics": func(c *Config) { c.DisabledMetrics = []string{"cpus"} },
		"storage_duration": func(c *Config) { c.StorageDuration = -1 },
		"docker_host":      func(c *Config) { c.DockerHost = "ssh://host" },
	} {
		c := config(dockertest.New(t), change)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), argument) {
			t.Errorf("%s: %v", argument, err)
		}
	}
}
