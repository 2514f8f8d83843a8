package unix

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/safchain/ethtool"
	"golang.org/x/sys/unix"
)

// The tests of this file need the kernel, or rights, that not every machine has;
// they are skipped there.

// statistical is a network interface that has statistics of its own.
func statistical(t *testing.T) (device, statistic string) {
	t.Helper()
	e, err := ethtool.NewEthtool()
	if err != nil {
		t.Skipf("ethtool: %v", err)
	}
	defer e.Close()
	all, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range all {
		if strings.HasPrefix(i.Name, "veth") || strings.HasPrefix(i.Name, "br-") {
			continue // a container's, which may end at any time
		}
		stats, err := e.Stats(i.Name)
		if err != nil || len(stats) < 2 {
			continue
		}
		names := make([]string, 0, len(stats))
		for name := range stats {
			names = append(names, name)
		}
		return i.Name, names[0]
	}
	t.Skip("no network interface has statistics")
	return "", ""
}

func TestEthtool(t *testing.T) {
	device, statistic := statistical(t)
	page := func(settings string) []string {
		u, err := makeExporter("set_collectors = [\"ethtool\"]\n" + settings)
		if err != nil {
			t.Fatal(err)
		}
		return u.page(t)
	}
	statistics := func(page []string, device string) (n int) {
		for _, line := range page {
			if strings.HasPrefix(line, "node_ethtool_") && !strings.HasPrefix(line, "node_ethtool_info") && strings.Contains(line, fmt.Sprintf("{device=%q}", device)) {
				n++
			}
		}
		return n
	}
	all := statistics(page(""), device)
	if all < 2 {
		t.Fatalf("%d statistics of %s", all, device)
	}
	if n := statistics(page(fmt.Sprintf("ethtool { device_exclude = \"^%s$\" }", device)), device); n != 0 {
		t.Errorf("%d statistics of a device that is excluded", n)
	}
	if n := statistics(page(`ethtool { device_include = "^none$" }`), device); n != 0 {
		t.Errorf("%d statistics of a device that is not included", n)
	}
	if n := statistics(page(fmt.Sprintf("ethtool { metrics_include = %q }", "^"+statistic+"$")), device); n != 1 {
		t.Errorf("%d statistics, though %q is the only one that is included", n, statistic)
	}
}

// clock is an NTP server of this machine, at the port that cannot be set.
func clock(t *testing.T, address string) (asked func() (version, ttl int)) {
	t.Helper()
	conn, err := net.ListenPacket("udp4", address+":123")
	if err != nil {
		t.Skipf("listen as an NTP server does: %v", err)
	}
	t.Cleanup(func() { conn.Close() })
	raw, err := conn.(*net.UDPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_RECVTTL, 1) }); err != nil {
		t.Fatal(err)
	}
	seen := make(chan [2]int, 16)
	go func() {
		request, control := make([]byte, 64), make([]byte, 64)
		for {
			n, m, _, from, err := conn.(*net.UDPConn).ReadMsgUDP(request, control)
			if err != nil || n < 48 {
				return
			}
			version, ttl := int(request[0]>>3&7), 0
			if messages, err := syscall.ParseSocketControlMessage(control[:m]); err == nil && len(messages) > 0 {
				ttl = int(binary.NativeEndian.Uint32(messages[0].Data))
			}
			seen <- [2]int{version, ttl}
			_, _ = conn.WriteTo(timeAnswer(request, version), from)
		}
	}()
	return func() (int, int) { a := <-seen; return a[0], a[1] }
}

// timeAnswer is what a server of stratum 2 answers, 500 ms away from its source,
// whose clock is 5 s ahead.
func timeAnswer(request []byte, version int) []byte {
	answer := make([]byte, 48)
	answer[0], answer[1], answer[2], answer[3] = byte(version<<3|4), 2, 6, 0xec
	binary.BigEndian.PutUint32(answer[4:], 1<<15) // root delay: 0.5 s
	now := time.Now().Add(5 * time.Second)
	stamp := uint64(now.Unix()+2_208_988_800)<<32 | uint64(now.Nanosecond())<<32/1_000_000_000
	binary.BigEndian.PutUint64(answer[16:], stamp)
	copy(answer[24:32], request[40:48])
	binary.BigEndian.PutUint64(answer[32:], stamp)
	binary.BigEndian.PutUint64(answer[40:], stamp)
	return answer
}

