package snmp

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"time"

	library "github.com/prometheus/snmp_exporter/config"
	"go.yaml.in/yaml/v2"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/exporters/exporter"
)

// Config is the configuration of prometheus.exporter.snmp.
type Config struct {
	ConfigFile          string           `alloy:"config_file,attr,optional,file"`
	Concurrency         int              `alloy:"concurrency,attr,optional"`
	Config              component.Secret `alloy:"config,attr,optional"`
	ConfigMergeStrategy string           `alloy:"config_merge_strategy,attr,optional"`
	Targets             []Target         `alloy:"target,block,optional"`
	WalkParams          []WalkParam      `alloy:"walk_param,block,optional"`
	TargetsList         *discovery.Set   `alloy:"targets,attr,optional"`
}

// Target is a block target.
type Target struct {
	Name        string            `alloy:",label"`
	Address     string            `alloy:"address,attr"`
	Module      string            `alloy:"module,attr,optional"`
	Auth        string            `alloy:"auth,attr,optional"`
	WalkParams  string            `alloy:"walk_params,attr,optional"`
	SNMPContext string            `alloy:"snmp_context,attr,optional"`
	Labels      map[string]string `alloy:"labels,attr,optional"`
}

// WalkParam is a block walk_param.
type WalkParam struct {
	Name                    string        `alloy:",label"`
	MaxRepetitions          uint32        `alloy:"max_repetitions,attr,optional"`
	Retries                 int           `alloy:"retries,attr,optional"`
	Timeout                 time.Duration `alloy:"timeout,attr,optional"`
	UseUnconnectedUDPSocket bool          `alloy:"use_unconnected_udp_socket,attr,optional"`
}

// SetToDefault sets Alloy's defaults.
func (c *Config) SetToDefault() { *c = Config{Concurrency: 1, ConfigMergeStrategy: replace} }

// What the modules of the configuration do to those that are built in.
const (
	replace = "replace"
	merge   = "merge"
)

// Validate reports arguments that exclude each other, or that are wrong.
func (c *Config) Validate() error {
	if c.ConfigFile != "" && c.Config != "" {
		return component.At("config_file", errors.New("config and config_file are both set: keep one of them"))
	}
	if c.ConfigMergeStrategy != replace && c.ConfigMergeStrategy != merge {
		return component.At("config_merge_strategy", fmt.Errorf("%q is neither %q nor %q", c.ConfigMergeStrategy, replace, merge))
	}
	if c.Config != "" {
		_, err := c.own()
		return err
	}
	return nil
}

// own are the modules of the file, or of the text.
func (c *Config) own() (*library.Config, error) {
	if c.ConfigFile == "" {
		own := &library.Config{}
		if err := yaml.UnmarshalStrict([]byte(c.Config), own); err != nil {
			return nil, component.At("config", fmt.Errorf("read the modules of snmp_exporter: %w", err))
		}
		return own, nil
	}
	files, err := filepath.Glob(c.ConfigFile)
	if err == nil && len(files) == 0 {
		err = component.Absent(fmt.Errorf("no file matches %q", c.ConfigFile))
	}
	if err != nil {
		return nil, component.At("config_file", err)
	}
	own, err := library.LoadFile(files, false)
	return own, component.At("config_file", err)
}

// modules finds modules and credentials by their names.
func (c *Config) modules() (*modules, error) {
	own, err := c.own()
	if err != nil {
		return nil, err
	}
	m := &modules{own: own.Modules, auths: own.Auths}
	if empty := len(own.Modules) == 0 && len(own.Auths) == 0; !empty && c.ConfigMergeStrategy == replace {
		return m, nil
	}
	builtIn, err := readBuiltIn()
	if err != nil {
		return nil, err
	}
	auths := maps.Clone(builtIn.auths)
	maps.Copy(auths, own.Auths)
	m.auths, m.builtIn = auths, builtIn.names
	return m, nil
}

// parameters are what a target has for its page, besides its name and address.
func parameters() []string { return []string{"module", "auth", "walk_params", "snmp_context"} }

// probes are made of the blocks.
func (c *Config) probes() []exporter.Probe {
	var probes []exporter.Probe
	for _, t := range c.Targets {
		probes = append(probes, exporter.Probe{Name: t.Name, Address: t.Address, Labels: t.Labels, Parameters: map[string]string{
			"name": t.Name, "module": t.Module, "auth": t.Auth, "walk_params": t.WalkParams, "snmp_context": t.SNMPContext,
		}})
	}
	return probes
}

// probesOf are made of a list.
func probesOf(targets []discovery.Target) ([]exporter.Probe, error) {
	probes, err := exporter.ProbesOf(targets, parameters(), []string{"target"})
	for i := range probes {
		probes[i].Parameters["name"] = probes[i].Name
	}
	return probes, err
}
