package cadvisor

import (
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"collector/pkg/docker"
)

// usage is what a container, or another cgroup, uses. What is not known is nil.
type usage struct {
	limits  limits
	cpu     *cpuUsage
	memory  *memoryUsage
	bytes   []operation // of block devices
	counts  []operation
	network []netInterface
	ooms    *uint64
	threads *threads
	numa    []nodePages
	huge    []hugePages
	migrate *uint64
}

// limits are those that container_spec_* show.
type limits struct {
	cpu                           bool // the next three are known
	period, quota, shares         uint64
	memory                        bool // the next three are known
	limit, swapLimit, reservation uint64
}

type cpuUsage struct {
	total, user, system time.Duration
	perCPU              []time.Duration // with cgroup v1
	periods, throttled  uint64
	throttledTime       time.Duration
}

type memoryUsage struct {
	usage, max, failures             uint64
	cache, rss, mapped, swap, kernel uint64
	inactive                         uint64
	faults, majorFaults              uint64
	faultsBelow, majorFaultsBelow    uint64 // of the cgroups below, too
}

// workingSet is the memory that would be missed.
func (m *memoryUsage) workingSet() uint64 { return m.usage - min(m.usage, m.inactive) }

type threads struct{ current, limit uint64 }

type hugePages struct {
	size                 string
	usage, max, failures uint64
}

// usage reads a cgroup.
func (c cgroup) usage(on kinds) *usage {
	u := &usage{}
	if c.unified {
		c.unifiedUsage(u)
	} else {
		c.dividedUsage(u)
	}
	if current, ok := c.number("pids", "pids.current"); ok {
		limit, _ := c.number("pids", "pids.max")
		u.threads = &threads{current: current, limit: limit}
	}
	if on[kindNuma] {
		if text, ok := c.read("memory", "memory.numa_stat"); ok {
			u.numa = parseNuma(text, uint64(os.Getpagesize()))
		}
	}
	if on[kindHugetlb] {
		u.huge = c.hugePages()
	}
	if on[kindCPUSet] {
		if n, ok := c.number("cpuset", "cpuset.memory_migrate"); ok {
			u.migrate = &n
		}
	}
	return u
}

// dividedUsage reads a cgroup of cgroup v1, which each controller has for itself.
func (c cgroup) dividedUsage(u *usage) {
	if shares, ok := c.number("cpu", "cpu.shares"); ok {
		u.limits.cpu, u.limits.shares = true, shares
		u.limits.period, _ = c.number("cpu", "cpu.cfs_period_us")
		u.limits.quota, _ = c.number("cpu", "cpu.cfs_quota_us") // -1 is none
	}
	if total, ok := c.number("cpuacct", "cpuacct.usage"); ok {
		u.cpu = &cpuUsage{total: time.Duration(total)}
		text, _ := c.read("cpuacct", "cpuacct.stat")
		const tick = time.Second / 100 // whatever the kernel's own value is
		ticks := parseKeyed(text)
		u.cpu.user, u.cpu.system = time.Duration(ticks["user"])*tick, time.Duration(ticks["system"])*tick
		text, _ = c.read("cpuacct", "cpuacct.usage_percpu")
		for _, n := range parseNumbers(text) {
			u.cpu.perCPU = append(u.cpu.perCPU, time.Duration(n))
		}
		text, _ = c.read("cpu", "cpu.stat")
		stat := parseKeyed(text)
		u.cpu.periods, u.cpu.throttled, u.cpu.throttledTime = stat["nr_periods"], stat["nr_throttled"], time.Duration(stat["throttled_time"])
	}
	c.dividedMemory(u)
	u.bytes, u.counts = c.blkio("io_service_bytes"), c.blkio("io_serviced")
}

