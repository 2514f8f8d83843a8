package cadvisor

import (
	"bytes"
	"errors"
	"os"
	"path"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"
	"golang.org/x/sys/unix"
)

// places are where the host's files are.
type places struct {
	root    string   // the host's /, or "" if this is it
	cgroups []string // folders that may have the host's cgroups
	proc    procfs   // the host's; "" if it is not here
	ownProc string   // any /proc: memory, disks and CPUs are the host's in each
	sys     string
}

// rootfs is where images of cAdvisor expect the host's /.
const rootfs = "/rootfs"

// findPlaces looks where a container with the usual mounts has the host's files.
func findPlaces() places {
	p := places{cgroups: []string{"/sys/fs/cgroup"}, ownProc: "/proc", sys: "/sys"}
	if exists(rootfs + "/proc/1") {
		p.root, p.proc = rootfs, rootfs+"/proc"
		p.cgroups = []string{rootfs + "/sys/fs/cgroup", "/sys/fs/cgroup"}
	} else if ofHost, err := os.Readlink("/proc/self/ns/pid"); err == nil && ofHost == "pid:[4026531836]" || !inContainer() {
		p.proc = "/proc" // that number is the first namespace's
	}
	return p
}

func inContainer() bool { return exists("/.dockerenv") || exists("/run/.containerenv") }

// machine is what the metrics machine_* show.
type machine struct {
	memory, swap            uint64
	cpus, cores, sockets    int
	machineID, uuid, bootID string
}

// machineEvery is how old what is known of the machine may become.
const machineEvery = 5 * time.Minute

// machineReader keeps what is known of the machine for a while.
type machineReader struct {
	mu   sync.Mutex
	last machine   // guarded by mu
	err  error     // guarded by mu
	at   time.Time // guarded by mu
}

func (r *machineReader) read(p places, now time.Time) (machine, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.at.IsZero() || now.Sub(r.at) >= machineEvery {
		r.last, r.err = readMachine(p)
		r.at = now
	}
	return r.last, r.err
}

func readMachine(p places) (machine, error) {
	var m machine
	memory, memoryErr := os.ReadFile(path.Join(p.ownProc, "meminfo"))
	fields := parseKilobytes(memory)
	m.memory, m.swap = fields["MemTotal"]<<10, fields["SwapTotal"]<<10
	cpus, cpusErr := os.ReadFile(path.Join(p.ownProc, "cpuinfo"))
	m.cpus, m.cores, m.sockets = parseCPUInfo(cpus)
	m.machineID = firstFile(path.Join(p.root, "/etc/machine-id"), path.Join(p.root, "/var/lib/dbus/machine-id"))
	m.uuid = firstFile(path.Join(p.sys, "class/dmi/id/product_uuid"), path.Join(p.ownProc, "device-tree/vm,uuid"))
	m.bootID = firstFile(path.Join(p.ownProc, "sys/kernel/random/boot_id"))
	return m, errors.Join(memoryErr, cpusErr)
}

func firstFile(names ...string) string {
	for _, name := range names {
		if text, err := os.ReadFile(name); err == nil {
			return strings.TrimSpace(strings.TrimRight(string(text), "\x00"))
		}
	}
	return ""
}

// parseCPUInfo counts CPUs, cores and sockets in /proc/cpuinfo. If it does not list
// cores, as on ARM, each CPU is one, in one socket.
func parseCPUInfo(text []byte) (cpus, cores, sockets int) {
	foundCores, foundSockets := map[string]bool{}, map[string]bool{}
	socket := ""
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch strings.TrimSpace(name) {
		case "processor":
			if _, err := strconv.Atoi(value); err == nil {
				cpus++
			}
		case "physical id":
			socket = value
			foundSockets[value] = true
		case "core id":
			foundCores[socket+" "+value] = true
		}
	}
	cores, sockets = len(foundCores), len(foundSockets)
	if cores == 0 {
		cores = cpus
	}
	if sockets == 0 && cpus > 0 {
		sockets = 1
	}
	return cpus, cores, sockets
}

// tell adds what is known of the machine to the page.
func (m machine) tell(s *sheet, p places, err error) {
	labels := labelsOf(map[string]string{"machine_id": m.machineID, "system_uuid": m.uuid, "boot_id": m.bootID})
	s.add("machine_scrape_error", nil, flag(err != nil))
	if m.cpus > 0 {
		s.add("machine_cpu_cores", labels, float64(m.cpus))
		s.add("machine_cpu_physical_cores", labels, float64(m.cores))
		s.add("machine_cpu_sockets", labels, float64(m.sockets))
	}
	if m.memory > 0 {
		s.add("machine_memory_bytes", labels, float64(m.memory))
	}
	s.add("machine_nvm_avg_power_budget_watts", labels, 0)
	for _, mode := range []string{"memory_mode", "app_direct_mode"} {
		s.add("machine_nvm_capacity", labels, 0, "mode", mode)
	}
	if s.metrics["machine_node_distance"].on {
		tellTopology(s, path.Join(p.sys, "devices/system"), labels)
	}
}

