package main

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"collector/pkg/admin"
	"collector/pkg/component"
)

// listenVariable changes the default of --server.http.listen-addr. The image
// sets it, because a container's loopback interface is of no use to a browser.
const listenVariable = "COLLECTOR_HTTP_LISTEN_ADDR"

const listenFlag = "server.http.listen-addr"

const storageFlag = "storage.path"

const clusterFlag = "cluster.enabled"

// defaultStorage is where queues and cursors are unless a flag says otherwise.
const defaultStorage = "data-alloy/"

const prefixFlag = "server.http.ui-path-prefix"

// The flags of the Explore window, which Alloy does not have.
const (
	exploreMemoryFlag = "explore.memory"
	exploreAgeFlag    = "explore.age"
)

// runFlags are the flags of `run` that have a meaning here. The names are
// Alloy's, so that a Compose file's command line stays as it is.
type runFlags struct {
	listen     string
	pprof      bool
	storage    string
	format     *configFormat
	cluster    bool
	allowEmpty bool
	prefix     string
	noSupport  bool
	set        *pflag.FlagSet
	hosts      []string
	promtail   *promtailFile // if the configuration is one
	stdin      *stdinOf      // if standard input is read, and nothing else

	exploreMemory windowSize
	exploreAge    time.Duration
}

func defaultListen() string {
	if address := os.Getenv(listenVariable); address != "" {
		return address
	}
	return "127.0.0.1:12345"
}

func newRunFlags() (*pflag.FlagSet, *runFlags) {
	set := pflag.NewFlagSet("run", pflag.ContinueOnError)
	describe(set, "run [PATH] runs a configuration: a file, a directory of *.alloy files, or Promtail's YAML file;\nwithout PATH, the built-in one. SIGHUP reloads it.")
	f := &runFlags{set: set}
	set.StringVar(&f.listen, listenFlag, defaultListen(), "address of the HTTP server: UI, metrics, health")
	set.BoolVar(&f.noSupport, "server.http.disable-support-bundle", false, "do not serve /-/support")
	set.BoolVar(&f.pprof, "server.http.enable-pprof", true, "serve /debug/pprof")
	set.StringVar(&f.prefix, prefixFlag, "/", "URL path prefix of the UI, for example behind a proxy")
	set.StringSliceVar(&f.hosts, admin.AllowedHostsFlag, nil, "public host names that browsers may use for the UI over plain HTTP without a password; not needed for IP addresses, local names, HTTPS, or clients other than browsers")
	set.Var(&f.exploreMemory, exploreMemoryFlag, "memory for recent data of each of the four signals, shown in the UI under Explore, for example 16MiB; 0 keeps none")
	set.DurationVar(&f.exploreAge, exploreAgeFlag, 15*time.Minute, "how long recent data is kept for the UI, if --"+exploreMemoryFlag+" is set")
	set.StringVar(&f.storage, storageFlag, defaultStorage, "directory for queues and cursors")
	f.format = formatFlags(set)
	set.BoolVar(&f.allowEmpty, "config.allow-empty", false, "allow a reload that removes all components; without it, an empty configuration or file is rejected if the running one has components")
	set.BoolVar(&f.cluster, clusterFlag, false, "accepted for compatibility, with a warning: clustering is not supported, and each collector does all of its work")
	acceptIdle(set)
	return set, f
}

// acceptIdle declares Alloy's flags that have nothing to act on here: there is
// no usage report, no cluster and no stability level to choose.
func acceptIdle(set *pflag.FlagSet) {
	idle(set, "", "server.http.memory-addr", "cluster.node-name", "cluster.advertise-address", "cluster.join-addresses",
		"cluster.discover-peers", "cluster.advertise-interfaces", "cluster.rejoin-interval", "cluster.max-join-peers",
		"cluster.name", "cluster.tls-ca-path", "cluster.tls-cert-path", "cluster.tls-key-path", "cluster.tls-server-name",
		"cluster.wait-for-size", "cluster.wait-timeout", "windows.priority", "feature.prometheus.metric-validation-scheme")
	idleSwitch(set, "disable-reporting", "cluster.enable-tls", "cluster.use-discovery-v1")
	set.Duration("feature.component-shutdown-deadline", 10*time.Minute, "")
	withoutEffect(set, "feature.component-shutdown-deadline") // shutdown takes at most 5 s
}

// idleAnnotation marks the flags that --help lists by their names alone.
const idleAnnotation = "without effect"

func idle(set *pflag.FlagSet, value string, names ...string) {
	for _, name := range names {
		set.String(name, value, "")
		withoutEffect(set, name)
	}
}

func idleSwitch(set *pflag.FlagSet, names ...string) {
	for _, name := range names {
		set.Bool(name, false, "")
		withoutEffect(set, name)
	}
}

func withoutEffect(set *pflag.FlagSet, name string) {
	if err := set.SetAnnotation(name, idleAnnotation, nil); err != nil {
		panic("BUG: " + err.Error())
	}
}

// flagUsages describes the flags of a command. Those without effect come last, without
// descriptions.
func flagUsages(set *pflag.FlagSet) string {
	effective := pflag.NewFlagSet("", pflag.ContinueOnError)
	var idle []string
	set.VisitAll(func(f *pflag.Flag) {
		if _, ok := f.Annotations[idleAnnotation]; ok {
			idle = append(idle, "      --"+f.Name+"\n")
		} else {
			effective.AddFlag(f)
		}
	})
	text := effective.FlagUsages()
	if len(idle) > 0 {
		text += "\nAccepted for compatibility with Alloy, without effect:\n" + strings.Join(idle, "")
	}
	return text
}

// check rejects flags for features that do not exist here.
func (f *runFlags) check() error {
	if _, err := admin.CleanPrefix(f.prefix); err != nil {
		return fmt.Errorf("--%s: %w", prefixFlag, err)
	}
	if f.exploreAge <= 0 {
		return fmt.Errorf("--%s=%s: use a duration above 0, such as 15m", exploreAgeFlag, f.exploreAge)
	}
	if f.exploreMemory > 0 && f.exploreMemory < minExploreMemory {
		return fmt.Errorf("--%s=%s: use at least 1MiB, or 0 to keep nothing", exploreMemoryFlag, component.Bytes(f.exploreMemory))
	}
	return f.format.check()
}

// warn names the flags whose features do not exist here.
func (f *runFlags) warn(logger *slog.Logger) {
	if f.cluster {
		logger.Warn("clustering is not supported: this collector scrapes all of its targets, and so does every other one with the same configuration", "flag", "--"+clusterFlag)
	}
}

// minExploreMemory is below what a scrape of one target may take.
const minExploreMemory = windowSize(component.MiB)

// cleanPrefix is the path prefix, which check has accepted.
func (f *runFlags) cleanPrefix() string {
	prefix, _ := admin.CleanPrefix(f.prefix)
	return prefix
}
