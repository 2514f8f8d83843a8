package cadvisor

import (
	"fmt"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	dto "github.com/prometheus/client_model/go"

	"collector/pkg/component"
	"collector/pkg/docker/dockertest"
)

const (
	shopID  = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	strayID = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb" // Docker does not know it
	shopPID = 4242
)

// host is a machine made of files.
type host struct {
	t       *testing.T
	dir     string
	unified bool
	systemd bool // the driver of the cgroups
}

// shop is the path of the cgroup of a container.
func (h *host) cgroupOf(id string) string {
	if h.systemd {
		return "/system.slice/docker-" + id + ".scope"
	}
	return "/docker/" + id
}

func (h *host) write(name, text string) {
	h.t.Helper()
	full := filepath.Join(h.dir, name)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
		h.t.Fatal(err)
	}
}

// group writes the files of a cgroup of v1, "controller/file", or of v2, "file".
func (h *host) group(name string, files map[string]string) {
	h.t.Helper()
	for file, text := range files {
		controller, base, found := strings.Cut(file, "/")
		if !found {
			controller, base = "", file
		}
		h.write(filepath.Join("sys/fs/cgroup", controller, name, base), text+"\n")
	}
}

// newHost makes a machine with a container that Docker knows, one that it does not, and
// the cgroup of a service. The values are the same for v1 and v2.
func newHost(t *testing.T, unified, systemd bool) *host {
	h := &host{t: t, dir: t.TempDir(), unified: unified, systemd: systemd}
	if unified {
		h.unifiedGroups()
	} else {
		h.dividedGroups()
	}
	h.proc()
	return h
}

func (h *host) dividedGroups() {
	for _, controller := range controllers() {
		h.write("sys/fs/cgroup/"+controller+"/release_agent", "")
	}
	root := map[string]string{
		"cpu/cpu.shares": "1024", "cpu/cpu.cfs_period_us": "100000", "cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.stat": "nr_periods 0\nnr_throttled 0\nthrottled_time 0",
		"cpuacct/cpuacct.usage": "7000000000000", "cpuacct/cpuacct.stat": "user 585759\nsystem 159610", "cpuacct/cpuacct.usage_percpu": "3000000000000 4000000000000 ",
		"memory/memory.usage_in_bytes": "900000000", "memory/memory.limit_in_bytes": "9223372036854771712", "memory/memory.soft_limit_in_bytes": "9223372036854771712",
		"memory/memory.stat":        "cache 1\nrss 2\ntotal_cache 400000000\ntotal_rss 300000000\ntotal_mapped_file 5000\ntotal_inactive_file 1000\npgfault 10\npgmajfault 1",
		"memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 0", "memory/memory.kmem.usage_in_bytes": "0", "memory/cgroup.clone_children": "0",
		"memory/memory.max_usage_in_bytes": "1000000000", "memory/memory.failcnt": "0",
	}
	h.group("/", root)
	h.group("/system.slice/cron.service", root)
	h.group("/system.slice/run-x.mount", root)
	h.group(h.cgroupOf(strayID), root)
	h.group(h.cgroupOf(shopID), map[string]string{
		"cpu/cpu.shares": "512", "cpu/cpu.cfs_period_us": "100000", "cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.stat": "nr_periods 100\nnr_throttled 7\nthrottled_time 1500000000",
		"cpu/cgroup.procs": "4242\n4300", "cpu/tasks": "4242\n4243\n4300",
		"cpuacct/cpuacct.usage": "5000000000", "cpuacct/cpuacct.stat": "user 300\nsystem 200", "cpuacct/cpuacct.usage_percpu": "2000000000 3000000000 ",
		"memory/memory.usage_in_bytes": "50000000", "memory/memory.max_usage_in_bytes": "60000000", "memory/memory.failcnt": "3",
		"memory/memory.limit_in_bytes": "134217728", "memory/memory.memsw.limit_in_bytes": "268435456", "memory/memory.soft_limit_in_bytes": "67108864",
		"memory/memory.stat":                "cache 1\ntotal_cache 20000000\ntotal_rss 15000000\ntotal_mapped_file 4000\ntotal_swap 8192\ntotal_inactive_file 10000000\npgfault 99\npgmajfault 2\ntotal_pgfault 99\ntotal_pgmajfault 2",
		"memory/memory.kmem.usage_in_bytes": "123456", "memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2", "memory/cgroup.clone_children": "0",
		"memory/memory.numa_stat":                         "total=9 N0=9\nfile=5 N0=5\nanon=4 N0=4\nhierarchical_file=6 N0=6",
		"blkio/blkio.throttle.io_service_bytes_recursive": "8:0 Read 4096\n8:0 Write 8192\n8:0 Total 12288\nTotal 12288",
		"blkio/blkio.throttle.io_serviced_recursive":      "8:0 Read 1\n8:0 Write 2\n8:0 Total 3\nTotal 3",
		"pids/pids.current":                               "3", "pids/pids.max": "max",
		"cpuset/cpuset.memory_migrate":       "1",
		"hugetlb/hugetlb.2MB.usage_in_bytes": "2097152", "hugetlb/hugetlb.2MB.max_usage_in_bytes": "4194304", "hugetlb/hugetlb.2MB.failcnt": "1",
	})
}

