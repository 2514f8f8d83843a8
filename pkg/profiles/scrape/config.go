package scrape

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/httpclient"
	"collector/pkg/pipeline"
	"collector/pkg/profiles/delta"
)

const (
	defaultInterval = 15 * time.Second
	defaultTimeout  = 10 * time.Second
	defaultDuration = defaultInterval - time.Second
)

// Config is what the user writes in pyroscope.scrape.
type Config struct {
	Targets   *discovery.Set          `alloy:"targets,attr"`
	ForwardTo []pipeline.ProfilesSink `alloy:"forward_to,attr"`

	JobName        string              `alloy:"job_name,attr,optional"`
	Params         map[string][]string `alloy:"params,attr,optional"`
	ScrapeInterval time.Duration       `alloy:"scrape_interval,attr,optional"`
	ScrapeTimeout  time.Duration       `alloy:"scrape_timeout,attr,optional"`
	Scheme         string              `alloy:"scheme,attr,optional"`
	// DeltaDuration is for how long a target is to profile itself; the default
	// represents a second less than the interval.
	DeltaDuration time.Duration `alloy:"delta_profiling_duration,attr,optional"`

	HTTPClient httpclient.Config `alloy:",squash"`
	Profiling  ProfilingConfig   `alloy:"profiling_config,block,optional"`
	Clustering Clustering        `alloy:"clustering,block,optional"`
}

// Clustering is Alloy's distribution of targets over a cluster. In Alloy it has
// an effect only with --cluster.enabled; here it never has.
type Clustering struct {
	Enabled bool `alloy:"enabled,attr"`
}

// ProfilingConfig is which profiles are scraped.
type ProfilingConfig struct {
	Memory            ProfileConfig  `alloy:"profile.memory,block,optional"`
	Block             ProfileConfig  `alloy:"profile.block,block,optional"`
	Goroutine         ProfileConfig  `alloy:"profile.goroutine,block,optional"`
	Mutex             ProfileConfig  `alloy:"profile.mutex,block,optional"`
	ProcessCPU        ProfileConfig  `alloy:"profile.process_cpu,block,optional"`
	FGProf            ProfileConfig  `alloy:"profile.fgprof,block,optional"`
	GoDeltaProfMemory ProfileConfig  `alloy:"profile.godeltaprof_memory,block,optional"`
	GoDeltaProfMutex  ProfileConfig  `alloy:"profile.godeltaprof_mutex,block,optional"`
	GoDeltaProfBlock  ProfileConfig  `alloy:"profile.godeltaprof_block,block,optional"`
	Custom            []CustomConfig `alloy:"profile.custom,block,optional"`

	PathPrefix string `alloy:"path_prefix,attr,optional"`
}

// ProfileConfig is one kind of profile. The block keeps what is not in it as it is by
// default.
type ProfileConfig struct {
	Enabled bool   `alloy:"enabled,attr,optional"`
	Path    string `alloy:"path,attr,optional"`
	// Delta: the target profiles itself for a time, which is in the parameter seconds.
	Delta bool `alloy:"delta,attr,optional"`
}

// CustomConfig is a kind of profile that the user names.
type CustomConfig struct {
	Name    string `alloy:",label"`
	Enabled bool   `alloy:"enabled,attr"`
	Path    string `alloy:"path,attr"`
	Delta   bool   `alloy:"delta,attr,optional"`
}

// SetToDefault sets Alloy's defaults.
func (c *Config) SetToDefault() {
	*c = Config{
		Scheme: "http", HTTPClient: httpclient.Default(),
		ScrapeInterval: defaultInterval, ScrapeTimeout: defaultTimeout, DeltaDuration: defaultDuration,
	}
	c.Profiling.SetToDefault()
}

// SetToDefault sets Alloy's defaults.
func (c *ProfilingConfig) SetToDefault() {
	*c = ProfilingConfig{
		Memory:            ProfileConfig{Enabled: true, Path: "/debug/pprof/allocs"},
		Block:             ProfileConfig{Enabled: true, Path: "/debug/pprof/block"},
		Goroutine:         ProfileConfig{Enabled: true, Path: "/debug/pprof/goroutine"},
		Mutex:             ProfileConfig{Enabled: true, Path: "/debug/pprof/mutex"},
		ProcessCPU:        ProfileConfig{Enabled: true, Path: "/debug/pprof/profile", Delta: true},
		FGProf:            ProfileConfig{Path: "/debug/fgprof", Delta: true},
		GoDeltaProfMemory: ProfileConfig{Path: "/debug/pprof/delta_heap"},
		GoDeltaProfMutex:  ProfileConfig{Path: "/debug/pprof/delta_mutex"},
		GoDeltaProfBlock:  ProfileConfig{Path: "/debug/pprof/delta_block"},
	}
}

