package unix

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/node_exporter/collector"

	"collector/pkg/component"
)

// Both are read at the same time, over and over.
func TestExportersSideBySideHaveTheirOwnSettings(t *testing.T) {
	a, b := newMachine(t), newMachine(t)
	b.write(t, "proc/loadavg", "9.5 0.37 0.39 1/719 19737\n")
	b.write(t, "text/a/one.prom", "from_file 2\n")
	text := func(m machine) string {
		return fmt.Sprintf("\ntextfile { directory = %q }", filepath.Join(m.dir, "text/a"))
	}
	const common = `set_collectors = ["loadavg", "textfile", "netdev", "cpu", "netstat", "diskstats", "hwmon", "ipvs"]` + "\n"
	one := a.exporter(t, common+`
		netdev { device_exclude = "^lo$" }
		cpu { flags_include = "^avx2$" }
		netstat { fields = "^Tcp_RtoMax$" }
		disk { device_exclude = "^dm-" }
		hwmon { chip_include = "coretemp" }
		ipvs { backend_labels = ["local_port"] }`+text(a))
	other := b.exporter(t, common+text(b))
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for range 5 {
				p, q := one.page(t), other.page(t)
				for line, in := range map[string][2]bool{
					"node_load1 0.21": {true, false}, "node_load1 9.5": {false, true},
					"from_file 1": {true, false}, "from_file 2": {false, true},
					`node_network_receive_bytes_total{device="lo"}`: {false, true}, `node_network_receive_bytes_total{device="eth0"}`: {true, true},
					"node_cpu_flag_info": {true, false}, "node_netstat_Tcp_RtoMax": {true, false}, "node_netstat_Tcp_InErrs": {false, true},
					`node_disk_io_now{device="dm-0"}`: {false, true}, `node_hwmon_chip_names{chip="nct6779"`: {false, true},
					`node_ipvs_backend_weight{local_port="3306"}`: {true, false},
				} {
					if got := [2]bool{has(p, line), has(q, line)}; got != in {
						t.Errorf("%s…: %v, want %v", line, got, in)
					}
				}
			}
		})
	}
	readers.Wait()
}

func supervisor(t *testing.T, process string, state int) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/xml")
		fmt.Fprintf(w, `<?xml version="1.0"?><methodResponse><params><param><value><array><data><value><struct>
			<member><name>name</name><value><string>%s</string></value></member><member><name>group</name><value><string>g</string></value></member>
			<member><name>start</name><value><int>7</int></value></member><member><name>state</name><value><int>%d</int></value></member>
			<member><name>exitstatus</name><value><int>3</int></value></member>
			</struct></value></data></array></value></param></params></methodResponse>`, process, state)
	}))
	t.Cleanup(s.Close)
	return s.URL + "/RPC2"
}

func TestExportersAskTheirOwnSupervisord(t *testing.T) {
	m := newMachine(t)
	settings := func(url string) string {
		return fmt.Sprintf("set_collectors = [\"supervisord\"]\nsupervisord { url = %q }", url)
	}
	one, other := m.exporter(t, settings(supervisor(t, "a", 20))), m.exporter(t, settings(supervisor(t, "b", 100)))
	for _, test := range []struct {
		of    *Unix
		lines []string
	}{
		{one, lines(`node_supervisord_up{group="g",name="a"} 1`, `node_supervisord_state{group="g",name="a"} 20`, `node_supervisord_start_time_seconds{group="g",name="a"} 7`)},
		{other, lines(`node_supervisord_up{group="g",name="b"} 0`, `node_supervisord_exit_status{group="g",name="b"} 3`)},
	} {
		page := test.of.page(t)
		for _, line := range test.lines {
			if !has(page, line) {
				t.Errorf("no %s in\n%s", line, strings.Join(page, "\n"))
			}
		}
	}
	if has(other.page(t), "node_supervisord_start_time_seconds") {
		t.Error("a process that has ended has a start time")
	}
	t.Setenv("SUPERVISORD_URL", "http://elsewhere/")
	var c Config
	if c.SetToDefault(); c.Supervisord.URL != "http://elsewhere/" {
		t.Errorf("with SUPERVISORD_URL, the default is %s", c.Supervisord.URL)
	}
}

func TestDisksHaveTheirModels(t *testing.T) {
	m := newMachine(t)
	const line = `node_disk_info{device="sda",major="8",minor="0",model="TOSHIBA_KSDB4U86",`
	if page := m.exporter(t, `set_collectors = ["diskstats"]`).page(t); !has(page, line) {
		t.Errorf("no %s", line)
	}
	if page := m.exporter(t, "set_collectors = [\"diskstats\"]\n").page(t); !has(page, "node_disk_io_now") {
		t.Error("no disks")
	}
}

