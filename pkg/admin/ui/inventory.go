package ui

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/config"
)

// Inventory tells what the collector has found to collect from. All it gives
// are snapshots. What it gives may hold secrets, in labels above all, which the
// pages hide.
type Inventory interface {
	ScrapeTargets() []ScrapeTarget
	// Fetch asks a target for its page. found is false if it is not there.
	Fetch(ctx context.Context, component, id string) (answer Response, found bool, err error)
	LogTails() []LogTail
	Engines() []Engine
	Containers() []Container
	// Unlisted are the containers that no discovery gives as targets, by name:
	// why not.
	Unlisted() map[string]string
	Relabellings() []Relabelling
}

// ScrapeTarget is a target of a component that scrapes.
type ScrapeTarget struct {
	Component  string
	ID         string // within the component
	Job, URL   string
	State      string // up, down or unknown
	Labels     labels.Labels
	Discovered labels.Labels // before relabelling, with meta labels
	LastScrape time.Time
	Took       time.Duration
	Interval   string
	Samples    int
	Error      string
}

// Response is what a target answered.
type Response struct {
	Status      string        `json:"status"`
	ContentType string        `json:"contentType"`
	Body        string        `json:"body"`
	Truncated   bool          `json:"truncated"`          // there is more than the body
	Location    string        `json:"location,omitempty"` // where a redirect leads, which is not followed
	Took        time.Duration `json:"took"`               // ns
}

// LogTail is a container whose output is read.
type LogTail struct {
	Component string `json:"component"`
	ID        string `json:"id"` // of the container
	Container string `json:"container"`
	State     string `json:"state"`
	// Labels are those of each stream; a stream that a rule drops has none.
	Labels      map[string]map[string]string `json:"labels"`
	Lines       uint64                       `json:"lines"`
	Bytes       uint64                       `json:"bytes"`
	Dropped     uint64                       `json:"dropped"` // by rules
	Connections uint64                       `json:"connections"`
	Cursor      time.Time                    `json:"cursor"` // the time of the newest line read
	LagSeconds  float64                      `json:"lagSeconds"`
	Error       string                       `json:"error,omitempty"`
	ErrorAt     time.Time                    `json:"errorAt,omitzero"`
}

// OrphanedQueue is what waits for a destination that the configuration no longer
// has.
type OrphanedQueue struct {
	Folder, Component, Signal, URL string
	Items                          uint64
	Bytes                          int64
	Oldest, KeptUntil              time.Time
	Delivering                     bool // by a writer to the same destination
}

// Engine is a connection to Docker.
type Engine struct {
	Component string    `json:"component"`
	Host      string    `json:"host"`
	Connected bool      `json:"connected"`
	Error     string    `json:"error,omitempty"`
	Since     time.Time `json:"since"`
	Targets   int       `json:"targets"`
	Refused   []string  `json:"refused,omitempty"` // requests that are not allowed
}

// Container is a container that discovery has found.
type Container struct {
	ID, Name, Project, Service string
	Ended                      bool
}

// Relabelling is a component whose rules decide what becomes of targets.
type Relabelling struct {
	Component string
	// Streams are what the rules are applied to for each target; empty if that
	// is the target itself.
	Streams []string
	Inputs  func() []labels.Labels
	// Dropper tells whether an input is kept, and else which rule drops it: its
	// index, or -1 for none.
	Dropper func(input labels.Labels, stream string) (rule int, kept bool)
	Trace   func(input labels.Labels, stream string) Trace
	// After tells what becomes of an output further on.
	After func(input, output labels.Labels) []Onward
}

// Trace is what rules made of an input, step by step.
type Trace struct {
	Input, Output labels.Labels
	Kept          bool
	Steps         []TraceStep
}

// TraceStep is what one rule did.
type TraceStep struct {
	Rule    RelabelRule  `json:"rule"`
	Value   string       `json:"value"` // of the source labels, joined
	Matched bool         `json:"matched"`
	Changes []LabelShift `json:"changes"`
	Dropped bool         `json:"dropped"`
}

// RelabelRule is a rule as written, or by default.
type RelabelRule struct {
	Action       string   `json:"action"`
	SourceLabels []string `json:"sourceLabels,omitempty"`
	Separator    string   `json:"separator"`
	Regex        string   `json:"regex"`
	TargetLabel  string   `json:"targetLabel,omitempty"`
	Replacement  string   `json:"replacement"`
	Modulus      uint64   `json:"modulus,omitempty"`
}

// LabelShift is a label that a rule has changed; an empty value is a label that
// is not there.
type LabelShift struct {
	Name   string `json:"name"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// Onward is what a component further on does with a target.
type Onward struct {
	Component string `json:"component"`
	Taken     bool   `json:"taken"`
	Target    string `json:"target,omitempty"` // of a scrape: the target's id
	Why       string `json:"why,omitempty"`
}

const (
	containerID   = "__meta_docker_container_id"
	containerName = "__meta_docker_container_name"
)

func shownMap(all map[string]string) map[string]string {
	out := make(map[string]string, len(all))
	for name, value := range all {
		out[name] = shown(name, value)
	}
	return out
}

func shown(name, value string) string { return config.Shown(name, value) }

// shownURL is a text, such as an error, without the secrets of URLs in it.
func shownURL(text string) string { return config.WithoutPasswords(text) }

// nameOf is the name of the container that a target belongs to, or else the
// best name that it has.
func nameOf(target labels.Labels) string {
	for _, name := range []string{labels.MetricName, containerName, "container", "instance", "__address__", "service_name", "job", "filename"} {
		if v := target.Get(name); v != "" {
			return shownURL(strings.TrimPrefix(v, "/"))
		}
	}
	return ""
}

// sortedKeys are the keys of m in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
