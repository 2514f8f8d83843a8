package redis

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	library "github.com/oliver006/redis_exporter/exporter"

	"collector/pkg/component"
)

// Config is the configuration of prometheus.exporter.redis.
type Config struct {
	IncludeExporterMetrics  bool             `alloy:"include_exporter_metrics,attr,optional"`
	RedisAddr               string           `alloy:"redis_addr,attr"`
	RedisUser               string           `alloy:"redis_user,attr,optional"`
	RedisPassword           component.Secret `alloy:"redis_password,attr,optional"`
	RedisPasswordFile       string           `alloy:"redis_password_file,attr,optional,file"`
	RedisPasswordMapFile    string           `alloy:"redis_password_map_file,attr,optional,file"`
	Namespace               string           `alloy:"namespace,attr,optional"`
	ConfigCommand           string           `alloy:"config_command,attr,optional"`
	CheckKeys               []string         `alloy:"check_keys,attr,optional"`
	CheckKeyGroups          []string         `alloy:"check_key_groups,attr,optional"`
	CheckKeyGroupsBatchSize int64            `alloy:"check_key_groups_batch_size,attr,optional"`
	MaxDistinctKeyGroups    int64            `alloy:"max_distinct_key_groups,attr,optional"`
	CheckSingleKeys         []string         `alloy:"check_single_keys,attr,optional"`
	CheckStreams            []string         `alloy:"check_streams,attr,optional"`
	CheckSingleStreams      []string         `alloy:"check_single_streams,attr,optional"`
	ExportKeyValues         bool             `alloy:"export_key_values,attr,optional"`
	CountKeys               []string         `alloy:"count_keys,attr,optional"`
	ScriptPath              string           `alloy:"script_path,attr,optional"`
	ScriptPaths             []string         `alloy:"script_paths,attr,optional"`
	ConnectionTimeout       time.Duration    `alloy:"connection_timeout,attr,optional"`
	TLSClientKeyFile        string           `alloy:"tls_client_key_file,attr,optional,file"`
	TLSClientCertFile       string           `alloy:"tls_client_cert_file,attr,optional,file"`
	TLSCaCertFile           string           `alloy:"tls_ca_cert_file,attr,optional,file"`
	SetClientName           bool             `alloy:"set_client_name,attr,optional"`
	IsTile38                bool             `alloy:"is_tile38,attr,optional"`
	IsCluster               bool             `alloy:"is_cluster,attr,optional"`
	ExportClientList        bool             `alloy:"export_client_list,attr,optional"`
	ExportClientPort        bool             `alloy:"export_client_port,attr,optional"`
	RedisMetricsOnly        bool             `alloy:"redis_metrics_only,attr,optional"`
	PingOnConnect           bool             `alloy:"ping_on_connect,attr,optional"`
	InclSystemMetrics       bool             `alloy:"incl_system_metrics,attr,optional"`
	SkipTLSVerification     bool             `alloy:"skip_tls_verification,attr,optional"`
}

// SetToDefault sets Alloy's defaults.
func (c *Config) SetToDefault() {
	*c = Config{
		Namespace: "redis", ConfigCommand: "CONFIG", ConnectionTimeout: 15 * time.Second, SetClientName: true,
		CheckKeyGroupsBatchSize: 10000, MaxDistinctKeyGroups: 100, ExportKeyValues: true,
	}
}

// Validate reports arguments that exclude each other, or that the library can't do.
func (c *Config) Validate() error {
	if c.ScriptPath != "" && len(c.ScriptPaths) > 0 {
		return component.At("script_paths", errors.New("script_path and script_paths are both set: keep one of them"))
	}
	if (c.TLSClientKeyFile != "") != (c.TLSClientCertFile != "") {
		missing := "tls_client_key_file"
		if c.TLSClientKeyFile != "" {
			missing = "tls_client_cert_file"
		}
		return component.At(missing, errors.New("a client certificate needs both tls_client_cert_file and tls_client_key_file"))
	}
	if c.RedisPasswordFile != "" && c.RedisPasswordMapFile != "" {
		return component.At("redis_password_map_file", errors.New("redis_password_file and redis_password_map_file are both set: keep one of them"))
	}
	if c.MaxDistinctKeyGroups < 0 {
		return component.At("max_distinct_key_groups", errors.New("the number is negative"))
	}
	if _, err := parseAddress(c.RedisAddr); err != nil {
		return component.At("redis_addr", err)
	}
	return c.validateKeys()
}