// TestWhatIsOnByDefault compares with what Alloy has on Linux.
func TestWhatIsOnByDefault(t *testing.T) {
	m := newMachine(t)
	got := strings.Join(m.exporter(t, "").Status().(Status).Collectors, " ")
	const want = "arp bcache bonding btrfs conntrack cpu cpufreq diskstats dmi edac entropy fibrechannel filefd filesystem hwmon infiniband ipvs loadavg mdadm " +
		"meminfo netclass netdev netstat nfs nfsd nvme os powersupplyclass pressure processes rapl schedstat selinux sockstat softnet stat tapestats textfile " +
		"thermal_zone time timex udp_queues uname vmstat xfs zfs"
	if got != want {
		t.Errorf("on are\n%s, want\n%s", got, want)
	}
}

func TestWrongSettingsAreRejectedAtTheirArgument(t *testing.T) {
	for settings, want := range map[string]string{
		`netdev { device_exclude = "(" }`: "netdev > device_exclude", `systemd { unit_include = "(" }`: "systemd > unit_include",
		"netdev {\n device_exclude = \"a\"\n device_include = \"b\"\n}": "netdev > device_include",
		`procfs_path = "/nowhere"`:                                      "procfs_path", `sysfs_path = "/nowhere"`: "sysfs_path",
		`ipvs { backend_labels = ["nothing"] }`:                                                      "ipvs",
		"enable_collectors = [\"ntp\"]\nntp { server = \"time.example\" }":                           "ntp",
		"enable_collectors = [\"ntp\"]\nntp { protocol_version = 1 }":                                "ntp",
		"enable_collectors = [\"supervisord\"]\nsupervisord { url = \"http://a b/\" }":               "supervisord",
		"disable_collectors = [\"netdev\"]\nnetdev { device_include = \"[\" }\nprocfs_path = \"/x\"": "netdev > device_include",
	} {
		_, err := makeExporter(settings)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", settings, err)
		}
	}
	if _, err := makeExporter("procfs_path = \"/nowhere\"\nset_collectors = [\"textfile\"]"); err != nil {
		t.Errorf("a folder that nobody reads: %v", err)
	}
}

func TestUnknownCollectorsAreNamed(t *testing.T) {
	warned := map[string]string{}
	cfg := Config{}
	cfg.SetToDefault()
	cfg.SetCollectors, cfg.EnableCollectors = []string{"loadavg", "thermal"}, []string{"lodavg"}
	cfg.Perf.SoftwareProfilers = []string{"PageFault"}
	u, err := New(cfg, component.Options{ID: "x", Warn: func(name, why string) { warned[name] = why }})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(warned["set_collectors"], "thermal") || !strings.Contains(warned["enable_collectors"], "lodavg") || warned["perf/software_profilers"] == "" {
		t.Errorf("%v", warned)
	}
	if on := u.Status().(Status).Collectors; len(on) != 1 {
		t.Errorf("on are %v", on)
	}
}

// failing is a collector that fails, or panics.
type failing struct{ panics bool }

func (f failing) Update(chan<- prometheus.Metric) error {
	if f.panics {
		panic("at the disco")
	}
	return errors.New("no such thing")
}

func TestACollectorThatFailsOrPanicsAffectsNoOtherAndIsLoggedOnce(t *testing.T) {
	m := newMachine(t)
	u := m.exporter(t, `set_collectors = ["loadavg"]`)
	var log bytes.Buffer
	n, err := newNodes(u.nodes.config, []string{"loadavg"}, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	n.Collectors["one"], n.Collectors["two"] = guarded{failing{}}, guarded{failing{panics: true}}
	for range 3 {
		registry := prometheus.NewRegistry()
		registry.MustRegister(n)
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		success := map[string]float64{}
		for _, f := range families {
			for _, metric := range f.Metric {
				if f.GetName() == "node_scrape_collector_success" {
					success[metric.Label[0].GetValue()] = metric.Gauge.GetValue()
				}
			}
		}
		if success["loadavg"] != 1 || success["one"] != 0 || success["two"] != 0 || len(success) != 3 {
			t.Errorf("%v", success)
		}
	}
	if text := log.String(); strings.Count(text, "collector failed") != 2 || !strings.Contains(text, "no such thing") || !strings.Contains(text, "at the disco") {
		t.Errorf("the log:\n%s", text)
	}
}

func TestWhatTheMachineForbidsAffectsNothingElse(t *testing.T) {
	if !ofMachine(fmt.Errorf("open: %w", &os.PathError{Op: "open", Path: "/x", Err: syscall.EACCES})) || ofMachine(errors.New("invalid")) {
		t.Error("a setting is taken for the machine, or the other way round")
	}
	u := newMachine(t).exporter(t, `set_collectors = ["loadavg"]`)
	u.nodes.late = []*late{{name: "perf", make: nil}}
	u.nodes.late[0].make = func() (collector.Collector, error) { return nil, syscall.EACCES }
	u.nodes.Collectors["perf"] = guarded{u.nodes.late[0]}
	u.nodes.open()
	if page := u.page(t); !has(page, `node_scrape_collector_success{collector="perf"} 0`) || !has(page, "node_load1 0.21") {
		t.Error("perf is not off, or costs others")
	}
	if why := u.Status().(Status).Failed["perf"]; why == "" {
		t.Error("it is not shown")
	}
}