func (h *host) unifiedGroups() {
	h.group("/", map[string]string{
		"cgroup.controllers": "cpuset cpu io memory hugetlb pids", "cpu.stat": "usage_usec 7000000000\nuser_usec 5857590000\nsystem_usec 1596100000",
		"memory.stat": "anon 300000000\nfile 400000000\nfile_mapped 5000\ninactive_file 1000\npgfault 10\npgmajfault 1", "io.stat": "8:0 rbytes=1 wbytes=2 rios=3 wios=4",
	})
	other := map[string]string{
		"cgroup.events": "populated 1", "cpu.stat": "usage_usec 1000000\nuser_usec 1000000\nsystem_usec 0", "cpu.weight": "100", "cpu.max": "max 100000",
		"memory.current": "1000", "memory.max": "max", "memory.swap.max": "max", "memory.low": "0", "memory.min": "0", "memory.stat": "anon 600\nfile 400", "memory.events": "max 0\noom_kill 0",
	}
	h.group("/system.slice/cron.service", other)
	h.group("/system.slice/run-x.mount", other)
	h.group(h.cgroupOf(strayID), other)
	h.group(h.cgroupOf(shopID), map[string]string{
		"cgroup.events": "populated 1", "cgroup.procs": "4242\n4300", "cgroup.threads": "4242\n4243\n4300",
		"cpu.stat":   "usage_usec 5000000\nuser_usec 3000000\nsystem_usec 2000000\nnr_periods 100\nnr_throttled 7\nthrottled_usec 1500000",
		"cpu.weight": "20", "cpu.max": "50000 100000",
		"memory.current": "50000000", "memory.peak": "60000000", "memory.max": "134217728", "memory.swap.max": "268435456", "memory.low": "67108864", "memory.min": "0", "memory.swap.current": "8192",
		"memory.stat":   "anon 15000000\nfile 20000000\nkernel 123456\nfile_mapped 4000\ninactive_file 10000000\npgfault 99\npgmajfault 2",
		"memory.events": "low 0\nhigh 0\nmax 3\noom 2\noom_kill 2", "memory.numa_stat": fmt.Sprintf("anon N0=%d\nfile N0=%d", 4*os.Getpagesize(), 5*os.Getpagesize()),
		"io.stat":      "8:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0",
		"pids.current": "3", "pids.max": "max",
		"hugetlb.2MB.current": "2097152", "hugetlb.2MB.events": "max 1",
	})
}

// proc writes the host's /proc: its first process and the container's.
func (h *host) proc() {
	var st syscall.Stat_t
	if err := syscall.Stat(h.dir, &st); err != nil {
		h.t.Fatal(err)
	}
	number := numberOf(&st)
	h.write("proc/1/mountinfo", fmt.Sprintf("22 1 %d:%d / / rw,relatime - ext4 /dev/sda1 rw\n23 22 0:50 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw\n", number.major, number.minor))
	h.write("proc/1/net/dev", netDevHead+"    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n  eth0: 10 1 0 0 0 0 0 0 20 2 0 0 0 0 0 0\nvethab: 9 9 9 9 0 0 0 0 9 9 9 9 0 0 0 0\n")
	h.write("proc/diskstats", fmt.Sprintf("   8       0 sda 100 1 200 3000 50 2 400 5000 1 6000 7000 0 0 0 0\n %d %d sda1 90 1 180 2700 40 2 360 4500 0 5400 6300\n", number.major, number.minor))
	h.write("proc/meminfo", "MemTotal:        8000000 kB\nMemFree:         1000000 kB\nSwapTotal:       2000000 kB\n")
	h.write("proc/cpuinfo", "processor\t: 0\nphysical id\t: 0\ncore id\t\t: 0\n\nprocessor\t: 1\nphysical id\t: 0\ncore id\t\t: 0\n")
	h.write("proc/sys/kernel/random/boot_id", "boot\n")
	h.write("etc/machine-id", "machine\n")
	h.write("etc/os-release", "NAME=x\nPRETTY_NAME=\"Test Linux 1\"\n")
	h.write("sys/class/dmi/id/product_uuid", "uuid\n")
	shop := fmt.Sprintf("proc/%d/", shopPID)
	h.write(shop+"cgroup", "0::"+h.cgroupOf(shopID)+"\n")
	h.write(shop+"net/dev", netDevHead+"    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n  eth0: 1000 10 1 2 0 0 0 0 2000 20 3 4 0 0 0 0\n")
	h.write(shop+"net/tcp", "  sl  local_address rem_address   st tx_queue rx_queue\n   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000\n   1: 0100007F:1F90 0100007F:CAFE 01 00000000:00000000\n")
	h.write(shop+"net/udp", "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n  9: 00000000:0044 00000000:0000 07 00000002:00000010 00:00000000 00000000     0        0 17190 2 0000000000000000 5\n")
	h.write(shop+"net/netstat", "TcpExt: SyncookiesSent TCPTimeouts\nTcpExt: 1 2\nIpExt: InNoRoutes\nIpExt: 9\n")
	h.write(shop+"net/snmp", "Tcp: RtoAlgorithm MaxConn\nTcp: 1 -1\n")
	h.write(shop+"limits", "Limit                     Soft Limit           Hard Limit           Units     \nMax open files            1024                 4096                 files     \n")
	h.write(shop+"schedstat", "3000000000 1000000000 42\n")
	h.write(shop+"smaps_rollup", "00400000-7ffd [rollup]\nRss: 10 kB\nReferenced:   8 kB\n")
	h.write("proc/4300/schedstat", "1000000000 0 8\n")
	for id, state := range map[int]string{4242: "(a) b) S", 4243: "(x) D", 4300: "(y) R"} {
		h.write(fmt.Sprintf("proc/%d/stat", id), fmt.Sprintf("%d %s 1 1 1\n", id, state))
	}
	if err := os.MkdirAll(filepath.Join(h.dir, shop, "fd"), 0o755); err != nil {
		h.t.Fatal(err)
	}
	for name, target := range map[string]string{"0": "/dev/null", "1": "socket:[12]", "2": "pipe:[3]"} {
		if err := os.Symlink(target, filepath.Join(h.dir, shop, "fd", name)); err != nil {
			h.t.Fatal(err)
		}
	}
	h.write("var/lib/docker/overlay2/shop/diff/file", strings.Repeat("x", 10_000))
	h.write("var/lib/docker/containers/shop/json.log", strings.Repeat("y", 5000))
}