// validateKeys reports a key that the library would reject without naming the argument.
func (c *Config) validateKeys() error {
	for _, list := range []struct {
		argument string
		keys     []string
	}{
		{"check_keys", c.CheckKeys}, {"check_single_keys", c.CheckSingleKeys}, {"check_streams", c.CheckStreams},
		{"check_single_streams", c.CheckSingleStreams}, {"count_keys", c.CountKeys},
	} {
		for key := range strings.SplitSeq(strings.Join(list.keys, ","), ",") {
			if !validKey(key) {
				return component.At(list.argument, fmt.Errorf("%q is neither a key nor a database and a key, such as db1=key: write = in a key as %%3D, a comma as %%2C and %% as %%25", key))
			}
		}
	}
	return nil
}

func validKey(text string) bool {
	db, key, ok := strings.Cut(text, "=")
	if !ok {
		db, key = "0", text
	}
	name, err := url.QueryUnescape(strings.TrimSpace(key))
	if err != nil || strings.Contains(key, "=") {
		return false
	}
	db = strings.ReplaceAll(strings.TrimSpace(db), "db", "")
	if db == "" || name == "" { // the library skips it
		return true
	}
	number, err := strconv.Atoi(db)
	return err == nil && number >= 0
}

// options is c as the library has it, with what the files hold.
func (c *Config) options(a address) (library.Options, error) {
	options := library.Options{
		User: c.RedisUser, Password: string(c.RedisPassword), Namespace: c.Namespace, ConfigCommandName: c.ConfigCommand,
		CheckKeys: strings.Join(c.CheckKeys, ","), CheckSingleKeys: strings.Join(c.CheckSingleKeys, ","),
		CheckStreams: strings.Join(c.CheckStreams, ","), CheckSingleStreams: strings.Join(c.CheckSingleStreams, ","),
		CountKeys: strings.Join(c.CountKeys, ","), CheckKeyGroups: strings.Join(c.CheckKeyGroups, ","),
		CheckKeysBatchSize: c.CheckKeyGroupsBatchSize, MaxDistinctKeyGroups: c.MaxDistinctKeyGroups,
		DisableExportingKeyValues: !c.ExportKeyValues, RedactConfigMetrics: true,
		ClientCertFile: c.TLSClientCertFile, ClientKeyFile: c.TLSClientKeyFile, CaCertFile: c.TLSCaCertFile, SkipTLSVerification: c.SkipTLSVerification,
		SetClientName: c.SetClientName, IsTile38: c.IsTile38, IsCluster: c.IsCluster,
		ExportClientList: c.ExportClientList, ExportClientsInclPort: c.ExportClientPort, ConnectionTimeouts: c.ConnectionTimeout,
		RedisMetricsOnly: c.RedisMetricsOnly, PingOnConnect: c.PingOnConnect, InclSystemMetrics: c.InclSystemMetrics,
	}
	var err error
	if options.LuaScript, err = c.scripts(); err != nil {
		return options, err
	}
	if c.RedisPasswordFile != "" {
		text, err := os.ReadFile(c.RedisPasswordFile)
		if err != nil {
			return options, component.At("redis_password_file", err)
		}
		options.Password = strings.TrimSpace(string(text))
	}
	if c.RedisPasswordMapFile != "" {
		text, err := os.ReadFile(c.RedisPasswordMapFile)
		if err != nil {
			return options, component.At("redis_password_map_file", err)
		}
		if err := json.Unmarshal(text, &options.PasswordMap); err != nil {
			// The error would quote a part of the file.
			return options, component.At("redis_password_map_file", fmt.Errorf("%s is not a JSON object of addresses and their passwords", c.RedisPasswordMapFile))
		}
	}
	if a.hasPassword { // it takes precedence over all others
		options.Password, options.PasswordMap = a.password, nil
		if a.user != "" {
			options.User = a.user
		}
	}
	return options, nil
}

// scripts are the Lua scripts by their paths.
func (c *Config) scripts() (map[string][]byte, error) {
	paths, argument := c.ScriptPaths, "script_paths"
	if c.ScriptPath != "" {
		paths, argument = []string{c.ScriptPath}, "script_path"
	}
	if len(paths) == 0 {
		return nil, nil
	}
	scripts := map[string][]byte{}
	for path := range strings.SplitSeq(strings.Join(paths, ","), ",") {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, component.At(argument, err)
		}
		scripts[path] = text
	}
	return scripts, nil
}