func TestNTP(t *testing.T) {
	asked := clock(t, "127.0.0.77")
	page := func(settings string) []string {
		u, err := makeExporter("set_collectors = [\"ntp\"]\nntp {\n" + settings + "\n}")
		if err != nil {
			t.Fatal(err)
		}
		return u.page(t)
	}
	const server, patient = "server = \"127.0.0.77\"\n", "local_offset_tolerance = \"10s\"\n"
	for settings, want := range map[string]struct {
		version, ttl int
		line         string
	}{
		server + patient: {4, 1, "node_ntp_sanity 1"},
		server:           {4, 1, "node_ntp_sanity 0"},
		server + patient + "protocol_version = 3\nip_ttl = 9":                              {3, 9, "node_ntp_stratum 2"},
		server + patient + "max_distance = \"100ms\"":                                      {4, 1, "node_ntp_sanity 0"},
		"server = \"localhost\"\nserver_is_local = true\nlocal_offset_tolerance = \"-0s\"": {0, 0, `node_scrape_collector_success{collector="ntp"} 0`},
	} {
		got := page(settings)
		if !has(got, want.line) {
			t.Errorf("%s: no %s in\n%s", settings, want.line, strings.Join(got, "\n"))
		}
		if want.version == 0 { // nobody answers at that name
			continue
		}
		if version, ttl := asked(); version != want.version || ttl != want.ttl {
			t.Errorf("%s: asked with version %d and TTL %d", settings, version, ttl)
		}
	}
	if _, err := makeExporter("set_collectors = [\"ntp\"]\nntp { server = \"localhost\" }"); err == nil {
		t.Error("a name is accepted without server_is_local")
	}
	if _, err := makeExporter("set_collectors = [\"ntp\"]\nntp { local_offset_tolerance = \"-1s\" }"); err == nil {
		t.Error("a negative local_offset_tolerance is accepted")
	}
}

func TestPerf(t *testing.T) {
	page := func(settings string) ([]string, string) {
		u, err := makeExporter("set_collectors = [\"perf\"]\nperf {\n" + settings + "\n}")
		if err != nil {
			t.Fatal(err)
		}
		return u.page(t), u.Status().(Status).Failed["perf"]
	}
	const software = "disable_hardware_profilers = true\ndisable_cache_profilers = true\n"
	got, why := page(software)
	if why != "" {
		t.Skipf("the kernel does not let us count: %s", why)
	}
	if !has(got, `node_perf_page_faults_total{cpu="0"}`) || has(got, "node_perf_cpucycles_total") || has(got, "node_perf_cache_") {
		t.Errorf("software only:\n%s", strings.Join(got, "\n"))
	}
	if got, why := page(software + "cpus = \"0\""); why != "" || has(got, `node_perf_page_faults_total{cpu="1"}`) || !has(got, `node_perf_page_faults_total{cpu="0"}`) {
		t.Errorf("of the first processor only: %s\n%s", why, strings.Join(got, "\n"))
	}
	if got, why := page(software + "disable_software_profilers = true\ntracepoint = [\"sched:sched_process_fork\"]"); why == "" {
		if !has(got, "node_perf_sched_sched_process_fork{") || has(got, "node_perf_page_faults_total") {
			t.Errorf("a tracepoint only:\n%s", strings.Join(got, "\n"))
		}
	} else {
		t.Logf("tracepoints are not available: %s", why)
	}
	if _, why := page(software + "tracepoint = [\"nothing\"]"); !strings.Contains(why, "tracepoint") {
		t.Errorf("a wrong tracepoint: %q", why)
	}
	if got, why := page("disable_software_profilers = true\ndisable_cache_profilers = true"); why == "" && has(got, "node_perf_page_faults_total") {
		t.Errorf("hardware only:\n%s", strings.Join(got, "\n"))
	}
	cache := "disable_software_profilers = true\ndisable_hardware_profilers = true\n"
	if got, why := page(cache + "cache_profilers = [\"L1DataReadHit\"]"); why == "" && has(got, "node_perf_cache_") && (!has(got, "node_perf_cache_l1d_read_hits_total") || has(got, "node_perf_cache_ll_read_hits_total")) {
		t.Errorf("one cache only:\n%s", strings.Join(got, "\n"))
	}
}

// A file system whose server never answers blocks whoever asks for its size.
func TestAMountPointThatHangsIsSkipped(t *testing.T) {
	server, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("a file system that hangs: %v", err)
	}
	defer server.Close()
	m := newMachine(t)
	at := filepath.Join(m.dir, "hangs")
	if err := os.MkdirAll(at, 0o755); err != nil {
		t.Fatal(err)
	}
	err = syscall.Mount("toy", at, "fuse.toy", 0, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", server.Fd()))
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENODEV) {
		t.Skipf("a file system that hangs: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	defer syscall.Unmount(at, syscall.MNT_DETACH)
	m.write(t, "proc/1/mounts", "toy "+at+" fuse.toy rw 0 0\n")
	u := m.exporter(t, "set_collectors = [\"filesystem\"]\nfilesystem { mount_timeout = \"10ms\" }")
	first := make(chan []string)
	go func() { first <- u.page(t) }()
	line := fmt.Sprintf("node_filesystem_device_error{device=\"toy\",fstype=\"fuse.toy\",mountpoint=%q} 1", at)
	deadline := time.After(time.Minute)
	for found := false; !found; { // with 10 ms, soon
		later := make(chan bool)
		go func() { later <- has(u.page(t), line) }()
		select {
		case found = <-later:
		case <-time.After(200 * time.Millisecond): // it was asked before the time was over
		case <-deadline:
			t.Fatal("no page is made while a mount point hangs")
		}
	}
	server.Close() // which fails whoever waits
	<-first
}
