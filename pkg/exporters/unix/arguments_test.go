package unix

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// effect is what an argument changes on the page.
type effect struct {
	argument   string // as a path
	collectors string // that are on, beside nothing else
	settings   string
	// with are beginnings of lines that are there with the settings only, and without
	// of those that are there without them only.
	with, without []string
}

func lines(text ...string) []string { return text }

func effects(m machine) []effect {
	const hung = `node_filesystem_device_error{device="gvfsd-fuse",fstype="fuse.gvfsd-fuse",mountpoint="/run/user/1000/gvfs"} `
	text, service, root := filepath.Join(m.dir, "text/a"), filepath.Join(m.dir, "service"), filepath.Join(m.dir, "root")
	return []effect{
		{"include_exporter_metrics", "loadavg", `include_exporter_metrics = true`, lines("promhttp_metric_handler_requests_total"), nil},
		{"enable_collectors", "loadavg", `enable_collectors = ["entropy"]`, lines("node_entropy_available_bits 1337"), nil},
		{"disable_collectors", "loadavg", `disable_collectors = ["loadavg"]`, nil, lines("node_load1 0.21")},
		{"rootfs_path", "filesystem", fmt.Sprintf("rootfs_path = %q", root), lines(hung + "0"), lines(hung + "1")},
		{"arp/device_exclude", "arp", `arp { device_exclude = "eth0|nope" }`, nil, lines(`node_arp_entries{device="eth0"} 3`)},
		{"arp/device_include", "arp", `arp { device_include = "eth0" }`, nil, lines(`node_arp_entries{device="eth1"} 3`)},
		{"arp/netlink", "arp", `arp { netlink = true }`, nil, lines(`node_arp_entries{device="nope"} 1`)},
		{"bcache/priority_stats", "bcache", `bcache { priority_stats = true }`, lines("node_bcache_priority_stats_unused_percent{"), nil},
		{"cpu/guest", "cpu", `cpu { guest = true }`, lines(`node_cpu_guest_seconds_total{cpu="0",mode="nice"} 0.01`), nil},
		{"cpu/info", "cpu", `cpu { info = true }`, lines(`node_cpu_info{cachesize="8192 KB"`), nil},
		{"cpu/flags_include", "cpu", `cpu { flags_include = "^avx2$" }`, lines(`node_cpu_flag_info{flag="avx2"} 1`), nil},
		{"cpu/bugs_include", "cpu", `cpu { bugs_include = "^mds$" }`, lines(`node_cpu_bug_info{bug="mds"} 1`), nil},
		{"disk/device_exclude", "diskstats", `disk { device_exclude = "^dm-" }`, lines(`node_disk_io_now{device="sda1"}`), lines(`node_disk_io_now{device="dm-0"}`)},
		{"disk/device_include", "diskstats", `disk { device_include = "^sda$" }`, nil, lines(`node_disk_io_now{device="dm-0"}`)},
		{"filesystem/fs_types_exclude", "filesystem", `filesystem { fs_types_exclude = "^ext4$" }`, lines(`node_filesystem_device_error{device="rpc_pipefs"`), lines(`node_filesystem_device_error{device="/dev/dm-2"`)},
		{"filesystem/mount_points_exclude", "filesystem", `filesystem { mount_points_exclude = "^/$" }`, nil, lines(`node_filesystem_device_error{device="/dev/dm-2",fstype="ext4",mountpoint="/"}`)},
		{"hwmon/chip_exclude", "hwmon", `hwmon { chip_exclude = "nct6779" }`, nil, lines(`node_hwmon_chip_names{chip="nct6779"`)},
		{"hwmon/chip_include", "hwmon", `hwmon { chip_include = "coretemp" }`, nil, lines(`node_hwmon_chip_names{chip="nct6779"`)},
		{"ipvs/backend_labels", "ipvs", `ipvs { backend_labels = ["local_port"] }`, lines(`node_ipvs_backend_weight{local_port="3306"}`), lines(`node_ipvs_backend_weight{local_address=""`)},
		{"netclass/ignored_devices", "netclass", `netclass { ignored_devices = "^eth0$" }`, nil, lines(`node_network_up{device="eth0"} 1`)},
		{"netclass/ignore_invalid_speed_device", "netclass", `netclass { ignore_invalid_speed_device = true }`, nil, lines(`node_network_speed_bytes{device="slow"}`)},
		{"netdev/address_info", "netdev", `netdev { address_info = true }`, lines(`node_network_address_info{address="127.0.0.1",device="lo"`), nil},
		{"netdev/device_exclude", "netdev", `netdev { device_exclude = "^lo$" }`, nil, lines(`node_network_receive_bytes_total{device="lo"} 21`)},
		{"netdev/device_include", "netdev", `netdev { device_include = "^lo$" }`, nil, lines(`node_network_receive_bytes_total{device="eth0"} 11`)},
		{"netstat/fields", "netstat", `netstat { fields = "^Tcp_RtoMax$" }`, lines("node_netstat_Tcp_RtoMax "), lines("node_netstat_Tcp_InErrs ")},
		{"powersupply/ignored_supplies", "powersupplyclass", `powersupply { ignored_supplies = "^AC$" }`, nil, lines(`node_power_supply_info{power_supply="AC"`)},
		{"runit/service_dir", "runit", fmt.Sprintf("runit { service_dir = %q }", service), lines(`node_service_state{service="one",supervisor="runit"} 1`), nil},
		{"sysctl/include", "sysctl", `sysctl { include = ["fs.file-nr:total,current,max"] }`, lines("node_sysctl_fs_file_nr_current 0"), nil},
		{"sysctl/include_info", "sysctl", `sysctl { include_info = ["kernel.seccomp.actions_avail"] }`, lines(`node_sysctl_info{index="0",name="kernel.seccomp.actions_avail",value="kill_process"} 1`), nil},
		{"tapestats/ignored_devices", "tapestats", `tapestats { ignored_devices = "^st0$" }`, nil, lines(`node_tape_io_now{device="st0"} 1`)},
		{"textfile/directory", "textfile", fmt.Sprintf("textfile { directory = %q }", text), lines("from_file 1"), nil},
		{"vmstat/fields", "vmstat", `vmstat { fields = "^nr_dirty$" }`, lines("node_vmstat_nr_dirty "), lines("node_vmstat_pgfault ")},
	}
}

