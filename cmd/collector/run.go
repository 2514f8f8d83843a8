package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/spf13/pflag"
	"google.golang.org/grpc/grpclog"

	"collector/cmd/collector/builtin"
	"collector/pkg/admin"
	"collector/pkg/clock"
	"collector/pkg/component"
	"collector/pkg/config"
	"collector/pkg/deliver"
	"collector/pkg/docker"
	"collector/pkg/graph"
	"collector/pkg/listen"
	"collector/pkg/live"
	"collector/pkg/logging"
	"collector/pkg/promtail"
	"collector/pkg/spans"
)

// stopTime bounds how long the components may take to stop. With the HTTP
// server's own second it stays below 5 s, and so below Docker's 10 s.
const stopTime = 3500 * time.Millisecond

// defaultConfigVariable names a path at which a missing file means the built-in
// configuration. The image sets it to the path in its own command line.
const defaultConfigVariable = "COLLECTOR_DEFAULT_CONFIG"

func userAgent() string { return "collector/" + version }

// run loads a configuration and runs it until a signal comes.
func run(args []string, errOut io.Writer) error {
	set, flags := newRunFlags()
	set.SetOutput(errOut)
	if err := set.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return err
		}
		return fmt.Errorf("%w; `collector run --help` lists the flags", err)
	}
	if err := flags.check(); err != nil {
		return err
	}
	if set.NArg() > 1 {
		return fmt.Errorf("run takes one path, a file or a directory of *.alloy files; got %s", strings.Join(set.Args(), ", "))
	}
	if inPromtailsPlace(set.Arg(0), promtailDefault) {
		return asPromtail([]string{"-config.file=" + promtailDefault}, errOut, errOut)
	}
	file, err := flags.format.promtailFile(set.Arg(0))
	if err != nil {
		return err
	}
	if file != nil {
		result, _, err := file.read(config.Read)
		if err != nil {
			return err
		}
		file.settle(flags, result)
		if err := flags.check(); err != nil {
			return err
		}
	}
	return runUntilSignal(flags, set.Arg(0), errOut, flags.warn)
}

// runUntilSignal runs the configuration at path until a signal comes. begin is called
// first.
func runUntilSignal(flags *runFlags, path string, errOut io.Writer, begin func(*slog.Logger)) error {
	limitMemory()
	releaseStart()
	unblocked, flush := unblocked(errOut)
	defer flush()
	p := newProgram(flags, path, unblocked, flags.stdin.definitions()...)
	p.stdin = flags.stdin
	p.flush = flush
	begin(p.logger)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	p.handleSignals(ctx, stop)
	return p.run(ctx, unblocked)
}

// lastWords is how long the last lines of the log may take at shutdown.
const lastWords = 500 * time.Millisecond

// unblocked is a writer to out that never waits and whose reader may disappear, which
// would otherwise end the process by SIGPIPE. flush waits, within bounds, for what was
// written.
func unblocked(out io.Writer) (w *logging.Output, flush func()) {
	signal.Ignore(syscall.SIGPIPE)
	w = logging.NewOutput(out)
	return w, func() { w.Flush(lastWords) }
}

// program is a running collector.
type program struct {
	path   string          // of the configuration; "" for the built-in one
	prefix string          // of the UI's paths
	fixed  []config.Source // if set, the configuration
	file   *promtailFile   // if set, what the configuration is made of
	stdin  *stdinOf        // if set, what is read; the program ends with it
	loaded func()          // called once the first configuration is in force
	flush  func()          // waits, within bounds, for the log to be written
	logger *slog.Logger
	graph  *graph.Controller
	server *admin.Server
	access *admin.Access
	view   *view
	// orphans are the queues of writers that are no longer in the configuration.
	orphans *deliver.Orphans

	reloading sync.Mutex  // one reload at a time
	open      atomic.Bool // the UI is open to others, as warnOpen last warned
}

