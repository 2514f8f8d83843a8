package mysql

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/go-sql-driver/mysql"

	"collector/pkg/component"
)

// Config is the configuration of prometheus.exporter.mysql.
type Config struct {
	DataSourceName             component.Secret `alloy:"data_source_name,attr,optional"`
	EnableCollectors           []string         `alloy:"enable_collectors,attr,optional"`
	DisableCollectors          []string         `alloy:"disable_collectors,attr,optional"`
	SetCollectors              []string         `alloy:"set_collectors,attr,optional"`
	LockWaitTimeout            int              `alloy:"lock_wait_timeout,attr,optional"`
	LogSlowFilter              bool             `alloy:"log_slow_filter,attr,optional"`
	InfoSchemaProcessList      ProcessList      `alloy:"info_schema.processlist,block,optional"`
	InfoSchemaTables           Tables           `alloy:"info_schema.tables,block,optional"`
	PerfSchemaEventsStatements EventsStatements `alloy:"perf_schema.eventsstatements,block,optional"`
	PerfSchemaFileInstances    FileInstances    `alloy:"perf_schema.file_instances,block,optional"`
	PerfSchemaMemoryEvents     MemoryEvents     `alloy:"perf_schema.memory_events,block,optional"`
	Heartbeat                  Heartbeat        `alloy:"heartbeat,block,optional"`
	User                       User             `alloy:"mysql.user,block,optional"`
}

// ProcessList is the block info_schema.processlist.
type ProcessList struct {
	MinTime         int  `alloy:"min_time,attr,optional"`
	ProcessesByUser bool `alloy:"processes_by_user,attr,optional"`
	ProcessesByHost bool `alloy:"processes_by_host,attr,optional"`
}

// Tables is the block info_schema.tables.
type Tables struct {
	Databases string `alloy:"databases,attr,optional"`
}

// EventsStatements is the block perf_schema.eventsstatements.
type EventsStatements struct {
	Limit     int `alloy:"limit,attr,optional"`
	TimeLimit int `alloy:"time_limit,attr,optional"`
	TextLimit int `alloy:"text_limit,attr,optional"`
}

// FileInstances is the block perf_schema.file_instances.
type FileInstances struct {
	Filter       string `alloy:"filter,attr,optional"`
	RemovePrefix string `alloy:"remove_prefix,attr,optional"`
}

// MemoryEvents is the block perf_schema.memory_events.
type MemoryEvents struct {
	RemovePrefix string `alloy:"remove_prefix,attr,optional"`
}

// Heartbeat is the block heartbeat.
type Heartbeat struct {
	Database string `alloy:"database,attr,optional"`
	Table    string `alloy:"table,attr,optional"`
	UTC      bool   `alloy:"utc,attr,optional"`
}

// User is the block mysql.user.
type User struct {
	Privileges bool `alloy:"privileges,attr,optional"`
}

// SetToDefault sets Alloy's defaults.
func (c *Config) SetToDefault() {
	*c = Config{
		LockWaitTimeout:            2,
		InfoSchemaProcessList:      ProcessList{ProcessesByUser: true, ProcessesByHost: true},
		InfoSchemaTables:           Tables{Databases: "*"},
		PerfSchemaEventsStatements: EventsStatements{Limit: 250, TimeLimit: 86400, TextLimit: 120},
		PerfSchemaFileInstances:    FileInstances{Filter: ".*", RemovePrefix: "/var/lib/mysql"},
		PerfSchemaMemoryEvents:     MemoryEvents{RemovePrefix: "memory/"},
		Heartbeat:                  Heartbeat{Database: "heartbeat", Table: "heartbeat"},
	}
}

// variable has the data source where the configuration has none.
const variable = "MYSQLD_EXPORTER_DATA_SOURCE_NAME"

const example = "user:password@tcp(mysql:3306)/"

// source is the data source.
func (c *Config) source() (string, error) {
	source := string(c.DataSourceName)
	if source == "" {
		source = os.Getenv(variable)
	}
	if source == "" {
		return "", fmt.Errorf("there is no server: set data_source_name, or the environment variable %s", variable)
	}
	return source, nil
}

// instance is the label instance of a data source: without the user, the password
// and the settings. No error quotes it, as it has a password.
func instance(source string) (string, error) {
	parsed, err := mysql.ParseDSN(source)
	if err != nil {
		why := "it is not valid"
		if text, ok := strings.CutPrefix(err.Error(), "invalid DSN: "); ok { // these are fixed texts
			why = text
		}
		return "", errors.New("read the data source: " + why + "; for example: " + example)
	}
	return fmt.Sprintf("%s(%s)/%s", parsed.Net, parsed.Addr, parsed.DBName), nil
}
