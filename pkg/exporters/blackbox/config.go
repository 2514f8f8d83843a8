package blackbox

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	library "github.com/prometheus/blackbox_exporter/config"
	"go.yaml.in/yaml/v3"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/exporters/exporter"
)

// Config is the configuration of prometheus.exporter.blackbox.
type Config struct {
	ConfigFile         string           `alloy:"config_file,attr,optional,file"`
	Config             component.Secret `alloy:"config,attr,optional"`
	Targets            []Target         `alloy:"target,block,optional"`
	ProbeTimeoutOffset time.Duration    `alloy:"probe_timeout_offset,attr,optional"`
	TargetsList        *discovery.Set   `alloy:"targets,attr,optional"`
}

// Target is a block target.
type Target struct {
	Name    string            `alloy:"name,attr"`
	Address string            `alloy:"address,attr"`
	Module  string            `alloy:"module,attr,optional"`
	Labels  map[string]string `alloy:"labels,attr,optional"`
}

// SetToDefault sets Alloy's defaults.
func (c *Config) SetToDefault() { *c = Config{ProbeTimeoutOffset: 500 * time.Millisecond} }

// Validate reports arguments that exclude each other.
func (c *Config) Validate() error {
	if c.ConfigFile != "" && c.Config != "" {
		return component.At("config_file", errors.New("config and config_file are both set: keep one of them"))
	}
	if c.Config != "" {
		_, err := c.modules()
		return err
	}
	return nil
}

// modules reads the file, or the text.
func (c *Config) modules() (*library.Config, error) {
	text, argument := []byte(c.Config), "config"
	if c.ConfigFile != "" {
		argument = "config_file"
		var err error
		if text, err = os.ReadFile(c.ConfigFile); err != nil {
			return nil, component.At(argument, err)
		}
	}
	modules := &library.Config{}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(modules); err != nil && !errors.Is(err, io.EOF) {
		return nil, component.At(argument, fmt.Errorf("read the modules of blackbox_exporter: %w", err))
	}
	limit(modules)
	return modules, nil
}

// searchLimit is how large a page that is searched may be by default.
const searchLimit = 10 << 20

// limit gives modules that search a page, which the library has in memory for it, a
// limit unless they have one. The others only count its bytes.
func limit(modules *library.Config) {
	for name, m := range modules.Modules {
		if h := &m.HTTP; h.BodySizeLimit == 0 && len(h.FailIfBodyMatchesRegexp)+len(h.FailIfBodyNotMatchesRegexp) > 0 {
			h.BodySizeLimit = searchLimit
			modules.Modules[name] = m
		}
	}
}

// byDefault is the module of targets that name none.
const byDefault = "http_2xx"

// probes makes a probe of each block. It warns of modules that do not exist.
func (c *Config) probes(modules *library.Config, o component.Options) []exporter.Probe {
	var probes []exporter.Probe
	for i, t := range c.Targets {
		module := t.Module
		if module == "" {
			module = byDefault
		}
		if _, ok := modules.Modules[module]; !ok {
			o.Warn(component.Block("target", i), fmt.Sprintf("there is no module %s, so the target is down; there are: %s", module, strings.Join(slices.Sorted(maps.Keys(modules.Modules)), ", ")))
		}
		probes = append(probes, exporter.Probe{Name: t.Name, Address: t.Address, Parameters: map[string]string{"module": t.Module}, Labels: t.Labels})
	}
	return probes
}
