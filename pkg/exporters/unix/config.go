package unix

import (
	"cmp"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"collector/pkg/component"
)

// Config is the configuration of prometheus.exporter.unix.
type Config struct {
	IncludeExporterMetrics bool     `alloy:"include_exporter_metrics,attr,optional"`
	ProcFSPath             string   `alloy:"procfs_path,attr,optional"`
	SysFSPath              string   `alloy:"sysfs_path,attr,optional"`
	RootFSPath             string   `alloy:"rootfs_path,attr,optional"`
	UdevDataPath           string   `alloy:"udev_data_path,attr,optional"`
	EnableCollectors       []string `alloy:"enable_collectors,attr,optional"`
	DisableCollectors      []string `alloy:"disable_collectors,attr,optional"`
	SetCollectors          []string `alloy:"set_collectors,attr,optional"`

	Arp         Arp         `alloy:"arp,block,optional"`
	BCache      BCache      `alloy:"bcache,block,optional"`
	CPU         CPU         `alloy:"cpu,block,optional"`
	Disk        Disk        `alloy:"disk,block,optional"`
	EthTool     EthTool     `alloy:"ethtool,block,optional"`
	Filesystem  Filesystem  `alloy:"filesystem,block,optional"`
	HwMon       HwMon       `alloy:"hwmon,block,optional"`
	IPVS        IPVS        `alloy:"ipvs,block,optional"`
	NTP         NTP         `alloy:"ntp,block,optional"`
	Netclass    Netclass    `alloy:"netclass,block,optional"`
	Netdev      Netdev      `alloy:"netdev,block,optional"`
	Netstat     Netstat     `alloy:"netstat,block,optional"`
	Perf        Perf        `alloy:"perf,block,optional"`
	Powersupply Powersupply `alloy:"powersupply,block,optional"`
	Runit       Runit       `alloy:"runit,block,optional"`
	Supervisord Supervisord `alloy:"supervisord,block,optional"`
	Sysctl      Sysctl      `alloy:"sysctl,block,optional"`
	Systemd     Systemd     `alloy:"systemd,block,optional"`
	Tapestats   Tapestats   `alloy:"tapestats,block,optional"`
	Textfile    Textfile    `alloy:"textfile,block,optional"`
	VMStat      VMStat      `alloy:"vmstat,block,optional"`
}

// Arp configures the collector arp.
type Arp struct {
	DeviceExclude string `alloy:"device_exclude,attr,optional"`
	DeviceInclude string `alloy:"device_include,attr,optional"`
	Netlink       bool   `alloy:"netlink,attr,optional"`
}

// BCache configures the collector bcache.
type BCache struct {
	PriorityStats bool `alloy:"priority_stats,attr,optional"`
}

// CPU configures the collector cpu.
type CPU struct {
	BugsInclude  string `alloy:"bugs_include,attr,optional"`
	Guest        bool   `alloy:"guest,attr,optional"`
	Info         bool   `alloy:"info,attr,optional"`
	FlagsInclude string `alloy:"flags_include,attr,optional"`
}

// Disk configures the collector diskstats.
type Disk struct {
	DeviceExclude string `alloy:"device_exclude,attr,optional"`
	DeviceInclude string `alloy:"device_include,attr,optional"`
}

// EthTool configures the collector ethtool.
type EthTool struct {
	DeviceExclude  string `alloy:"device_exclude,attr,optional"`
	DeviceInclude  string `alloy:"device_include,attr,optional"`
	MetricsInclude string `alloy:"metrics_include,attr,optional"`
}

// Filesystem configures the collector filesystem.
type Filesystem struct {
	FSTypesExclude     string        `alloy:"fs_types_exclude,attr,optional"`
	MountPointsExclude string        `alloy:"mount_points_exclude,attr,optional"`
	MountTimeout       time.Duration `alloy:"mount_timeout,attr,optional"`
}

// HwMon configures the collector hwmon.
type HwMon struct {
	ChipExclude string `alloy:"chip_exclude,attr,optional"`
	ChipInclude string `alloy:"chip_include,attr,optional"`
}

// IPVS configures the collector ipvs.
type IPVS struct {
	BackendLabels []string `alloy:"backend_labels,attr,optional"`
}

