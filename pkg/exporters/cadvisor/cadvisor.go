// Package cadvisor is prometheus.exporter.cadvisor: metrics of containers, with the names
// and labels of cAdvisor, read from the host's cgroups and /proc when the page is asked
// for. The Engine provides the containers' names, and their usage too where the host's
// files are not mounted.
package cadvisor

import (
	"context"
	_ "embed"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/docker"
	"collector/pkg/exporters/exporter"
	"collector/pkg/httpclient"
	"collector/pkg/inspect"
)

//go:embed prometheus.exporter.cadvisor.md
var page string

// Definition is the component prometheus.exporter.cadvisor.
func Definition() component.Definition {
	return component.Define("prometheus.exporter.cadvisor", New, exporter.Doc(page))
}

const (
	// scrapeTimeout bounds what a page waits for the Engine.
	scrapeTimeout = 8 * time.Second
	// asking is how many containers the Engine is asked about at a time. Engine
	// 20.10 has an answer once a second, so this is waiting, above all.
	asking = 32
	// statWait is how long a page waits for the sizes of file systems.
	statWait = time.Second
	// settleTime is how long a stop waits for a measurement.
	settleTime = 2 * time.Second
)

// CAdvisor is the component prometheus.exporter.cadvisor.
type CAdvisor struct {
	*exporter.Exporter
	config  Config
	options component.Options
	on      kinds
	metrics map[string]metric
	places  places
	engine  *docker.Engine
	names   *names
	machine machineReader

	filesystems patient[[]filesystem]
	disks       diskUsage

	ctx  context.Context // ends what pages have begun
	stop context.CancelFunc

	scraping sync.Mutex
	schedule map[string]*schedules // guarded by scraping; by the name of the cgroup

	mu     sync.Mutex
	status Status // guarded by mu
}

// New makes the exporter, which reads nothing yet.
func New(cfg Config, o component.Options) (*CAdvisor, error) {
	return newAt(cfg, o, findPlaces())
}

func newAt(cfg Config, o component.Options, at places) (*CAdvisor, error) {
	o = o.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.warn(o.Warn)
	if cfg.DockerHost == "" {
		o.Warn("docker_host", "it is empty: "+docker.DefaultHost+" is used")
		cfg.DockerHost = docker.DefaultHost
	}
	client := httpclient.Default()
	if cfg.UseDockerTLS {
		client.TLS = &httpclient.TLS{CAFile: cfg.DockerTLSCA, CertFile: cfg.DockerTLSCert, KeyFile: cfg.DockerTLSKey}
	}
	engine, err := discovery.DockerEngine(cfg.DockerHost, &client, o)
	if err != nil {
		return nil, err
	}
	o.Metrics.MustRegister(discovery.EngineMetrics(engine))
	c := &CAdvisor{
		config: cfg, options: o, on: cfg.kinds(), places: at, engine: engine, names: newNames(engine, cfg.StorageDuration),
		schedule: map[string]*schedules{},
	}
	c.metrics = readTable(c.on)
	c.ctx, c.stop = context.WithCancel(context.Background())
	var handler http.Handler = exporter.Page(o, prometheus.GathererFunc(c.gather), nil)
	c.Exporter = exporter.New(o, "cadvisor", exporter.Host(), handler)
	return c, nil
}

// Run asks the Engine once, to see whether it answers, and waits until ctx ends: the rest
// is read when the page is asked for.
func (c *CAdvisor) Run(ctx context.Context) error {
	c.names.answers(ctx)
	<-ctx.Done()
	c.stop()
	c.filesystems.settle(settleTime)
	c.disks.patient.settle(settleTime)
	c.engine.Rest()
	return nil
}

// Engine is the connection to Docker, as the last request found it.
func (c *CAdvisor) Engine() inspect.Engine {
	c.names.mu.Lock()
	defer c.names.mu.Unlock()
	s := c.engine.Status()
	out := inspect.Engine{Host: s.Host, Connected: c.names.err == nil, Since: c.names.since, Refused: s.Refused}
	if c.names.err != nil {
		out.Error = c.names.err.Error()
	}
	return out
}

// Status is a snapshot of prometheus.exporter.cadvisor, as of the last page.
type Status struct {
	// Cgroups is "v1" or "v2", or empty if the Engine's API is read instead.
	Cgroups    string `json:"cgroups,omitempty"`
	Containers int    `json:"containers"`
	Others     int    `json:"others"` // cgroups that are not containers
	// Missing are the metrics that are not available, with what it takes to get them.
	Missing []string `json:"missing,omitempty"`
	Error   string   `json:"error,omitempty"`
}

// Status returns a snapshot for the debug UI.
func (c *CAdvisor) Status() any {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status
}

// subject is a container, or another cgroup, on one page.
type subject struct {
	name   string // of the cgroup
	id     string // of the container; empty for others
	cgroup *cgroup
	known  *container
	usage  *usage
	said   *docker.Usage
}

