package cadvisor

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	dto "github.com/prometheus/client_model/go"
)

// owner is whose series they are, on one page.
type owner struct {
	*sheet
	labels []*dto.LabelPair
}

func (o owner) tell(name string, value float64, more ...string) {
	o.add(name, o.labels, value, more...)
}

// bytesLimit is a limit of memory as it is exposed: 0 where there is none.
func bytesLimit(n uint64) float64 {
	if n > mostBytes {
		return 0
	}
	return float64(n)
}

func (o owner) limits(l limits) {
	if l.cpu {
		o.tell("container_spec_cpu_period", float64(l.period))
		o.tell("container_spec_cpu_shares", float64(l.shares))
		if l.quota != 0 {
			o.tell("container_spec_cpu_quota", float64(l.quota))
		}
	}
	if l.memory {
		o.tell("container_spec_memory_limit_bytes", bytesLimit(l.limit))
		o.tell("container_spec_memory_swap_limit_bytes", bytesLimit(l.swapLimit))
		o.tell("container_spec_memory_reservation_limit_bytes", bytesLimit(l.reservation))
	}
}

func (o owner) cpu(u *usage, perCPU bool) {
	if u.cpu == nil {
		return
	}
	o.tell("container_cpu_user_seconds_total", u.cpu.user.Seconds())
	o.tell("container_cpu_system_seconds_total", u.cpu.system.Seconds())
	if perCPU && len(u.cpu.perCPU) > 0 {
		for i, used := range u.cpu.perCPU {
			if used > 0 {
				o.tell("container_cpu_usage_seconds_total", used.Seconds(), "cpu", fmt.Sprintf("cpu%02d", i))
			}
		}
	} else if u.cpu.total > 0 {
		o.tell("container_cpu_usage_seconds_total", u.cpu.total.Seconds(), "cpu", "total")
	}
	if u.limits.quota != 0 {
		o.tell("container_cpu_cfs_periods_total", float64(u.cpu.periods))
		o.tell("container_cpu_cfs_throttled_periods_total", float64(u.cpu.throttled))
		o.tell("container_cpu_cfs_throttled_seconds_total", u.cpu.throttledTime.Seconds())
	}
}

func (o owner) memory(m *memoryUsage) {
	if m == nil {
		return
	}
	o.tell("container_memory_cache", float64(m.cache))
	o.tell("container_memory_rss", float64(m.rss))
	o.tell("container_memory_mapped_file", float64(m.mapped))
	o.tell("container_memory_swap", float64(m.swap))
	o.tell("container_memory_kernel_usage", float64(m.kernel))
	o.tell("container_memory_failcnt", float64(m.failures))
	o.tell("container_memory_usage_bytes", float64(m.usage))
	o.tell("container_memory_max_usage_bytes", float64(m.max))
	o.tell("container_memory_working_set_bytes", float64(m.workingSet()))
	for _, f := range []struct {
		kind, scope string
		count       uint64
	}{
		{"pgfault", "container", m.faults}, {"pgfault", "hierarchy", m.faultsBelow},
		{"pgmajfault", "container", m.majorFaults}, {"pgmajfault", "hierarchy", m.majorFaultsBelow},
	} {
		o.tell("container_memory_failures_total", float64(f.count), "failure_type", f.kind, "scope", f.scope)
	}
}

func (o owner) network(interfaces []netInterface) {
	for _, n := range interfaces {
		for _, direction := range []struct {
			name                            string
			bytes, packets, dropped, errors uint64
		}{
			{"receive", n.rxBytes, n.rxPackets, n.rxDropped, n.rxErrors},
			{"transmit", n.txBytes, n.txPackets, n.txDropped, n.txErrors},
		} {
			prefix := "container_network_" + direction.name + "_"
			o.tell(prefix+"bytes_total", float64(direction.bytes), "interface", n.name)
			o.tell(prefix+"packets_total", float64(direction.packets), "interface", n.name)
			o.tell(prefix+"packets_dropped_total", float64(direction.dropped), "interface", n.name)
			o.tell(prefix+"errors_total", float64(direction.errors), "interface", n.name)
		}
	}
}

// blocks adds what was read and written: what the cgroup counts, and for the file systems
// what their devices count, as cAdvisor does. A device that both have counts once, by the
// cgroup.
func (o owner) blocks(u *usage, filesystems []filesystem, disks map[device]diskIO) {
	counted := map[string]bool{}
	for _, op := range u.bytes {
		name := deviceName(op.device, disks)
		o.tell("container_blkio_device_usage_total", float64(op.value), "device", name,
			"major", strconv.FormatUint(op.major, 10), "minor", strconv.FormatUint(op.minor, 10), "operation", op.name)
		switch op.name {
		case "Read":
			o.tell("container_fs_reads_bytes_total", float64(op.value), "device", name)
		case "Write":
			o.tell("container_fs_writes_bytes_total", float64(op.value), "device", name)
		}
	}
	for _, op := range u.counts {
		name := deviceName(op.device, disks)
		switch op.name {
		case "Read":
			o.tell("container_fs_reads_total", float64(op.value), "device", name)
			counted[name] = true
		case "Write":
			o.tell("container_fs_writes_total", float64(op.value), "device", name)
			counted[name] = true
		}
	}
	for i := range filesystems {
		f := &filesystems[i]
		if !counted[f.source] {
			o.tell("container_fs_reads_total", float64(f.io.reads), "device", f.source)
			o.tell("container_fs_writes_total", float64(f.io.writes), "device", f.source)
		}
		o.disk(f)
	}
}