// NTP configures the collector ntp.
type NTP struct {
	IPTTL                int           `alloy:"ip_ttl,attr,optional"`
	LocalOffsetTolerance time.Duration `alloy:"local_offset_tolerance,attr,optional"`
	MaxDistance          time.Duration `alloy:"max_distance,attr,optional"`
	ProtocolVersion      int           `alloy:"protocol_version,attr,optional"`
	Server               string        `alloy:"server,attr,optional"`
	ServerIsLocal        bool          `alloy:"server_is_local,attr,optional"`
}

// Netclass configures the collector netclass.
type Netclass struct {
	IgnoreInvalidSpeedDevice bool   `alloy:"ignore_invalid_speed_device,attr,optional"`
	IgnoredDevices           string `alloy:"ignored_devices,attr,optional"`
}

// Netdev configures the collector netdev.
type Netdev struct {
	AddressInfo   bool   `alloy:"address_info,attr,optional"`
	DeviceExclude string `alloy:"device_exclude,attr,optional"`
	DeviceInclude string `alloy:"device_include,attr,optional"`
}

// Netstat configures the collector netstat.
type Netstat struct {
	Fields string `alloy:"fields,attr,optional"`
}

// Perf configures the collector perf.
type Perf struct {
	CPUs       string   `alloy:"cpus,attr,optional"`
	Tracepoint []string `alloy:"tracepoint,attr,optional"`

	DisableHardwareProfilers bool `alloy:"disable_hardware_profilers,attr,optional"`
	DisableSoftwareProfilers bool `alloy:"disable_software_profilers,attr,optional"`
	DisableCacheProfilers    bool `alloy:"disable_cache_profilers,attr,optional"`

	HardwareProfilers []string `alloy:"hardware_profilers,attr,optional"`
	SoftwareProfilers []string `alloy:"software_profilers,attr,optional"`
	CacheProfilers    []string `alloy:"cache_profilers,attr,optional"`
}

// Powersupply configures the collector powersupplyclass.
type Powersupply struct {
	IgnoredSupplies string `alloy:"ignored_supplies,attr,optional"`
}

// Runit configures the collector runit.
type Runit struct {
	ServiceDir string `alloy:"service_dir,attr,optional"`
}

// Supervisord configures the collector supervisord.
type Supervisord struct {
	URL string `alloy:"url,attr,optional"`
}

// Sysctl configures the collector sysctl.
type Sysctl struct {
	Include     []string `alloy:"include,attr,optional"`
	IncludeInfo []string `alloy:"include_info,attr,optional"`
}

// Systemd configures the collector systemd.
type Systemd struct {
	EnableRestarts bool   `alloy:"enable_restarts,attr,optional"`
	StartTime      bool   `alloy:"start_time,attr,optional"`
	TaskMetrics    bool   `alloy:"task_metrics,attr,optional"`
	UnitExclude    string `alloy:"unit_exclude,attr,optional"`
	UnitInclude    string `alloy:"unit_include,attr,optional"`
}

// Tapestats configures the collector tapestats.
type Tapestats struct {
	IgnoredDevices string `alloy:"ignored_devices,attr,optional"`
}

// Textfile configures the collector textfile.
type Textfile struct {
	Directory string `alloy:"directory,attr,optional"`
}

// VMStat configures the collector vmstat.
type VMStat struct {
	Fields string `alloy:"fields,attr,optional"`
}

// none matches no name but the empty one.
const none = "^$"

