package windows

import "time"

// Config is the configuration of prometheus.exporter.windows.
type Config struct {
	EnabledCollectors  []string    `alloy:"enabled_collectors,attr,optional"`
	DFSR               DFSR        `alloy:"dfsr,block,optional"`
	Exchange           EnabledList `alloy:"exchange,block,optional"`
	IIS                IIS         `alloy:"iis,block,optional"`
	LogicalDisk        LogicalDisk `alloy:"logical_disk,block,optional"`
	MSMQ               MSMQ        `alloy:"msmq,block,optional"`
	MSSQL              MSSQL       `alloy:"mssql,block,optional"`
	Network            Lists       `alloy:"network,block,optional"`
	PhysicalDisk       Filter      `alloy:"physical_disk,block,optional"`
	Printer            Filter      `alloy:"printer,block,optional"`
	Process            Process     `alloy:"process,block,optional"`
	ScheduledTask      Filter      `alloy:"scheduled_task,block,optional"`
	Service            Service     `alloy:"service,block,optional"`
	SMB                EnabledList `alloy:"smb,block,optional"`
	SMBClient          EnabledList `alloy:"smb_client,block,optional"`
	SMTP               Lists       `alloy:"smtp,block,optional"`
	TextFileOld        TextFile    `alloy:"text_file,block,optional"`
	TextFile           TextFile    `alloy:"textfile,block,optional"`
	TCP                EnabledList `alloy:"tcp,block,optional"`
	Update             Update      `alloy:"update,block,optional"`
	FileTime           FileTime    `alloy:"filetime,block,optional"`
	PerformanceCounter Counters    `alloy:"performancecounter,block,optional"`
	MSCluster          EnabledList `alloy:"mscluster,block,optional"`
	NetFramework       EnabledList `alloy:"netframework,block,optional"`
	DNS                EnabledList `alloy:"dns,block,optional"`
	Net                Net         `alloy:"net,block,optional"`
}

// EnabledList is a block that names parts of a collector, as are DFSR and MSSQL.
type EnabledList struct {
	EnabledList []string `alloy:"enabled_list,attr,optional"`
}

// DFSR is the block dfsr.
type DFSR struct {
	SourcesEnabled []string `alloy:"sources_enabled,attr,optional"`
}

// MSSQL is the block mssql.
type MSSQL struct {
	EnabledClasses []string `alloy:"enabled_classes,attr,optional"`
}

// Filter is a block that chooses by name.
type Filter struct {
	Exclude string `alloy:"exclude,attr,optional"`
	Include string `alloy:"include,attr,optional"`
}

// Lists is a Filter with its former names.
type Lists struct {
	Blacklist string `alloy:"blacklist,attr,optional"`
	Whitelist string `alloy:"whitelist,attr,optional"`
	Filter    Filter `alloy:",squash"`
}

// IIS is the block iis.
type IIS struct {
	AppBlacklist  string `alloy:"app_blacklist,attr,optional"`
	AppWhitelist  string `alloy:"app_whitelist,attr,optional"`
	SiteBlacklist string `alloy:"site_blacklist,attr,optional"`
	SiteWhitelist string `alloy:"site_whitelist,attr,optional"`
	AppExclude    string `alloy:"app_exclude,attr,optional"`
	AppInclude    string `alloy:"app_include,attr,optional"`
	SiteExclude   string `alloy:"site_exclude,attr,optional"`
	SiteInclude   string `alloy:"site_include,attr,optional"`
}

// LogicalDisk is the block logical_disk.
type LogicalDisk struct {
	EnabledList []string `alloy:"enabled_list,attr,optional"`
	Lists       Lists    `alloy:",squash"`
}

// Net is the block net.
type Net struct {
	EnabledList []string `alloy:"enabled_list,attr,optional"`
	Filter      Filter   `alloy:",squash"`
}

// MSMQ is the block msmq.
type MSMQ struct {
	WhereClause string `alloy:"where_clause,attr,optional"`
}

// Process is the block process.
type Process struct {
	Lists                  Lists `alloy:",squash"`
	EnableIISWorkerProcess bool  `alloy:"enable_iis_worker_process,attr,optional"`
	CounterVersion         int   `alloy:"counter_version,attr,optional"`
}

// Service is the block service.
type Service struct {
	Filter            Filter `alloy:",squash"`
	UseAPI            string `alloy:"use_api,attr,optional"`
	WhereClause       string `alloy:"where_clause,attr,optional"`
	EnableV2Collector string `alloy:"enable_v2_collector,attr,optional"`
}

// TextFile is the block textfile.
type TextFile struct {
	Directory   string   `alloy:"text_file_directory,attr,optional"`
	Directories []string `alloy:"directories,attr,optional"`
}

// Update is the block update.
type Update struct {
	Online         bool          `alloy:"online,attr,optional"`
	ScrapeInterval time.Duration `alloy:"scrape_interval,attr,optional"`
}

// FileTime is the block filetime.
type FileTime struct {
	FilePatterns []string `alloy:"file_patterns,attr,optional"`
}

// Counters is the block performancecounter.
type Counters struct {
	Objects string `alloy:"objects,attr,optional"`
}