// newProgram makes a program that knows extra components besides those of the
// table.
func newProgram(flags *runFlags, path string, errOut io.Writer, extra ...component.Definition) *program {
	log := logging.New(errOut)
	// The libraries' own messages must not get to standard error on their own.
	slog.SetDefault(log.Logger())
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, slog.NewLogLogger(log.Logger().Handler(), slog.LevelError).Writer()))
	p := &program{path: path, prefix: flags.cleanPrefix(), file: flags.promtail, logger: log.Logger(), access: &admin.Access{}}
	p.loaded = func() { p.logger.Info("collector is running", "version", version, "http", p.server.Addr().String()) }
	registry := prometheus.NewRegistry()
	admin.RegisterProcess(registry, admin.Build{Version: version, Revision: revision, Branch: branch})
	log.Register(registry)
	listeners := listen.NewPool()
	hub, traces := &live.Hub{}, &spans.Provider{}
	p.orphans = deliver.NewOrphans(flags.storage, p.logger)
	registry.MustRegister(p.orphans)
	p.view = newView(hub, flags.exploreMemory, flags.exploreAge)
	own := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return p.graph.Gather() })
	p.graph = graph.New(graph.Options{
		Kinds: valueKinds(), Definitions: append(components(log, p.access, own, registry), extra...), LeftOut: leftOut(), StoragePath: flags.storage, Version: version, UserAgent: userAgent(),
		Logger: p.logger, Registry: registry, Docker: docker.NewPool(p.logger), Listeners: listeners,
		Live: hub, AllowEmpty: flags.allowEmpty, Orphans: p.orphans, Spans: traces, InForce: func() { p.view.reloaded() },
	})
	p.view.graph = p.graph
	gatherer := prometheus.Gatherer(p.graph)
	if p.file != nil {
		gatherer = promtail.Gatherer(p.graph)
	}
	p.server = admin.New(admin.Options{
		Address: flags.listen, Flag: "--" + listenFlag, Pprof: flags.pprof,
		Program: p, Gatherer: gatherer, Promtail: p.file.adminPaths(), Listeners: listeners, Spans: traces, Logger: p.logger,
		Source: p.graph, Version: version, Prefix: p.prefix, AllowedHosts: flags.hosts, Access: p.access,
		Rates: p.view, Destinations: p.view, Live: hub, Explore: p.view.window,
		Inventory: inventory{p.graph}, Handlers: p.graph, Orphans: p.orphanedQueues, OnDisk: (&disk{path: path, original: p.file != nil, inForce: p.graph.Sources}).diff, Support: flags.supportFor(log, p.graph),
	})
	p.server.Register(registry)
	return p
}

// run serves HTTP from the first moment, loads the configuration, and runs
// until ctx ends.
func (p *program) run(ctx context.Context, errOut io.Writer) error {
	if err := p.server.Bind(); err != nil {
		return err
	}
	serving, stopServing := context.WithCancel(context.Background())
	var viewing sync.WaitGroup
	defer viewing.Wait()
	defer stopServing()
	viewing.Go(func() { p.view.run(serving) })
	viewing.Go(func() { p.orphans.Run(serving) })
	viewing.Go(func() { (&clock.Watch{Logger: p.logger}).Run(serving) })
	served := make(chan error, 1)
	go func() { served <- p.server.Run(serving) }()

	if err := p.load(ctx); err != nil {
		p.stop()
		fmt.Fprintln(errOut, strings.TrimRight("Error: "+shownError(err), "\n"))
		return exit{1}
	}
	p.loaded()
	select {
	case <-ctx.Done():
	case <-p.stdin.delivered(ctx, p):
	case err := <-served:
		p.stop()
		return err
	}
	p.logger.Info("stopping")
	undelivered := p.stdin.undelivered(p)
	p.stop()
	stopServing()
	return errors.Join(<-served, undelivered)
}

// warnOpen warns when a configuration opens the UI to everybody who reaches the address:
// it shows the configuration and the data that flows, and reloads.
func (p *program) warnOpen() {
	host, _, err := net.SplitHostPort(p.server.Addr().String())
	ip := net.ParseIP(host)
	open := p.access.Open() && err == nil && ip != nil && !ip.IsLoopback()
	if was := p.open.Swap(open); was || !open {
		return
	}
	p.logger.Warn("the UI is open to everyone who can reach its address; publish its port on 127.0.0.1 only, listen on a loopback address, or set a password in the http block",
		"address", p.server.Addr().String(), "flag", "--"+listenFlag)
}

func (p *program) stop() {
	if late := p.graph.Stop(stopTime); len(late) > 0 {
		p.logger.Warn("components did not stop in time; their data is on disk", "components", strings.Join(late, ", "))
	}
}