// pass is the making of one page.
type pass struct {
	*CAdvisor
	ctx         context.Context
	sheet       *sheet
	hierarchy   hierarchy
	lookups     *lookups
	machine     machine
	filesystems []filesystem
	diskIO      map[device]diskIO
	folders     map[string]folderUsage
	missing     []string
}

// gather makes a page. One is made at a time.
func (c *CAdvisor) gather() ([]*dto.MetricFamily, error) {
	c.scraping.Lock()
	defer c.scraping.Unlock()
	ctx, cancel := context.WithTimeout(c.ctx, scrapeTimeout)
	defer cancel()
	p := &pass{CAdvisor: c, ctx: ctx, sheet: newSheet(c.metrics), lookups: c.names.begin()}
	var err error
	p.machine, err = c.machine.read(c.places, time.Now())
	tellVersions(p.sheet, c.places, c.options.UserAgent)
	p.machine.tell(p.sheet, c.places, err)

	subjects, err := p.find()
	p.lookups.end()
	c.names.answers(ctx)
	if err == nil {
		p.measure(subjects)
		for _, s := range subjects {
			p.tell(s)
		}
	}
	p.sheet.add("container_scrape_error", nil, flag(err != nil))
	c.forgetSchedules(subjects)
	c.note(p, subjects, err)
	return p.sheet.sorted(), nil
}