func TestEveryArgumentHasItsEffect(t *testing.T) {
	m := newMachine(t)
	if err := os.MkdirAll(filepath.Join(m.dir, "root/run/user/1000/gvfs"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, e := range effects(m) {
		t.Run(e.argument, func(t *testing.T) {
			set := fmt.Sprintf("set_collectors = [%q]\n", e.collectors)
			without, with := m.exporter(t, set).page(t), m.exporter(t, set+e.settings).page(t)
			for _, line := range e.with {
				if has(without, line) || !has(with, line) {
					t.Errorf("%s…: %v by default, %v with it", line, has(without, line), has(with, line))
				}
			}
			for _, line := range e.without {
				if !has(without, line) || has(with, line) {
					t.Errorf("%s…: %v by default, %v with it", line, has(without, line), has(with, line))
				}
			}
		})
	}
}

// elsewhere says which test shows the effect of what is not in the table.
func elsewhere() map[string]string {
	return map[string]string{
		"procfs_path": "newMachine", "sysfs_path": "newMachine", "udev_data_path": "TestDisksHaveTheirModels", "set_collectors": "TestEveryArgumentHasItsEffect",
		"ethtool/device_exclude": "TestEthtool", "ethtool/device_include": "TestEthtool", "ethtool/metrics_include": "TestEthtool",
		"filesystem/mount_timeout": "TestAMountPointThatHangsIsSkipped",
		"ntp/ip_ttl":               "TestNTP", "ntp/local_offset_tolerance": "TestNTP", "ntp/max_distance": "TestNTP",
		"ntp/protocol_version": "TestNTP", "ntp/server": "TestNTP", "ntp/server_is_local": "TestNTP",
		"perf/cpus": "TestPerf", "perf/tracepoint": "TestPerf", "perf/disable_hardware_profilers": "TestPerf",
		"perf/disable_software_profilers": "TestPerf", "perf/disable_cache_profilers": "TestPerf", "perf/cache_profilers": "TestPerf",
		"perf/hardware_profilers": "no effect", "perf/software_profilers": "no effect",
		"supervisord/url":         "TestExportersAskTheirOwnSupervisord",
		"systemd/enable_restarts": "TestSystemd", "systemd/start_time": "TestSystemd", "systemd/task_metrics": "TestSystemd",
		"systemd/unit_exclude": "TestSystemd", "systemd/unit_include": "TestSystemd",
	}
}

func TestEveryArgumentIsTested(t *testing.T) {
	tested := elsewhere()
	for _, e := range effects(machine{}) {
		tested[e.argument] = "TestEveryArgumentHasItsEffect"
	}
	there := arguments("", reflect.TypeFor[Config]())
	for _, argument := range there {
		if tested[argument] == "" {
			t.Errorf("no test shows the effect of %s", argument)
		}
	}
	for argument := range tested {
		if !slices.Contains(there, argument) {
			t.Errorf("there is no argument %s", argument)
		}
	}
}

func arguments(prefix string, of reflect.Type) (paths []string) {
	for i := range of.NumField() {
		f := of.Field(i)
		name, kind, _ := strings.Cut(f.Tag.Get("alloy"), ",")
		if strings.HasPrefix(kind, "block") {
			paths = append(paths, arguments(prefix+name+"/", f.Type)...)
		} else {
			paths = append(paths, prefix+name)
		}
	}
	return paths
}
