package postgres

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"

	"collector/pkg/component"
)

// Config is the configuration of prometheus.exporter.postgres.
type Config struct {
	DataSourceNames         []component.Secret `alloy:"data_source_names,attr,optional"`
	DisableSettingsMetrics  bool               `alloy:"disable_settings_metrics,attr,optional"`
	DisableDefaultMetrics   bool               `alloy:"disable_default_metrics,attr,optional"`
	CustomQueriesConfigPath string             `alloy:"custom_queries_config_path,attr,optional,file"`
	EnabledCollectors       []string           `alloy:"enabled_collectors,attr,optional"`
	AutoDiscovery           AutoDiscovery      `alloy:"autodiscovery,block,optional"`
	StatStatements          *StatStatements    `alloy:"stat_statements,block,optional"`
}

// AutoDiscovery is the block autodiscovery.
type AutoDiscovery struct {
	Enabled           bool     `alloy:"enabled,attr,optional"`
	DatabaseAllowlist []string `alloy:"database_allowlist,attr,optional"`
	DatabaseDenylist  []string `alloy:"database_denylist,attr,optional"`
}

// StatStatements is the block stat_statements.
type StatStatements struct {
	IncludeQuery bool `alloy:"include_query,attr,optional"`
	QueryLength  uint `alloy:"query_length,attr,optional"`
}

// SetToDefault sets Alloy's defaults.
func (c *Config) SetToDefault() { *c = Config{} }

// Validate reports arguments that exclude each other.
func (c *Config) Validate() error {
	if c.DisableDefaultMetrics && c.CustomQueriesConfigPath == "" {
		return component.At("custom_queries_config_path", errors.New("disable_default_metrics is true, so nothing would be on the page: name a file with queries"))
	}
	if c.DisableDefaultMetrics && len(c.EnabledCollectors) > 0 {
		return component.At("enabled_collectors", errors.New("disable_default_metrics is true, which disables all collectors: remove one of the two"))
	}
	return nil
}

// variable has data sources, with commas between them, where the configuration has
// none.
const variable = "POSTGRES_EXPORTER_DATA_SOURCE_NAME"

// sources are the data sources of which one at least is needed.
func (c *Config) sources() ([]string, error) {
	var names []string
	for _, name := range c.DataSourceNames {
		names = append(names, string(name))
	}
	if text, ok := os.LookupEnv(variable); ok && len(names) == 0 {
		names = strings.Split(text, ",")
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("there is no server: set data_source_names, or the environment variable %s", variable)
	}
	if names[0] == "" {
		return nil, errors.New("the first data source is empty; for example: " + example)
	}
	return names, nil
}

const example = "postgresql://user:password@postgres:5432/shop?sslmode=disable"

// instance is the label instance of a data source: its URL without the user, the
// password and the settings. No error quotes it, as it has a password.
func instance(source string) (string, error) {
	u, err := url.Parse(source)
	if err != nil {
		return "", errors.New("the data source is not a valid URL; for example: " + example + " (write special characters of the password like %40)")
	}
	if u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return "", errors.New("the only data source must be a URL; for example: " + example)
	}
	host, port, err := net.SplitHostPort(u.Host)
	if err != nil {
		host, port = u.Host, "" // or several of them
	}
	database := strings.TrimPrefix(u.Path, "/")
	for name, part := range map[string]*string{"host": &host, "port": &port, "dbname": &database} {
		for _, value := range u.Query()[name] {
			*part = max(*part, value) // as the driver sorts them, and takes the last
		}
	}
	if host == "" {
		host, port = "localhost", "5432"
	}
	if port != "" {
		host += ":" + port
	}
	return "postgresql://" + host + "/" + database, nil
}