// kind is a kind of profile.
type kind struct {
	name string // the label __name__
	ProfileConfig
}

// kinds are all kinds of profiles, in Alloy's order. One that the user names takes
// the place of another with the same name.
func (c *ProfilingConfig) kinds() []kind {
	all := []kind{
		{"memory", c.Memory}, {"block", c.Block}, {"goroutine", c.Goroutine}, {"mutex", c.Mutex},
		{"process_cpu", c.ProcessCPU}, {"fgprof", c.FGProf},
		{"godeltaprof_memory", c.GoDeltaProfMemory}, {"godeltaprof_mutex", c.GoDeltaProfMutex}, {"godeltaprof_block", c.GoDeltaProfBlock},
	}
	for _, p := range c.Custom {
		made := kind{p.Name, ProfileConfig{Enabled: p.Enabled, Path: p.Path, Delta: p.Delta}}
		if at := slices.IndexFunc(all, func(k kind) bool { return k.name == p.Name }); at >= 0 {
			all[at] = made
		} else {
			all = append(all, made)
		}
	}
	return all
}

// stored is the name under which a kind of profile is stored, and the types of its values
// that count since the start of a program, if it is compared with the one before. With
// godeltaprof, the target has done that already.
func stored(name string) (as string, compared []delta.ValueType) {
	if as, is := strings.CutPrefix(name, "godeltaprof_"); is && (as == "memory" || as == "mutex" || as == "block") {
		return as, nil
	}
	switch name {
	case "memory":
		compared = []delta.ValueType{{Type: "alloc_objects", Unit: "count"}, {Type: "alloc_space", Unit: "bytes"}}
	case "mutex", "block":
		compared = []delta.ValueType{{Type: "contentions", Unit: "count"}, {Type: "delay", Unit: "nanoseconds"}}
	}
	return name, compared
}

// Validate reports what cannot work.
func (c *Config) Validate() error {
	var errs []error
	if c.ScrapeTimeout <= 0 {
		errs = append(errs, component.At("scrape_timeout", fmt.Errorf("%s is not positive", c.ScrapeTimeout)))
	}
	if c.ScrapeInterval < time.Millisecond {
		errs = append(errs, component.At("scrape_interval", fmt.Errorf("%s is too short: it must be at least 1ms", c.ScrapeInterval)))
	}
	if c.Scheme != "http" && c.Scheme != "https" && c.Scheme != "" {
		errs = append(errs, component.At("scheme", fmt.Errorf("%q is unknown: use \"http\" or \"https\"", c.Scheme)))
	}
	for _, k := range c.Profiling.kinds() {
		if k.Enabled && k.Delta {
			errs = append(errs, c.validateDuration())
			break
		}
	}
	errs = append(errs, c.HTTPClient.Validate())
	return errors.Join(errs...)
}

// validateDuration reports what cannot work where targets profile themselves for a
// time.
func (c *Config) validateDuration() error {
	switch d := c.DeltaDuration; {
	case c.ScrapeInterval < 2*time.Second:
		return component.At("scrape_interval", fmt.Errorf("%s is too short for profiles that take time, such as process_cpu: it must be at least 2s", c.ScrapeInterval))
	case d <= time.Second:
		return component.At("delta_profiling_duration", fmt.Errorf("%s is too short: it must be more than 1s", d))
	case d > c.ScrapeInterval-time.Second:
		return component.At("delta_profiling_duration", fmt.Errorf("%s is too long: it must be at least 1s shorter than scrape_interval, %s", d, c.ScrapeInterval))
	}
	return nil
}

// seconds is for how long a target is to profile itself.
func (c *Config) seconds() int {
	if c.DeltaDuration != defaultDuration {
		return int(c.DeltaDuration / time.Second)
	}
	return int(c.ScrapeInterval/time.Second) - 1
}
