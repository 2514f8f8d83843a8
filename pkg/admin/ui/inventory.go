package ui

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/config"
	"collector/pkg/inspect"
)

// Inventory tells what the collector has found to collect from. All it gives
// may hold secrets, in labels above all, which the pages redact.
type Inventory interface {
	ScrapeTargets() []inspect.ScrapeTarget
	// Fetch asks a target for its page. found is false if it is not there.
	Fetch(ctx context.Context, component, id string) (answer inspect.Response, found bool, err error)
	LogTails() []inspect.LogTail
	Engines() []inspect.Engine
	Containers() []inspect.Container
	// Unlisted are the containers that no discovery gives as targets, by name:
	// why not.
	Unlisted() map[string]string
	Relabelings() []inspect.Relabeling
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
