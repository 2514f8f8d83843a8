package unix

import (
	"strings"

	"github.com/prometheus/node_exporter/collector"
)

// settings is c as the library has it. The library writes to some of what is
// pointed to, so that every exporter needs its own.
func (c Config) settings() *collector.NodeCollectorConfig {
	var no bool
	var empty, labels string
	var one, port = 1, 123
	labels = strings.Join(c.IPVS.BackendLabels, ",")
	disk := collector.DiskstatsDeviceFilterConfig{DeviceExclude: &c.Disk.DeviceExclude, DeviceExcludeSet: true, DeviceInclude: &empty, OldDeviceExclude: &empty}
	if c.Disk.DeviceInclude != "" { // as the default of the other is no empty one
		disk = collector.DiskstatsDeviceFilterConfig{DeviceExclude: &empty, DeviceInclude: &c.Disk.DeviceInclude, OldDeviceExclude: &empty}
	}
	return &collector.NodeCollectorConfig{
		Arp:                   collector.ArpConfig{DeviceExclude: &c.Arp.DeviceExclude, DeviceInclude: &c.Arp.DeviceInclude, Netlink: &c.Arp.Netlink},
		Bcache:                collector.BcacheConfig{PriorityStats: &c.BCache.PriorityStats},
		CPU:                   collector.CPUConfig{EnableCPUGuest: &c.CPU.Guest, EnableCPUInfo: &c.CPU.Info, FlagsInclude: &c.CPU.FlagsInclude, BugsInclude: &c.CPU.BugsInclude},
		DiskstatsDeviceFilter: disk,
		Ethtool:               collector.EthtoolConfig{DeviceExclude: &c.EthTool.DeviceExclude, DeviceInclude: &c.EthTool.DeviceInclude, IncludedMetrics: &c.EthTool.MetricsInclude},
		Filesystem: collector.FilesystemConfig{
			FSTypesExclude: &c.Filesystem.FSTypesExclude, FSTypesExcludeSet: true, OldFSTypesExcluded: &empty,
			MountPointsExclude: &c.Filesystem.MountPointsExclude, MountPointsExcludeSet: true, OldMountPointsExcluded: &empty,
			MountTimeout: &c.Filesystem.MountTimeout, StatWorkerCount: &one,
		},
		HwMon:    collector.HwMonConfig{ChipExclude: &c.HwMon.ChipExclude, ChipInclude: &c.HwMon.ChipInclude},
		IPVS:     collector.IPVSConfig{Labels: &labels, LabelsSet: len(c.IPVS.BackendLabels) > 0},
		NetClass: collector.NetClassConfig{IgnoredDevices: &c.Netclass.IgnoredDevices, InvalidSpeed: &c.Netclass.IgnoreInvalidSpeedDevice, Netlink: &no, RTNLWithStats: &no},
		NetDev: collector.NetDevConfig{
			DeviceExclude: &c.Netdev.DeviceExclude, DeviceInclude: &c.Netdev.DeviceInclude, AddressInfo: &c.Netdev.AddressInfo,
			OldDeviceExclude: &empty, OldDeviceInclude: &empty, Netlink: &no, DetailedMetrics: &no,
		},
		NetStat: collector.NetStatConfig{Fields: &c.Netstat.Fields},
		NTP: collector.NTPConfig{
			Server: &c.NTP.Server, ServerPort: &port, ProtocolVersion: &c.NTP.ProtocolVersion, ServerIsLocal: &c.NTP.ServerIsLocal,
			IPTTL: &c.NTP.IPTTL, MaxDistance: &c.NTP.MaxDistance, OffsetTolerance: &c.NTP.LocalOffsetTolerance,
		},
		Path: collector.PathConfig{ProcPath: &c.ProcFSPath, SysPath: &c.SysFSPath, RootfsPath: &c.RootFSPath, UdevDataPath: &c.UdevDataPath},
		Perf: collector.PerfConfig{
			CPUs: &c.Perf.CPUs, Tracepoint: &c.Perf.Tracepoint,
			NoHwProfiler: &c.Perf.DisableHardwareProfilers, HwProfiler: &c.Perf.HardwareProfilers,
			NoSwProfiler: &c.Perf.DisableSoftwareProfilers, SwProfiler: &c.Perf.SoftwareProfilers,
			NoCaProfiler: &c.Perf.DisableCacheProfilers, CaProfilerFlag: &c.Perf.CacheProfilers,
		},
		PowerSupplyClass: collector.PowerSupplyClassConfig{IgnoredPowerSupplies: &c.Powersupply.IgnoredSupplies},
		Qdisc:            collector.QdiscConfig{Fixtures: &empty, DeviceInclude: &empty, OldDeviceInclude: &empty, DeviceExclude: &empty, OldDeviceExclude: &empty},
		Rapl:             collector.RaplConfig{ZoneLabel: &no},
		Runit:            collector.RunitConfig{ServiceDir: &c.Runit.ServiceDir},
		Stat:             collector.StatConfig{Softirq: &no},
		Supervisord:      collector.SupervisordConfig{URL: &c.Supervisord.URL},
		Sysctl:           collector.SysctlConfig{Include: &c.Sysctl.Include, IncludeInfo: &c.Sysctl.IncludeInfo},
		Systemd: collector.SystemdConfig{
			UnitInclude: &c.Systemd.UnitInclude, UnitIncludeSet: true, UnitExclude: &c.Systemd.UnitExclude, UnitExcludeSet: true,
			OldUnitInclude: &empty, OldUnitExclude: &empty, Private: &no,
			EnableTaskMetrics: &c.Systemd.TaskMetrics, EnableRestartsMetrics: &c.Systemd.EnableRestarts, EnableStartTimeMetrics: &c.Systemd.StartTime,
		},
		Tapestats: collector.TapestatsConfig{IgnoredDevices: &c.Tapestats.IgnoredDevices},
		TextFile:  collector.TextFileConfig{Directory: &c.Textfile.Directory},
		VmStat:    collector.VmStatConfig{Fields: &c.VMStat.Fields},
		Wifi:      collector.WifiConfig{Fixtures: &empty},
	}
}