// SetToDefault sets Alloy's defaults.
func (c *Config) SetToDefault() {
	*c = Config{
		ProcFSPath: "/proc", SysFSPath: "/sys", RootFSPath: "/", UdevDataPath: "/run/udev/data",
		Disk:    Disk{DeviceExclude: `^(ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$`},
		EthTool: EthTool{MetricsInclude: ".*"},
		Filesystem: Filesystem{
			MountTimeout:       5 * time.Second,
			MountPointsExclude: `^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+)($|/)`,
			FSTypesExclude: `^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|fusectl|hugetlbfs|iso9660|mqueue|nsfs|overlay` +
				`|proc|procfs|pstore|rpc_pipefs|securityfs|selinuxfs|squashfs|sysfs|tracefs)$`,
		},
		NTP:      NTP{IPTTL: 1, LocalOffsetTolerance: time.Millisecond, MaxDistance: 3_466_080 * time.Microsecond, ProtocolVersion: 4, Server: "127.0.0.1"},
		Netclass: Netclass{IgnoredDevices: none},
		Netstat: Netstat{Fields: `^(.*_(InErrors|InErrs)|Ip_Forwarding|Ip(6|Ext)_(InOctets|OutOctets)|Icmp6?_(InMsgs|OutMsgs)` +
			`|TcpExt_(Listen.*|Syncookies.*|TCPSynRetrans|TCPTimeouts)|Tcp_(ActiveOpens|InSegs|OutSegs|OutRsts|PassiveOpens|RetransSegs|CurrEstab)` +
			`|Udp6?_(InDatagrams|OutDatagrams|NoPorts|RcvbufErrors|SndbufErrors))$`},
		Powersupply: Powersupply{IgnoredSupplies: none},
		Runit:       Runit{ServiceDir: "/etc/service"},
		Supervisord: Supervisord{URL: cmp.Or(os.Getenv("SUPERVISORD_URL"), "http://localhost:9001/RPC2")},
		Systemd:     Systemd{UnitExclude: `.+\.(automount|device|mount|scope|slice)`, UnitInclude: ".+"},
		Tapestats:   Tapestats{IgnoredDevices: none},
		VMStat:      VMStat{Fields: "^(oom_kill|pgpg|pswp|pg.*fault).*"},
	}
}

// Validate reports invalid expressions: the library would panic.
func (c *Config) Validate() error {
	for _, pattern := range []struct{ path, text string }{
		{"arp/device_exclude", c.Arp.DeviceExclude}, {"arp/device_include", c.Arp.DeviceInclude},
		{"cpu/bugs_include", c.CPU.BugsInclude}, {"cpu/flags_include", c.CPU.FlagsInclude},
		{"disk/device_exclude", c.Disk.DeviceExclude}, {"disk/device_include", c.Disk.DeviceInclude},
		{"ethtool/device_exclude", c.EthTool.DeviceExclude}, {"ethtool/device_include", c.EthTool.DeviceInclude}, {"ethtool/metrics_include", c.EthTool.MetricsInclude},
		{"filesystem/fs_types_exclude", c.Filesystem.FSTypesExclude}, {"filesystem/mount_points_exclude", c.Filesystem.MountPointsExclude},
		{"hwmon/chip_exclude", c.HwMon.ChipExclude}, {"hwmon/chip_include", c.HwMon.ChipInclude},
		{"netclass/ignored_devices", c.Netclass.IgnoredDevices},
		{"netdev/device_exclude", c.Netdev.DeviceExclude}, {"netdev/device_include", c.Netdev.DeviceInclude},
		{"netstat/fields", c.Netstat.Fields},
		{"powersupply/ignored_supplies", c.Powersupply.IgnoredSupplies},
		{"systemd/unit_exclude", c.Systemd.UnitExclude}, {"systemd/unit_include", c.Systemd.UnitInclude},
		{"tapestats/ignored_devices", c.Tapestats.IgnoredDevices},
		{"vmstat/fields", c.VMStat.Fields},
	} {
		if _, err := regexp.Compile(pattern.text); err != nil {
			return component.At(pattern.path, fmt.Errorf("%q is not a regular expression: %w", pattern.text, err))
		}
	}
	if c.Netdev.DeviceExclude != "" && c.Netdev.DeviceInclude != "" {
		return component.At("netdev/device_include", fmt.Errorf("device_include and device_exclude are both set: keep one of them"))
	}
	return nil
}

// collectors are the names of those that are on, of the ones that there are, by
// their state by default; unknown are names that no collector has.
func (c *Config) collectors(defaults map[string]bool) (on []string, unknown map[string][]string) {
	unknown = map[string][]string{}
	known := func(argument string, names []string) (found []string) {
		for _, name := range names {
			if _, ok := defaults[name]; ok {
				found = append(found, name)
			} else {
				unknown[argument] = append(unknown[argument], name)
			}
		}
		return found
	}
	set, disabled, enabled := known("set_collectors", c.SetCollectors), known("disable_collectors", c.DisableCollectors), known("enable_collectors", c.EnableCollectors)
	for name, byDefault := range defaults {
		if len(c.SetCollectors) > 0 {
			byDefault = slices.Contains(set, name)
		}
		if slices.Contains(enabled, name) || byDefault && !slices.Contains(disabled, name) {
			on = append(on, name)
		}
	}
	slices.SortFunc(on, strings.Compare)
	return on, unknown
}