func flag(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

// tellTopology puts the NUMA nodes and their CPUs on the page.
func tellTopology(s *sheet, folder string, labels []*dto.LabelPair) {
	for _, node := range numbered(path.Join(folder, "node"), "node") {
		at := path.Join(folder, "node", "node"+node)
		if text, err := os.ReadFile(path.Join(at, "meminfo")); err == nil {
			// Each line begins with "Node 0 ".
			fields := parseKilobytes(bytes.ReplaceAll(text, []byte("Node "+node+" "), nil))
			s.add("machine_node_memory_capacity_bytes", labels, float64(fields["MemTotal"]<<10), "node_id", node)
		}
		if text, err := os.ReadFile(path.Join(at, "distance")); err == nil {
			for target, distance := range parseNumbers(text) {
				s.add("machine_node_distance", labels, float64(distance), "node_id", node, "target_node_id", strconv.Itoa(target))
			}
		}
		for _, size := range numbered(path.Join(at, "hugepages"), "hugepages-") {
			count := firstFile(path.Join(at, "hugepages", "hugepages-"+size, "nr_hugepages"))
			if n, ok := parseNumber([]byte(count)); ok {
				s.add("machine_node_hugepages_count", labels, float64(n), "node_id", node, "page_size", strings.TrimSuffix(size, "kB"))
			}
		}
		tellCores(s, at, node, labels)
	}
}

// tellCores puts the cores of a node on the page: their threads and caches.
func tellCores(s *sheet, at, node string, labels []*dto.LabelPair) {
	cached := map[string]bool{}
	for _, cpu := range numbered(at, "cpu") {
		topology := path.Join(at, "cpu"+cpu, "topology")
		core := firstFile(path.Join(topology, "core_id"))
		siblings := firstFile(path.Join(topology, "thread_siblings_list"))
		if core == "" {
			continue
		}
		s.add("machine_thread_siblings_count", labels, float64(countList(siblings)), "node_id", node, "core_id", core, "thread_id", cpu)
		for _, index := range numbered(path.Join(at, "cpu"+cpu, "cache"), "index") {
			file := func(name string) string { return firstFile(path.Join(at, "cpu"+cpu, "cache", "index"+index, name)) }
			size, err := strconv.ParseUint(strings.TrimSuffix(file("size"), "K"), 10, 44)
			owner := core
			if countList(file("shared_cpu_list")) > countList(siblings) { // of several cores
				owner = ""
			}
			key := owner + " " + file("type") + " " + file("level")
			if err == nil && !cached[key] {
				cached[key] = true
				s.add("machine_cpu_cache_capacity_bytes", labels, float64(size<<10), "node_id", node, "core_id", owner, "type", file("type"), "level", file("level"))
			}
		}
	}
}

// numbered are what follows prefix in the names in a folder, where it begins with a digit.
func numbered(folder, prefix string) []string {
	entries, _ := os.ReadDir(folder)
	var out []string
	for _, entry := range entries {
		if rest, ok := strings.CutPrefix(entry.Name(), prefix); ok && rest != "" && rest[0] >= '0' && rest[0] <= '9' {
			out = append(out, rest)
		}
	}
	return out
}

// countList counts the numbers in a list such as 0-3,8.
func countList(text string) (count int) {
	for part := range strings.SplitSeq(strings.TrimSpace(text), ",") {
		first, last, isRange := strings.Cut(part, "-")
		from, err := strconv.ParseUint(first, 10, 16)
		if err != nil {
			continue
		}
		to := from
		if isRange {
			if to, err = strconv.ParseUint(last, 10, 16); err != nil || to < from {
				continue
			}
		}
		count += int(to-from) + 1
	}
	return count
}

// tellVersions puts the program, the kernel and the operating system on the page.
func tellVersions(s *sheet, p places, userAgent string) {
	_, version, _ := strings.Cut(userAgent, "/")
	tags, revision := "unknown", "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range info.Settings {
			switch setting.Key {
			case "-tags":
				tags = setting.Value
			case "vcs.revision":
				revision = setting.Value
			}
		}
	}
	s.add("cadvisor_build_info", nil, 1, "goarch", runtime.GOARCH, "goos", runtime.GOOS, "goversion", runtime.Version(),
		"revision", revision, "tags", tags, "version", version)
	var name unix.Utsname
	kernel := "Unknown"
	if unix.Uname(&name) == nil {
		kernel = unix.ByteSliceToString(name.Release[:])
	}
	s.add("cadvisor_version_info", nil, 1, "kernelVersion", kernel, "osVersion", systemName(p.root))
}

// systemName is the name of the host's operating system.
func systemName(root string) string {
	text := firstFile(path.Join(root, "/etc/os-release"), path.Join(root, "/usr/lib/os-release"))
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME="); ok {
			return strings.Trim(value, `"'`)
		}
	}
	return "Linux"
}