// load reads the configuration and puts it into force, all or nothing.
func (p *program) load(ctx context.Context) error {
	sources, err := p.sources()
	if err != nil {
		p.graph.LoadFailed(ctx, err, sources...)
		return err
	}
	if err := p.graph.Load(ctx, sources); err != nil {
		return p.file.translate(err)
	}
	_, secured := p.graph.Component("http")
	p.access.Keep(secured)
	p.warnOpen()
	return nil
}

func (p *program) sources() ([]config.Source, error) {
	if p.fixed != nil {
		return p.fixed, nil
	}
	read := config.Read
	if p.graph.Ready() {
		read = config.ReadAgain
	}
	if p.file != nil {
		_, sources, err := p.file.read(read)
		return sources, err
	}
	if p.path == "" {
		return p.builtin(), nil
	}
	sources, err := read(p.path)
	if errors.Is(err, fs.ErrNotExist) && p.path == os.Getenv(defaultConfigVariable) {
		p.logger.Info("no configuration file; running the built-in configuration", "path", p.path)
		return p.builtin(), nil
	}
	return sources, err
}

// builtinName is the name of the built-in configuration, in place of a file's.
const builtinName = "<built-in>"

// builtin returns the built-in configuration, and logs what it does and lacks.
func (p *program) builtin() []config.Source {
	parts := builtin.Parts(os.Getenv)
	on := 0
	for _, part := range parts {
		if part.On() {
			on++
			p.logger.Info(part.Signal+": on; it "+part.Does, "destination", withoutCredentials(part.Destination))
			continue
		}
		p.logger.Info(part.Signal+": off, because no destination is set", "would_do", part.Does, "set", part.Variable, "example", part.Example)
	}
	if on == 0 {
		p.logger.Warn("nothing is collected: no destination is set; set one of the variables above, or write a configuration (start from `collector default-config --all`)")
	}
	if err := reachEngine(os.Getenv("DOCKER_HOST")); err != nil {
		p.logger.Warn("no Docker Engine: no containers are discovered until there is one", "err", err)
	}
	return []config.Source{{Name: builtinName, Text: []byte(builtin.Config(parts, false))}}
}

// withoutCredentials is a destination without what precedes its host or in
// its query.
func withoutCredentials(raw string) string {
	raw, _, _ = strings.Cut(raw, "?")
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok {
		scheme, rest = "", raw
	} else {
		scheme += "://"
	}
	return scheme + rest[strings.LastIndex(rest, "@")+1:]
}

// reachEngine reports whether something listens where the Docker Engine should.
func reachEngine(host string) error {
	network, address, ok := strings.Cut(cmp.Or(host, "unix:///var/run/docker.sock"), "://")
	if !ok {
		return fmt.Errorf("DOCKER_HOST is %q, which is not a valid address: use unix:///path, tcp://host:port or https://host:port", host)
	}
	if network != "unix" {
		network = "tcp"
		address, _, _ = strings.Cut(address[strings.LastIndex(address, "@")+1:], "/")
	}
	conn, err := net.DialTimeout(network, address, time.Second)
	if err != nil {
		return err
	}
	return conn.Close()
}

// Ready, NotRunning, Observe and Reload are what the HTTP server asks for.
func (p *program) Ready() bool          { return p.graph.Ready() }
func (p *program) NotRunning() []string { return p.graph.NotRunning() }
func (p *program) Observe()             { p.graph.Observe() }

func (p *program) Reload(ctx context.Context) error {
	p.reloading.Lock()
	defer p.reloading.Unlock()
	if err := p.load(ctx); err != nil {
		p.logger.Error("reload failed; the previous configuration keeps running", "err", err)
		return err
	}
	p.logger.Info("configuration reloaded")
	return nil
}

// handleSignals reloads at SIGHUP and stops at SIGTERM and SIGINT; the second
// of these ends the process at once.
func (p *program) handleSignals(ctx context.Context, stop func()) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		for s := range signals {
			switch {
			case s == syscall.SIGHUP:
				go p.Reload(graph.TriggeredBy(ctx, "SIGHUP")) // its error is logged
			case ctx.Err() == nil:
				stop()
			default:
				p.logger.Warn("second signal: stopping at once; queued data is on disk")
				p.flush()
				os.Exit(1)
			}
		}
	}()
}
