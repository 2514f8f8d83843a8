// Package resourcedetection is otelcol.processor.resourcedetection: it adds to
// resources what is known of the machine.
package resourcedetection

import (
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"time"

	"collector/pkg/component"
	"collector/pkg/otlp/flow"
)

// Config is the configuration of otelcol.processor.resourcedetection.
type Config struct {
	Detectors    []string          `alloy:"detectors,attr,optional"`
	Override     bool              `alloy:"override,attr,optional"`
	Timeout      time.Duration     `alloy:"timeout,attr,optional"`
	System       System            `alloy:"system,block,optional"`
	Docker       Docker            `alloy:"docker,block,optional"`
	DebugMetrics flow.DebugMetrics `alloy:"debug_metrics,block,optional"`
	Output       flow.Output       `alloy:"output,block"`
}

// System is the block system.
type System struct {
	HostnameSources    []string         `alloy:"hostname_sources,attr,optional"`
	ResourceAttributes SystemAttributes `alloy:"resource_attributes,block,optional"`
}

// Toggle turns an attribute on or off.
type Toggle struct {
	Enabled bool `alloy:"enabled,attr"`
}

// SystemAttributes are the attributes that the detector system can find.
type SystemAttributes struct {
	HostArch           Toggle `alloy:"host.arch,block,optional"`
	HostCPUCacheL2Size Toggle `alloy:"host.cpu.cache.l2.size,block,optional"`
	HostCPUFamily      Toggle `alloy:"host.cpu.family,block,optional"`
	HostCPUModelID     Toggle `alloy:"host.cpu.model.id,block,optional"`
	HostCPUModelName   Toggle `alloy:"host.cpu.model.name,block,optional"`
	HostCPUStepping    Toggle `alloy:"host.cpu.stepping,block,optional"`
	HostCPUVendorID    Toggle `alloy:"host.cpu.vendor.id,block,optional"`
	HostID             Toggle `alloy:"host.id,block,optional"`
	HostInterface      Toggle `alloy:"host.interface,block,optional"`
	HostIP             Toggle `alloy:"host.ip,block,optional"`
	HostMAC            Toggle `alloy:"host.mac,block,optional"`
	HostName           Toggle `alloy:"host.name,block,optional"`
	OSBuildID          Toggle `alloy:"os.build.id,block,optional"`
	OSDescription      Toggle `alloy:"os.description,block,optional"`
	OSName             Toggle `alloy:"os.name,block,optional"`
	OSType             Toggle `alloy:"os.type,block,optional"`
	OSVersion          Toggle `alloy:"os.version,block,optional"`
}

// SetToDefault sets the defaults.
func (c *System) SetToDefault() {
	*c = System{HostnameSources: []string{"dns", "os"}}
	c.ResourceAttributes.HostName.Enabled = true
	c.ResourceAttributes.OSType.Enabled = true
}

// Validate rejects unknown sources.
func (c *System) Validate() error {
	var errs []error
	for i, source := range c.HostnameSources {
		if !slices.Contains([]string{"os", "dns", "cname", "lookup"}, source) {
			errs = append(errs, component.At(component.Block("hostname_sources", i), fmt.Errorf("%q is not known: use os, dns, cname or lookup", source)))
		}
	}
	return errors.Join(errs...)
}

// Docker is the block docker.
type Docker struct {
	ResourceAttributes DockerAttributes `alloy:"resource_attributes,block,optional"`
}

// DockerAttributes are the attributes that the detector docker can find.
type DockerAttributes struct {
	HostName Toggle `alloy:"host.name,block,optional"`
	OSType   Toggle `alloy:"os.type,block,optional"`
}

// SetToDefault sets the defaults.
func (c *Docker) SetToDefault() {
	*c = Docker{DockerAttributes{Toggle{true}, Toggle{true}}}
}

// SetToDefault sets the defaults.
func (c *Config) SetToDefault() {
	*c = Config{Detectors: []string{"env"}, Override: true, Timeout: 5 * time.Second}
	c.System.SetToDefault()
	c.Docker.SetToDefault()
	c.DebugMetrics.SetToDefault()
}

// elsewhere are the detectors of Alloy that ask a provider of machines.
func elsewhere() []string {
	return []string{
		"ec2", "ecs", "eks", "elasticbeanstalk", "lambda", "akamai", "azure", "aks", "consul", "digitalocean", "gcp", "heroku", "hetzner",
		"openshift", "kubernetes_node", "kubeadm", "dynatrace", "nova", "oraclecloud", "scaleway", "upcloud", "vultr",
	}
}

// Validate rejects detectors that do not exist.
func (c *Config) Validate() error {
	var errs []error
	if len(c.Detectors) == 0 {
		errs = append(errs, component.At("detectors", errors.New("list at least one of env, system and docker")))
	}
	for i, name := range c.Detectors {
		at := component.Block("detectors", i)
		switch {
		case slices.Contains([]string{"env", "system", "docker"}, name):
		case slices.Contains(elsewhere(), name):
			errs = append(errs, component.At(at, fmt.Errorf("the detector %s is not supported: set the attributes that it finds in the variable OTEL_RESOURCE_ATTRIBUTES, and use env", name)))
		default:
			errs = append(errs, component.At(at, fmt.Errorf("%q is not known: use env, system or docker", name)))
		}
		if slices.Contains(c.Detectors[:i], name) {
			errs = append(errs, component.At(at, fmt.Errorf("%s is listed twice", name)))
		}
	}
	if c.Timeout <= 0 {
		errs = append(errs, component.At("timeout", errors.New("it must be above zero")))
	}
	return errors.Join(errs...)
}

//go:embed otelcol.processor.resourcedetection.md
var page string

// Definition defines otelcol.processor.resourcedetection.
func Definition() component.Definition {
	return component.Define("otelcol.processor.resourcedetection", New, component.Doc{Page: page, Exports: []component.Export{{Name: "input", Type: "otelcol.Consumer"}}})
}