func (c cgroup) dividedMemory(u *usage) {
	used, ok := c.number("memory", "memory.usage_in_bytes")
	if !ok {
		return
	}
	u.limits.memory = true
	u.limits.limit, _ = c.number("memory", "memory.limit_in_bytes")
	u.limits.swapLimit, _ = c.number("memory", "memory.memsw.limit_in_bytes")
	u.limits.reservation, _ = c.number("memory", "memory.soft_limit_in_bytes")
	text, _ := c.read("memory", "memory.stat")
	m := memoryOf(parseKeyed(text), used)
	m.max, _ = c.number("memory", "memory.max_usage_in_bytes")
	m.failures, _ = c.number("memory", "memory.failcnt")
	m.kernel, _ = c.number("memory", "memory.kmem.usage_in_bytes")
	u.memory = m
	text, _ = c.read("memory", "memory.oom_control")
	if killed, ok := parseKeyed(text)["oom_kill"]; ok {
		u.ooms = &killed
	}
}

// memoryOf takes from memory.stat, of v1 or v2, what is exposed.
func memoryOf(stat map[string]uint64, used uint64) *memoryUsage {
	m := &memoryUsage{usage: used, faults: stat["pgfault"], majorFaults: stat["pgmajfault"]}
	first := func(names ...string) uint64 {
		for _, name := range names {
			if n, ok := stat[name]; ok {
				return n
			}
		}
		return 0
	}
	m.cache, m.rss = first("file", "total_cache", "cache"), first("anon", "total_rss", "rss")
	m.mapped, m.swap = first("file_mapped", "total_mapped_file", "mapped_file"), first("total_swap", "swap")
	m.inactive = first("total_inactive_file", "inactive_file")
	m.faultsBelow, m.majorFaultsBelow = first("total_pgfault", "pgfault"), first("total_pgmajfault", "pgmajfault")
	return m
}

// blkio reads what the scheduler of a device counts, or else what the throttle does.
func (c cgroup) blkio(what string) []operation {
	for _, file := range []string{"bfq." + what + "_recursive", what + "_recursive", "throttle." + what + "_recursive", "throttle." + what} {
		if text, ok := c.read("blkio", "blkio."+file); ok {
			if found := parseBlkio(text); len(found) > 0 {
				return found
			}
		}
	}
	return nil
}

// unifiedUsage reads a cgroup of cgroup v2.
func (c cgroup) unifiedUsage(u *usage) {
	if text, ok := c.read("", "cpu.stat"); ok {
		stat := parseKeyed(text)
		micro := func(name string) time.Duration { return time.Duration(stat[name]) * time.Microsecond }
		u.cpu = &cpuUsage{
			total: micro("usage_usec"), user: micro("user_usec"), system: micro("system_usec"),
			periods: stat["nr_periods"], throttled: stat["nr_throttled"], throttledTime: micro("throttled_usec"),
		}
		u.limits.cpu = true
		weight, _ := c.number("", "cpu.weight")
		u.limits.shares = sharesOf(weight)
		text, _ := c.read("", "cpu.max")
		u.limits.quota, u.limits.period = parseCPUMax(text)
	}
	c.unifiedMemory(u)
	text, _ := c.read("", "io.stat")
	u.bytes, u.counts = parseIOStat(text)
}

func (c cgroup) unifiedMemory(u *usage) {
	text, _ := c.read("", "memory.stat")
	stat := parseKeyed(text)
	used, ok := c.number("", "memory.current")
	if !ok && len(stat) == 0 {
		return
	}
	if !ok { // the host's own cgroup
		used = stat["anon"] + stat["file"]
	}
	m := memoryOf(stat, used)
	m.swap, _ = c.number("", "memory.swap.current")
	m.max, _ = c.number("", "memory.peak")
	if m.kernel, ok = stat["kernel"]; !ok { // before Linux 5.18
		m.kernel = stat["kernel_stack"] + stat["pagetables"] + stat["percpu"] + stat["slab"]
	}
	u.memory = m
	if limit, ok := c.number("", "memory.max"); ok {
		u.limits.memory, u.limits.limit = true, limit
		u.limits.swapLimit, _ = c.number("", "memory.swap.max")
		low, _ := c.number("", "memory.low") // what Docker sets
		least, _ := c.number("", "memory.min")
		u.limits.reservation = max(low, least)
	}
	text, _ = c.read("", "memory.events")
	events := parseKeyed(text)
	m.failures = events["max"]
	if killed, ok := events["oom_kill"]; ok {
		u.ooms = &killed
	}
}