const netDevHead = "Inter-|   Receive                                                |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n"

func (h *host) places() places {
	return places{
		root: h.dir, cgroups: []string{filepath.Join(h.dir, "sys/fs/cgroup")}, proc: procfs(filepath.Join(h.dir, "proc")),
		ownProc: filepath.Join(h.dir, "proc"), sys: filepath.Join(h.dir, "sys"),
	}
}

// shop is the container that Docker knows.
func shop() dockertest.Container {
	return dockertest.Container{
		ID: shopID, Name: "shop-web-1", Image: "shop:1", PID: shopPID, Labels: map[string]string{"com.example.team": "a", "com-example-team": "b", "other": "c"},
		Env: []string{"SHOP_ZONE=north", "SECRET=x"}, UpperDir: "/var/lib/docker/overlay2/shop/diff", LogPath: "/var/lib/docker/containers/shop/json.log",
		Memory: 134217728, CPUQuota: 50000,
	}
}

func config(d *dockertest.Daemon, change ...func(*Config)) Config {
	var c Config
	c.SetToDefault()
	c.DockerHost = d.Host()
	for _, f := range change {
		f(&c)
	}
	return c
}

func make1(t *testing.T, c Config, at places) *CAdvisor {
	t.Helper()
	made, err := newAt(c, component.Options{ID: "prometheus.exporter.cadvisor.x", UserAgent: "collector/1.2.3"}, at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		made.stop()
		made.filesystems.settle(settleTime)
		made.disks.patient.settle(settleTime)
		made.engine.Rest()
	})
	return made
}

// series are the samples of a page by name and labels.
type series map[string]float64

func (c *CAdvisor) series(t *testing.T) series {
	t.Helper()
	families, err := c.gather()
	if err != nil {
		t.Fatal(err)
	}
	out := series{}
	for _, f := range families {
		for _, m := range f.Metric {
			key := f.GetName() + labelText(m.Label, true)
			if _, twice := out[key]; twice {
				t.Errorf("%s is on the page more than once", key)
			}
			out[key] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return out
}

func labelText(pairs []*dto.LabelPair, values bool) string {
	var out []string
	for _, p := range pairs {
		text := p.GetName()
		if values {
			text += "=" + p.GetValue()
		}
		out = append(out, text)
	}
	slices.Sort(out)
	return "{" + strings.Join(out, ",") + "}"
}

// of are the series of the shop's container, without the labels that all have.
func (s series) of(id string) series {
	out := series{}
	for key, value := range s {
		name, labels, _ := strings.Cut(strings.TrimSuffix(key, "}"), "{")
		var rest []string
		mine := false
		for label := range strings.SplitSeq(labels, ",") {
			switch {
			case label == "id="+id:
				mine = true
			case strings.HasPrefix(label, "container_label_"), strings.HasPrefix(label, "name="), strings.HasPrefix(label, "image="), label == "":
			default:
				rest = append(rest, label)
			}
		}
		if mine {
			out[strings.TrimSuffix(name+"{"+strings.Join(rest, ",")+"}", "{}")] = value
		}
	}
	return out
}

func (s series) want(t *testing.T, want map[string]float64) {
	t.Helper()
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if got, ok := s[key]; !ok || got != want[key] {
			t.Errorf("%s is %v (on the page: %v), want %v", key, got, ok, want[key])
		}
	}
}

// page is the text that a scrape gets.
func (c *CAdvisor) text() string {
	w := httptest.NewRecorder()
	c.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}
