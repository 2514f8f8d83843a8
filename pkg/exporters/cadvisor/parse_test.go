package cadvisor

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestNumbersOfCgroups(t *testing.T) {
	for text, want := range map[string]uint64{"12\n": 12, "max\n": unlimited, "0": 0, "18446744073709551615": unlimited} {
		if got, ok := parseNumber([]byte(text)); !ok || got != want {
			t.Errorf("%q is %d, %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "-1", "1 2", "x", "18446744073709551616"} {
		if got, ok := parseNumber([]byte(text)); ok {
			t.Errorf("%q is read as %d", text, got)
		}
	}
	if got := parseKeyed([]byte("a 1\nb  2\n c 3 \nd x\n\ne 4 5\nf 6")); !maps.Equal(got, map[string]uint64{"a": 1, "c": 3, "f": 6}) {
		t.Errorf("lines of a name and a number: %v", got)
	}
	for text, want := range map[string][2]uint64{"max 100000\n": {0, 100000}, "50000 100000": {50000, 100000}, "": {}, "1 2 3": {}} {
		if quota, period := parseCPUMax([]byte(text)); quota != want[0] || period != want[1] {
			t.Errorf("%q is %d of %d", text, quota, period)
		}
	}
	for weight, want := range map[uint64]uint64{1: 2, 39: 998, 100: 2597, 10000: 262144, 0: 0, 10001: 0} {
		if got := sharesOf(weight); got != want {
			t.Errorf("the weight %d is %d shares, want %d", weight, got, want)
		}
	}
}

func TestDevicesOfCgroups(t *testing.T) {
	got := parseBlkio([]byte("8:0 Read 1\n8:16 Total 3\nTotal 4\n8:0 Write x\nx Read 1\n"))
	if want := []operation{{device{8, 0}, "Read", 1}, {device{8, 16}, "Total", 3}}; !slices.Equal(got, want) {
		t.Errorf("blkio: %v", got)
	}
	size, count := parseIOStat([]byte("8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5\n8:16 \n(unknown) rbytes=1\n254:0 rbytes=x wios=7\n"))
	if want := []operation{{device{8, 0}, "Read", 1}, {device{8, 0}, "Write", 2}}; !slices.Equal(size, want) {
		t.Errorf("bytes: %v", size)
	}
	if want := []operation{{device{8, 0}, "Read", 3}, {device{8, 0}, "Write", 4}, {device{254, 0}, "Write", 7}}; !slices.Equal(count, want) {
		t.Errorf("operations: %v", count)
	}
	numa := parseNuma([]byte("total=3 N0=3\nfile=1 N0=1 N1=0\nhierarchical_anon=2 N0=2\n"), 4096)
	if want := []nodePages{{"file", "container", "0", 1}, {"file", "container", "1", 0}, {"anon", "hierarchy", "0", 2}}; !slices.Equal(numa, want) {
		t.Errorf("NUMA of v1: %v", numa)
	}
	if numa = parseNuma([]byte("anon N0=8192 N1=0\nkernel_stack N0=1\n"), 4096); !slices.Equal(numa, []nodePages{{"anon", "container", "0", 2}, {"anon", "container", "1", 0}}) {
		t.Errorf("NUMA of v2: %v", numa)
	}
}

func TestNetworkOfAProcess(t *testing.T) {
	got, err := parseNetDev([]byte(netDevHead + "    lo: 9 9 9 9 0 0 0 0 9 9 9 9 0 0 0 0\n  eth0:1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\nveth1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\ndocker0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n"))
	if want := []netInterface{{"eth0", 1, 2, 3, 4, 9, 10, 11, 12}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("interfaces: %v, %v", got, err)
	}
	if got, err := parseNetDev([]byte("eth0: 1 2 3\n")); err == nil {
		t.Errorf("a line that is too short is read as %v", got)
	}
	tcp := parseTCP([]byte("  sl  local rem st\n 0: a b 0A x\n 1: a b 01 x\n 2: a b 01 x\n 3: a b 0C x\n 4: a b\n"))
	if want := []uint64{2, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0}; !slices.Equal(tcp, want) {
		t.Errorf("TCP: %v", tcp)
	}
	if got := parseUDP([]byte("sl local rem st tx rx tr when retr uid timeout inode ref pointer drops\n 1: a b 07 00000001:00000002 c d e 0 f 2 g 3\n 2: a b 07 z d e f 0 g 2 h 3\n")); got != (udpSockets{listen: 1, dropped: 3, rxQueued: 2, txQueued: 1}) {
		t.Errorf("UDP: %+v", got)
	}
	counters := map[string]float64{}
	parseCounters([]byte("TcpExt: A B\nTcpExt: 1 2\nIpExt: C\nIpExt: 3\nTcp: MaxConn D\nTcp: -1 x\n"), counters)
	if want := map[string]float64{"a": 1, "b": 2, "maxconn": -1}; !maps.Equal(counters, want) {
		t.Errorf("counters: %v", counters)
	}
}

func TestProcessFiles(t *testing.T) {
	for text, want := range map[string]int{"1 (a) S 1": 0, "1 (x) R) Z 1": -1, "1 (x) S) R 1": 1, "1 (a) t 1": 2, "1 (a) D 1": 3, "1 (a) I": 0, "": -1, "1 (a) ": -1} {
		if got := parseTaskState([]byte(text)); got != want {
			t.Errorf("the state in %q is %d, want %d", text, got, want)
		}
	}
	limits := parseLimits([]byte("Limit   Soft\nMax cpu time  unlimited unlimited seconds\nMax open files            unlimited            4096 files\n"))
	if want := []ulimit{{"max_open_files", -1}}; !slices.Equal(limits, want) {
		t.Errorf("limits: %v", limits)
	}
	if s, ok := parseSchedstat([]byte("1 2 3\n")); !ok || s != (schedule{1, 2, 3}) {
		t.Errorf("schedstat: %v, %v", s, ok)
	}
	if _, ok := parseSchedstat([]byte("1 2\n")); ok {
		t.Error("two numbers are taken for a schedstat")
	}
	if got := parseKilobytes([]byte("MemTotal:  12 kB\nHugePages_Total: 3\nx: y kB\nFilePmd : 1 kB")); !maps.Equal(got, map[string]uint64{"MemTotal": 12, "FilePmd": 1}) {
		t.Errorf("kilobytes: %v", got)
	}
}

// The counters of processes that have ended stay in the sum.
func TestTheTimeOfEndedProcessesCounts(t *testing.T) {
	dir := t.TempDir()
	write := func(pid int, text string) {
		os.MkdirAll(filepath.Join(dir, fmt.Sprint(pid)), 0o755)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(pid), "schedstat"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(1, "10 1 1")
	write(2, "20 2 2")
	var s schedules
	for _, step := range []struct {
		before func()
		pids   []int
		want   schedule
	}{
		{func() {}, []int{1, 2}, schedule{30, 3, 3}},
		{func() { write(1, "15 1 2") }, []int{1}, schedule{35, 3, 4}},
		{func() { write(2, "1 0 1") }, []int{1, 2}, schedule{36, 3, 5}},
		{func() { write(1, "2 0 1") }, []int{1, 2}, schedule{38, 3, 6}}, // another process of this number
		{func() {}, nil, schedule{38, 3, 6}},
	} {
		step.before()
		if got := s.update(procfs(dir), step.pids); got != step.want {
			t.Errorf("with %v: %v, want %v", step.pids, got, step.want)
		}
	}
}

func TestMachineFiles(t *testing.T) {
	mounts := parseMountInfo([]byte(`22 1 254:1 / / rw - ext4 /dev/vda1 rw
30 22 0:25 / /mnt/a\040b rw shared:1 master:2 - tmpfs tmpfs rw
31 22 0:26 / /proc rw - proc proc rw
32 22 254:1 /x /bind rw - ext4 /dev/vda1 rw
33 22 0:40 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw
34 22 0:41 / /var/lib/docker/containers/x/mounts/shm rw - tmpfs shm rw
35 22 8:1 / /var/lib/docker rw - xfs /dev/sda1 rw
36 22 x / / rw - ext4 y rw
37
`))
	var got []string
	for _, m := range ofMachine(mounts) {
		got = append(got, fmt.Sprint(m.source, " ", m.point, " ", m.device))
	}
	if want := []string{"/dev/vda1 / {254 1}", "/mnt/a b /mnt/a b {0 25}", "/dev/sda1 /var/lib/docker {8 1}"}; !slices.Equal(got, want) {
		t.Errorf("file systems: %q", got)
	}
	disks := parseDiskstats([]byte("   8       0 sda 1 2 3 4 5 6 7 8 9 10 11 0 0\n   8       1 sda1 1 2 3\n"))
	if want := map[device]diskIO{{8, 0}: {"sda", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}}; !reflect.DeepEqual(disks, want) {
		t.Errorf("disks: %v", disks)
	}
	for text, want := range map[string][3]int{
		"processor: 0\nphysical id: 0\ncore id: 0\n\nprocessor: 1\nphysical id: 0\ncore id: 0\n\nprocessor: 2\nphysical id: 1\ncore id: 0\n": {3, 2, 2},
		"processor\t: 0\nprocessor\t: 1\nmodel name: ARM\n": {2, 2, 1},
		"": {},
	} {
		if cpus, cores, sockets := parseCPUInfo([]byte(text)); [3]int{cpus, cores, sockets} != want {
			t.Errorf("%q: %d CPUs, %d cores, %d sockets", text, cpus, cores, sockets)
		}
	}
	for text, want := range map[string]int{"0": 1, "0-3,8": 5, "": 0, "3-1": 0, "x": 0, "0-1\n": 2} {
		if got := countList(text); got != want {
			t.Errorf("%q has %d numbers, want %d", text, got, want)
		}
	}
}

func TestTheTopologyOfTheMachine(t *testing.T) {
	h := newHost(t, false, false)
	for name, text := range map[string]string{
		"node/node0/meminfo": "Node 0 MemTotal:       8000 kB\n", "node/node0/distance": "10 20\n", "node/node0/hugepages/hugepages-2048kB/nr_hugepages": "3\n",
		"node/node0/cpu0/topology/core_id": "0\n", "node/node0/cpu0/topology/thread_siblings_list": "0,1\n",
		"node/node0/cpu1/topology/core_id": "0\n", "node/node0/cpu1/topology/thread_siblings_list": "0,1\n",
		"node/node0/cpu0/cache/index0/size": "32K\n", "node/node0/cpu0/cache/index0/type": "Data\n", "node/node0/cpu0/cache/index0/level": "1\n", "node/node0/cpu0/cache/index0/shared_cpu_list": "0,1\n",
		"node/node0/cpu0/cache/index3/size": "1024K\n", "node/node0/cpu0/cache/index3/type": "Unified\n", "node/node0/cpu0/cache/index3/level": "3\n", "node/node0/cpu0/cache/index3/shared_cpu_list": "0-7\n",
	} {
		h.write("sys/devices/system/"+name, text)
	}
	s := newSheet(readTable(kinds{kindTopology: true}))
	machine{}.tell(s, h.places(), nil)
	got := map[string]float64{}
	for _, f := range s.sorted() {
		for _, m := range f.Metric {
			got[f.GetName()+labelText(m.Label, true)] = m.GetGauge().GetValue()
		}
	}
	series(got).want(t, map[string]float64{
		"machine_node_memory_capacity_bytes{node_id=0}": 8000 << 10, "machine_node_distance{node_id=0,target_node_id=1}": 20,
		"machine_node_hugepages_count{node_id=0,page_size=2048}":                    3,
		"machine_thread_siblings_count{core_id=0,node_id=0,thread_id=1}":            2,
		"machine_cpu_cache_capacity_bytes{core_id=0,level=1,node_id=0,type=Data}":   32 << 10,
		"machine_cpu_cache_capacity_bytes{core_id=,level=3,node_id=0,type=Unified}": 1024 << 10,
	})
}

func TestFilesWithSeveralNamesCountOnce(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a"), make([]byte, 1<<16), 0o600); err != nil {
		t.Fatal(err)
	}
	before, inodes, err := sizeOf(t.Context(), dir)
	if err != nil || inodes != 2 || before < 1<<16 {
		t.Fatalf("%d bytes, %d inodes, %v", before, inodes, err)
	}
	if err := os.Link(filepath.Join(dir, "a"), filepath.Join(dir, "b")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc", filepath.Join(dir, "etc")); err != nil {
		t.Fatal(err)
	}
	if after, inodes, err := sizeOf(t.Context(), dir); err != nil || inodes != 3 || after > before+1<<13 {
		t.Errorf("with another name and a link: %d bytes, was %d; %d inodes, %v", after, before, inodes, err)
	}
	if _, _, err := sizeOf(t.Context(), filepath.Join(dir, "missing")); err == nil {
		t.Error("a folder that does not exist has a size")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := sizeOf(ended, dir); err == nil {
		t.Error("a measurement goes on when the exporter stops")
	}
}

// What never answers is asked once, and costs a page a while.
func TestAMeasurementThatHangsIsWaitedForOnce(t *testing.T) {
	var p patient[int]
	release, begun := make(chan struct{}), 0
	hangs := func(last int) int {
		begun++
		<-release
		return last + 1
	}
	for range 3 {
		if got := p.get(t.Context(), time.Millisecond, hangs); got != 0 {
			t.Errorf("a result before there is one: %d", got)
		}
	}
	close(release)
	p.settle(time.Minute)
	if begun != 1 {
		t.Errorf("begun %d times", begun)
	}
	if got := p.get(t.Context(), time.Minute, func(last int) int { return last + 1 }); got != 2 {
		t.Errorf("the result is %d, want 2", got)
	}
}

func TestUnreadableFilesOfContainersAreMissed(t *testing.T) {
	var d diskUsage
	got := d.of(t.Context(), []containerFolders{{id: "a", layer: "/does/not/exist"}})
	if got["a"].err == nil {
		t.Errorf("measured: %+v", got)
	}
}

// FuzzFiles reads files that a container may have written, in part: none of them costs
// more than itself, and what is read is in the text.
func FuzzFiles(f *testing.F) {
	for _, text := range []string{
		"8:0 Read 4096\nTotal 1", "8:0 rbytes=1 wios=2", "a 1\nb 2", "max 100000", "file=5 N0=5\nanon N0=4096", netDevHead + "eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16",
		"22 1 254:1 / /a\\040b rw - ext4 /dev/vda rw", "8 0 sda 1 2 3 4 5 6 7 8 9 10 11", "processor: 0\ncore id: 1", "1 (a) b) S 1", "TcpExt: A\nTcpExt: 1", "0-3,8", "MemTotal: 1 kB",
		"Max open files 1024 4096 files", "1: a b 07 00000001:00000002 c d e 0 f 2 g 3", "1 2 3",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		lines := strings.Count(string(text), "\n") + 1
		var again strings.Builder
		operations := parseBlkio(text)
		for _, o := range operations {
			fmt.Fprintf(&again, "%d:%d %s %d\n", o.major, o.minor, o.name, o.value)
		}
		if got := parseBlkio([]byte(again.String())); !slices.Equal(got, operations) {
			t.Errorf("blkio: %v, written and read: %v", operations, got)
		}
		again.Reset()
		keyed := parseKeyed(text)
		for name, value := range keyed {
			fmt.Fprintf(&again, "%s %d\n", name, value)
		}
		if got := parseKeyed([]byte(again.String())); !maps.Equal(got, keyed) {
			t.Errorf("keyed: %v, written and read: %v", keyed, got)
		}
		size, count := parseIOStat(text)
		interfaces, err := parseNetDev(text)
		if err != nil && interfaces != nil {
			t.Error("interfaces beside an error")
		}
		for _, n := range interfaces {
			if !strings.Contains(string(text), n.name) {
				t.Errorf("the interface %q is not in the text", n.name)
			}
		}
		cpus, cores, sockets := parseCPUInfo(text)
		udp := parseUDP(text)
		total := uint64(0)
		for _, n := range parseTCP(text) {
			total += n
		}
		for _, n := range []int{cpus, sockets, cores, len(parseDiskstats(text)), len(parseMountInfo(text)), len(parseLimits(text)), len(parseKilobytes(text)), int(udp.listen), int(total)} {
			if n > lines {
				t.Errorf("%d things in %d lines", n, lines)
			}
		}
		counters := map[string]float64{}
		parseCounters(text, counters)
		for _, n := range []int{len(size) + len(count), len(parseNuma(text, 0)), len(parseNumbers(text)), len(counters)} {
			if n > len(text) {
				t.Errorf("%d things in %d bytes", n, len(text))
			}
		}
		if state := parseTaskState(text); state < -1 || state >= len(taskStates()) {
			t.Errorf("state %d", state)
		}
		if n := countList(string(text)); n < 0 || n > 65536*(strings.Count(string(text), ",")+1) {
			t.Errorf("a list of %d", n)
		}
		parseCPUMax(text)
		parseNumber(text)
		parseSchedstat(text)
	})
}