// hugePages reads the controller of huge pages, for each size that there is.
func (c cgroup) hugePages() []hugePages {
	folder := c.folder("hugetlb")
	if folder == "" {
		return nil
	}
	suffix := ".usage_in_bytes"
	if c.unified {
		suffix = ".current"
	}
	files, _ := os.ReadDir(folder)
	var out []hugePages
	for _, file := range files {
		size, isUsage := strings.CutSuffix(strings.TrimPrefix(file.Name(), "hugetlb."), suffix)
		if !isUsage || !strings.HasPrefix(file.Name(), "hugetlb.") || strings.Contains(size, "rsvd") {
			continue
		}
		h := hugePages{size: size}
		h.usage, _ = c.number("hugetlb", path.Base(file.Name()))
		if c.unified {
			text, _ := c.read("", "hugetlb."+size+".events")
			h.failures = parseKeyed(text)["max"]
		} else {
			h.max, _ = c.number("hugetlb", "hugetlb."+size+".max_usage_in_bytes")
			h.failures, _ = c.number("hugetlb", "hugetlb."+size+".failcnt")
		}
		out = append(out, h)
	}
	return out
}

// usageOf is what the Engine says a container uses.
func usageOf(said *docker.Usage, d *docker.Details) *usage {
	cpu := &said.CPU
	u := &usage{
		cpu: &cpuUsage{
			total: time.Duration(cpu.Usage.Total), user: time.Duration(cpu.Usage.User), system: time.Duration(cpu.Usage.System),
			periods: cpu.Throttling.Periods, throttled: cpu.Throttling.Throttled, throttledTime: time.Duration(cpu.Throttling.Time),
		},
		threads: &threads{current: said.Pids.Current, limit: said.Pids.Limit},
		network: networksOf(said),
		bytes:   operationsOf(said.Blkio.Bytes), counts: operationsOf(said.Blkio.Serviced),
		limits: limits{
			cpu: true, period: uint64(d.Limits.CPUPeriod), quota: uint64(d.Limits.CPUQuota), shares: uint64(d.Limits.CPUShares),
			memory: true, limit: uint64(d.Limits.Memory), swapLimit: uint64(d.Limits.MemorySwap), reservation: uint64(d.Limits.MemoryReservation),
		},
	}
	if u.limits.shares == 0 {
		u.limits.shares = 1024 // the kernel's default
	}
	for _, n := range cpu.Usage.PerCPU {
		u.cpu.perCPU = append(u.cpu.perCPU, time.Duration(n))
	}
	u.memory = memoryOf(said.Memory.Stats, said.Memory.Usage)
	u.memory.max, u.memory.failures, u.memory.kernel = said.Memory.MaxUsage, said.Memory.FailCnt, said.Memory.Stats["kernel"]
	return u
}

func operationsOf(entries []docker.BlkioEntry) []operation {
	var out []operation
	for _, e := range entries {
		name := e.Op
		if name != "" { // cgroup v2 answers read and write
			name = strings.ToUpper(name[:1]) + name[1:]
		}
		out = append(out, operation{device{e.Major, e.Minor}, name, e.Value})
	}
	return out
}

func networksOf(said *docker.Usage) []netInterface {
	var out []netInterface
	for name, n := range said.Networks {
		out = append(out, netInterface{name, n.RxBytes, n.RxPackets, n.RxErrors, n.RxDropped, n.TxBytes, n.TxPackets, n.TxErrors, n.TxDropped})
	}
	slices.SortFunc(out, func(a, b netInterface) int { return strings.Compare(a.name, b.name) })
	return out
}
