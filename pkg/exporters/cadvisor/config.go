package cadvisor

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"collector/pkg/component"
	"collector/pkg/docker"
)

// Config is the configuration of prometheus.exporter.cadvisor.
type Config struct {
	StoreContainerLabels       bool          `alloy:"store_container_labels,attr,optional"`
	AllowlistedContainerLabels []string      `alloy:"allowlisted_container_labels,attr,optional"`
	EnvMetadataAllowlist       []string      `alloy:"env_metadata_allowlist,attr,optional"`
	RawCgroupPrefixAllowlist   []string      `alloy:"raw_cgroup_prefix_allowlist,attr,optional"`
	PerfEventsConfig           string        `alloy:"perf_events_config,attr,optional"`
	ResctrlInterval            time.Duration `alloy:"resctrl_interval,attr,optional"`
	DisabledMetrics            []string      `alloy:"disabled_metrics,attr,optional"`
	EnabledMetrics             []string      `alloy:"enabled_metrics,attr,optional"`
	StorageDuration            time.Duration `alloy:"storage_duration,attr,optional"`
	ContainerdHost             string        `alloy:"containerd_host,attr,optional"`
	ContainerdNamespace        string        `alloy:"containerd_namespace,attr,optional"`
	DockerHost                 string        `alloy:"docker_host,attr,optional"`
	UseDockerTLS               bool          `alloy:"use_docker_tls,attr,optional"`
	DockerTLSCert              string        `alloy:"docker_tls_cert,attr,optional"`
	DockerTLSKey               string        `alloy:"docker_tls_key,attr,optional"`
	DockerTLSCA                string        `alloy:"docker_tls_ca,attr,optional"`
	DockerOnly                 bool          `alloy:"docker_only,attr,optional"`
	DisableRootCgroupStats     bool          `alloy:"disable_root_cgroup_stats,attr,optional"`
}

const (
	defaultContainerd = "/run/containerd/containerd.sock"
	defaultNamespace  = "k8s.io"
)

// SetToDefault sets Alloy's defaults.
func (c *Config) SetToDefault() {
	*c = Config{
		StoreContainerLabels:       true,
		AllowlistedContainerLabels: []string{""},
		EnvMetadataAllowlist:       []string{""},
		RawCgroupPrefixAllowlist:   []string{""},
		StorageDuration:            2 * time.Minute,
		ContainerdHost:             defaultContainerd,
		ContainerdNamespace:        defaultNamespace,
		DockerHost:                 docker.DefaultHost,
		DockerTLSCert:              "cert.pem",
		DockerTLSKey:               "key.pem",
		DockerTLSCA:                "ca.pem",
	}
}

// The kinds of metrics, by which they are turned on and off.
const (
	kindCPU        = "cpu"
	kindPerCPU     = "percpu"
	kindSched      = "sched"
	kindLoad       = "cpuLoad"
	kindMemory     = "memory"
	kindNuma       = "memory_numa"
	kindReferenced = "referenced_memory"
	kindHugetlb    = "hugetlb"
	kindDisk       = "disk"
	kindDiskIO     = "diskIO"
	kindNetwork    = "network"
	kindTCP        = "tcp"
	kindAdvTCP     = "advtcp"
	kindUDP        = "udp"
	kindProcess    = "process"
	kindCPUSet     = "cpuset"
	kindTopology   = "cpu_topology"
	kindOOM        = "oom_event"
	kindApp        = "app"
	kindPerf       = "perf_event"
	kindResctrl    = "resctrl"
)

// kinds is a set of kinds.
type kinds map[string]bool

func allKinds() []string {
	return append(offByDefault(), kindCPU, kindPerCPU, kindLoad, kindMemory, kindDisk, kindDiskIO, kindNetwork, kindApp, kindPerf, kindOOM)
}

func offByDefault() []string {
	return []string{kindAdvTCP, kindTopology, kindCPUSet, kindHugetlb, kindNuma, kindProcess, kindReferenced, kindResctrl, kindSched, kindTCP, kindUDP}
}

// neverRead are kinds that are accepted and have no metrics.
func neverRead() []string { return []string{kindApp, kindPerf, kindResctrl} }

// Validate reports what cannot work.
func (c *Config) Validate() error {
	for _, list := range []struct {
		argument string
		kinds    []string
	}{{"enabled_metrics", c.EnabledMetrics}, {"disabled_metrics", c.DisabledMetrics}} {
		for _, kind := range list.kinds {
			if !slices.Contains(allKinds(), kind) {
				known := allKinds()
				slices.Sort(known)
				return component.At(list.argument, fmt.Errorf("there is no kind of metrics %q: use %s", kind, strings.Join(known, ", ")))
			}
		}
	}
	if c.StorageDuration < 0 {
		return component.At("storage_duration", fmt.Errorf("%v is negative: use a time such as \"2m\"", c.StorageDuration))
	}
	if c.DockerHost != "" {
		if _, err := docker.NewPool(nil).Engine(docker.Config{Host: c.DockerHost}); err != nil {
			return component.At("docker_host", err)
		}
	}
	return nil
}

// kinds are those that are on: enabled_metrics if there are any, else all but
// disabled_metrics, which replaces the list of kinds that are off by default.
func (c *Config) kinds() kinds {
	on := kinds{}
	if len(c.EnabledMetrics) > 0 {
		for _, kind := range c.EnabledMetrics {
			on[kind] = true
		}
		return on
	}
	off := c.DisabledMetrics
	if off == nil {
		off = offByDefault()
	}
	for _, kind := range allKinds() {
		on[kind] = !slices.Contains(off, kind)
	}
	return on
}

// any reports whether one of the kinds is on.
func (k kinds) any(of ...string) bool {
	return slices.ContainsFunc(of, func(kind string) bool { return k[kind] })
}

// warn reports the arguments that have no effect here.
func (c *Config) warn(warn func(path, why string)) {
	if c.PerfEventsConfig != "" {
		warn("perf_events_config", "perf events are not counted")
	}
	if c.ResctrlInterval != 0 {
		warn("resctrl_interval", "resctrl groups are not read")
	}
	if c.ContainerdHost != defaultContainerd {
		warn("containerd_host", "containerd is not asked: containers that are not Docker's have their cgroup's path as id, and no name")
	}
	if c.ContainerdNamespace != defaultNamespace {
		warn("containerd_namespace", "containerd is not asked: containers that are not Docker's have their cgroup's path as id, and no name")
	}
	for _, kind := range c.EnabledMetrics {
		if slices.Contains(neverRead(), kind) {
			warn("enabled_metrics", kind+" has no metrics here")
		}
	}
}

// raw reports whether a cgroup that is not Docker's is on the page.
func (c *Config) raw(name string) bool {
	switch {
	case name == "/":
		return !c.DisableRootCgroupStats
	case strings.HasSuffix(name, ".mount"):
		return false
	case c.DockerOnly && (len(c.RawCgroupPrefixAllowlist) == 0 || c.RawCgroupPrefixAllowlist[0] == ""):
		return false
	case len(c.RawCgroupPrefixAllowlist) == 0:
		return true
	}
	return slices.ContainsFunc(c.RawCgroupPrefixAllowlist, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}