func (c *CAdvisor) note(p *pass, subjects []*subject, err error) {
	status := Status{Missing: p.missing}
	switch {
	case p.hierarchy.unified:
		status.Cgroups = "v2"
	case len(p.hierarchy.roots) > 0:
		status.Cgroups = "v1"
	}
	for _, s := range subjects {
		if s.known != nil {
			status.Containers++
		} else {
			status.Others++
		}
	}
	if err != nil {
		status.Error = err.Error()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status = status
}

func (c *CAdvisor) forgetSchedules(subjects []*subject) {
	for name := range c.schedule {
		if !slices.ContainsFunc(subjects, func(s *subject) bool { return s.name == name }) {
			delete(c.schedule, name)
		}
	}
}

// find lists what is on the page: by the host's cgroups, or else by the Engine.
func (p *pass) find() ([]*subject, error) {
	hierarchy, err := findHierarchy(p.places.cgroups)
	if err != nil {
		p.miss("cgroups that are not containers, container_oom_events_total and container_tasks_state: " + err.Error())
		return p.ofEngine()
	}
	p.hierarchy = hierarchy
	names, err := hierarchy.groups()
	if err != nil {
		return nil, err
	}
	var out []*subject
	for _, name := range names {
		s := &subject{name: name, cgroup: &cgroup{hierarchy, name}}
		if id := containerID(name); id != "" {
			if s.known = p.lookups.of(p.ctx, id, s.cgroup.identity()); s.known != nil {
				s.id = id
			}
		}
		if s.known == nil && !p.config.raw(name) {
			continue
		}
		out = append(out, s)
	}
	return out, nil
}

func (p *pass) ofEngine() ([]*subject, error) {
	ids, err := p.names.running(p.ctx)
	if err != nil {
		return nil, err
	}
	var out []*subject
	for _, id := range ids {
		if known := p.lookups.of(p.ctx, id, ""); known != nil {
			out = append(out, &subject{name: "/docker/" + id, id: id, known: known})
		}
	}
	return out, nil
}

func (p *pass) miss(what string) { p.missing = append(p.missing, what) }

// measure reads what the subjects use.
func (p *pass) measure(subjects []*subject) {
	p.disk(subjects)
	var ask []*subject
	for _, s := range subjects {
		if s.cgroup != nil {
			s.usage = s.cgroup.usage(p.on)
		}
		if s.known != nil && (s.cgroup == nil || p.on[kindNetwork] && s.ownNetwork() && !p.places.proc.runs(s.known.PID, s.id)) {
			ask = append(ask, s)
		}
	}
	if p.places.proc == "" {
		p.miss("container_tasks_state, the network of the machine, and the kinds tcp, udp, advtcp, process, sched and referenced_memory: the host's /proc is not here: mount / at " + rootfs + ", or use pid: host; the Engine is asked for the network of containers")
	}
	p.ask(ask)
	for _, s := range subjects {
		p.addNetwork(s)
	}
}

// ownNetwork reports whether a container does not use that of another one.
func (s *subject) ownNetwork() bool {
	return !strings.HasPrefix(s.known.NetworkMode, "container:")
}

// ask asks the Engine what containers use, a few at a time.
func (p *pass) ask(subjects []*subject) {
	var wg sync.WaitGroup
	room := make(chan struct{}, asking)
	for _, s := range subjects {
		room <- struct{}{}
		wg.Go(func() {
			defer func() { <-room }()
			said, err := p.engine.Usage(p.ctx, s.known.ID)
			if err != nil {
				return // it has ended, or the next page has it
			}
			s.said = said
			if s.cgroup == nil {
				s.usage = usageOf(said, &s.known.Details)
			}
		})
	}
	wg.Wait()
}

func (p *pass) addNetwork(s *subject) {
	switch {
	case s.usage == nil || !p.on[kindNetwork]:
	case s.name == "/":
		text, _ := p.places.proc.read(1, "net/dev")
		s.usage.network, _ = parseNetDev(text)
	case s.known == nil:
	case !s.ownNetwork():
		s.usage.network = nil
	case s.said != nil:
		s.usage.network = networksOf(s.said)
	default:
		text, _ := p.places.proc.read(s.known.PID, "net/dev")
		s.usage.network, _ = parseNetDev(text)
	}
}

// disk reads the file systems, and what containers take of them.
func (p *pass) disk(subjects []*subject) {
	if !p.on.any(kindDisk, kindDiskIO) {
		return
	}
	text, _ := os.ReadFile(path.Join(p.places.ownProc, "diskstats"))
	p.diskIO = parseDiskstats(text)
	mounts, ok := p.places.proc.read(1, "mountinfo")
	if !ok {
		mounts, _ = os.ReadFile(path.Join(p.places.ownProc, "self/mountinfo"))
	}
	root, disks := p.places.root, p.diskIO
	p.filesystems = p.CAdvisor.filesystems.get(p.ctx, statWait, func([]filesystem) []filesystem {
		return measureFilesystems(root, ofMachine(parseMountInfo(mounts)), disks)
	})
	if !p.on[kindDisk] {
		return
	}
	var wanted []containerFolders
	for _, s := range subjects {
		if s.known != nil && s.known.UpperDir != "" {
			w := containerFolders{id: s.id, layer: path.Join(root, s.known.UpperDir)}
			if s.known.LogPath != "" {
				w.beside = path.Join(root, path.Dir(s.known.LogPath))
			}
			wanted = append(wanted, w)
		}
	}
	if len(wanted) == 0 {
		return
	}
	p.folders = p.disks.of(p.CAdvisor.ctx, wanted)
	for _, used := range p.folders {
		if used.err != nil {
			p.miss("container_fs_usage_bytes of containers: " + used.err.Error() + ": mount / at " + rootfs + ", and run the collector as root")
			break
		}
	}
}

// tell adds a subject to the page.
func (p *pass) tell(s *subject) {
	if s.usage == nil {
		return
	}
	o := owner{p.sheet, p.config.labels(s.name, s.known)}
	root := s.name == "/"
	if root {
		s.usage.limits.memory, s.usage.limits.limit, s.usage.limits.swapLimit = true, p.machine.memory, p.machine.swap
	}
	if s.known != nil && !s.known.Created.IsZero() {
		o.tell("container_start_time_seconds", float64(s.known.Created.Unix()))
	} else if s.cgroup != nil {
		if made, ok := s.cgroup.made(); ok {
			o.tell("container_start_time_seconds", float64(made))
		}
	}
	o.tell("container_last_seen", float64(time.Now().Unix()))
	o.limits(s.usage.limits)
	o.cpu(s.usage, p.on[kindPerCPU])
	o.memory(s.usage.memory)
	o.network(s.usage.network)
	o.rest(s.usage)
	p.tellBlocks(o, s)
	p.tellProcesses(o, s)
}

func (p *pass) tellBlocks(o owner, s *subject) {
	switch {
	case s.name == "/":
		o.space(p.filesystems)
		o.blocks(s.usage, p.filesystems, p.diskIO)
		return
	case s.known == nil:
	default:
		if f := holding(p.filesystems, p.places.root, s.known.UpperDir); f != nil {
			used, known := p.folders[s.id]
			o.folders(f, used, known)
			o.blocks(s.usage, []filesystem{*f}, p.diskIO)
			return
		}
	}
	o.blocks(s.usage, nil, p.diskIO)
}

func (p *pass) tellProcesses(o owner, s *subject) {
	o.tell("container_cpu_load_average_10s", 0)
	if s.cgroup == nil {
		return
	}
	proc := p.places.proc
	states := make([]uint64, len(taskStates()))
	if s.known != nil && p.on[kindLoad] {
		states = proc.states(s.cgroup.threadIDs())
	}
	o.states(states)
	pid := 0
	switch {
	case s.name == "/":
		pid = 1
	case s.known != nil && proc.runs(s.known.PID, s.id):
		pid = s.known.PID
	}
	if pid > 0 && (s.known == nil || s.ownNetwork()) {
		o.sockets(proc, pid, p.on)
	}
	if proc == "" || !p.on.any(kindProcess, kindReferenced, kindSched) {
		return
	}
	pids := s.cgroup.processes()
	o.processes(proc, pids, pid, p.on)
	if p.on[kindSched] {
		kept := p.schedule[s.name]
		if kept == nil {
			kept = &schedules{}
			p.schedule[s.name] = kept
		}
		o.schedule(kept.update(proc, pids))
	}
}