// disk adds what a file system's device counts beyond reads and writes.
func (o owner) disk(f *filesystem) {
	seconds := func(millis uint64) float64 { return float64(millis) / 1000 }
	for name, value := range map[string]float64{
		"container_fs_sector_reads_total":             float64(f.io.sectorsRead),
		"container_fs_reads_merged_total":             float64(f.io.readsMerged),
		"container_fs_read_seconds_total":             seconds(f.io.readMillis),
		"container_fs_sector_writes_total":            float64(f.io.sectorsWritten),
		"container_fs_writes_merged_total":            float64(f.io.writesMerged),
		"container_fs_write_seconds_total":            seconds(f.io.writeMillis),
		"container_fs_io_current":                     float64(f.io.current),
		"container_fs_io_time_seconds_total":          seconds(f.io.busyMillis),
		"container_fs_io_time_weighted_seconds_total": seconds(f.io.weightedMillis),
	} {
		o.tell(name, value, "device", f.source)
	}
}

func deviceName(d device, disks map[device]diskIO) string {
	if name := disks[d].name; name != "" {
		return "/dev/" + name
	}
	return ""
}

// space adds how full the file systems of the machine are.
func (o owner) space(filesystems []filesystem) {
	for i := range filesystems {
		f := &filesystems[i]
		o.tell("container_fs_limit_bytes", float64(f.size), "device", f.source)
		o.tell("container_fs_usage_bytes", float64(f.used), "device", f.source)
		o.tell("container_fs_inodes_total", float64(f.inodes), "device", f.source)
		o.tell("container_fs_inodes_free", float64(f.inodesFree), "device", f.source)
	}
}

// folders adds what a container takes on its file system.
func (o owner) folders(f *filesystem, used folderUsage, known bool) {
	o.tell("container_fs_limit_bytes", float64(f.size), "device", f.source)
	if !known || used.err != nil {
		return
	}
	o.tell("container_fs_usage_bytes", float64(used.bytes+used.beside), "device", f.source)
	o.tell("container_fs_inodes_total", float64(used.inodes), "device", f.source)
	o.tell("container_fs_inodes_free", 0, "device", f.source)
}

// rest adds what the cgroup has beyond CPU, memory and blocks.
func (o owner) rest(u *usage) {
	if u.ooms != nil {
		o.tell("container_oom_events_total", float64(*u.ooms))
	}
	if u.migrate != nil {
		o.tell("container_memory_migrate", float64(*u.migrate))
	}
	for _, n := range u.numa {
		o.tell("container_memory_numa_pages", float64(n.pages), "type", n.kind, "scope", n.scope, "node", n.node)
	}
	for _, h := range u.huge {
		o.tell("container_hugetlb_failcnt", float64(h.failures), "pagesize", h.size)
		o.tell("container_hugetlb_usage_bytes", float64(h.usage), "pagesize", h.size)
		o.tell("container_hugetlb_max_usage_bytes", float64(h.max), "pagesize", h.size)
	}
	if u.threads != nil {
		limit := u.threads.limit
		if limit == unlimited {
			limit = 0
		}
		o.tell("container_threads", float64(u.threads.current))
		o.tell("container_threads_max", float64(limit))
	}
}

func (o owner) states(counts []uint64) {
	for i, state := range taskStates() {
		o.tell("container_tasks_state", float64(counts[i]), "state", state)
	}
}

// sockets adds a network's sockets. With many of them, the files are long.
func (o owner) sockets(p procfs, pid int, on kinds) {
	for _, version := range []string{"", "6"} {
		if on[kindTCP] {
			text, _ := p.read(pid, "net/tcp"+version)
			for i, count := range parseTCP(text) {
				o.tell("container_network_tcp"+version+"_usage_total", float64(count), "tcp_state", tcpStates()[i])
			}
		}
		if on[kindUDP] {
			text, _ := p.read(pid, "net/udp"+version)
			u := parseUDP(text)
			for state, count := range map[string]uint64{"listen": u.listen, "dropped": u.dropped, "rxqueued": u.rxQueued, "txqueued": u.txQueued} {
				o.tell("container_network_udp"+version+"_usage_total", float64(count), "udp_state", state)
			}
		}
	}
	if on[kindAdvTCP] {
		counters := map[string]float64{}
		for _, file := range []string{"net/netstat", "net/snmp"} {
			text, _ := p.read(pid, file)
			parseCounters(text, counters)
		}
		for _, name := range slices.Sorted(maps.Keys(counters)) {
			o.tell("container_network_advance_tcp_stats_total", counters[name], "tcp_state", name)
		}
	}
}

// processes adds the processes in a cgroup.
func (o owner) processes(p procfs, pids []int, first int, on kinds) {
	if on[kindProcess] {
		files, sockets := p.descriptors(pids)
		o.tell("container_processes", float64(len(pids)))
		o.tell("container_file_descriptors", float64(files))
		o.tell("container_sockets", float64(sockets))
		text, _ := p.read(first, "limits")
		for _, limit := range parseLimits(text) {
			o.tell("container_ulimits_soft", float64(limit.soft), "ulimit", limit.name)
		}
	}
	if on[kindReferenced] {
		o.tell("container_referenced_bytes", float64(p.referenced(pids)))
	}
}

func (o owner) schedule(s schedule) {
	o.tell("container_cpu_schedstat_run_seconds_total", time.Duration(s.run).Seconds())
	o.tell("container_cpu_schedstat_runqueue_seconds_total", time.Duration(s.wait).Seconds())
	o.tell("container_cpu_schedstat_run_periods_total", float64(s.slices))
}
