package discovery

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/inspect"
)

//go:embed discovery.process.md
var processPage string

func processDefinition() component.Definition {
	return component.Define("discovery.process", NewProcess, component.Doc{
		Page:    processPage,
		Exports: []component.Export{{Name: "targets", Type: "list(map(string))", Note: "live: follows the processes and `join`"}},
	})
}

// ProcessConfig configures discovery.process.
type ProcessConfig struct {
	Join            *Set          `alloy:"join,attr,optional"`
	RefreshInterval time.Duration `alloy:"refresh_interval,attr,optional"`
	Discover        ProcessLabels `alloy:"discover_config,block,optional"`
}

// ProcessLabels are what is read of each process.
type ProcessLabels struct {
	Cwd         bool `alloy:"cwd,attr,optional"`
	Exe         bool `alloy:"exe,attr,optional"`
	Commandline bool `alloy:"commandline,attr,optional"`
	Username    bool `alloy:"username,attr,optional"`
	UID         bool `alloy:"uid,attr,optional"`
	ContainerID bool `alloy:"container_id,attr,optional"`
	CgroupPath  bool `alloy:"cgroup_path,attr,optional"`
}

// SetToDefault sets what Alloy starts from.
func (c *ProcessConfig) SetToDefault() {
	*c = ProcessConfig{
		RefreshInterval: time.Minute,
		Discover:        ProcessLabels{Cwd: true, Exe: true, Commandline: true, ContainerID: true},
	}
}

// Validate reports what cannot work.
func (c *ProcessConfig) Validate() error { return positive(c.RefreshInterval) }

const (
	metaProcess             = model.MetaLabelPrefix + "process_"
	processPIDLabel         = "__process_pid__"
	processExeLabel         = metaProcess + "exe"
	processCwdLabel         = metaProcess + "cwd"
	processCommandlineLabel = metaProcess + "commandline"
	processUsernameLabel    = metaProcess + "username"
	processUIDLabel         = metaProcess + "uid"
	processCgroupLabel      = metaProcess + "cgroup_path"
	processContainerLabel   = "__container_id__"
)

// Process is the component discovery.process: a target for each process of the
// machine, with the labels of its container's target.
type Process struct {
	config  ProcessConfig
	reader  processReader
	poll    *poll
	out     *Set
	skipped atomic.Int64 // processes of the last refresh that may not be read
}

// NewProcess makes the component. Its targets are current when it returns.
func NewProcess(c ProcessConfig, o component.Options) (*Process, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Join == nil {
		c.Join = NewSet()
	}
	o = o.WithDefaults()
	p := &Process{config: c, reader: processReader{root: "/proc", labels: c.Discover}, out: NewSet()}
	p.poll = newPoll(pollConfig{mechanism: "process", every: c.RefreshInterval, list: p.list}, o)
	p.poll.refresh(o.Context)
	p.join()
	return p, nil
}

// Exports returns the targets, as a live list.
func (p *Process) Exports() map[string]any { return map[string]any{"targets": p.out} }

// Run follows the processes, and what they are joined with, until ctx ends.
func (p *Process) Run(ctx context.Context) error {
	polled := make(chan struct{})
	go func() {
		defer close(polled)
		p.poll.run(ctx)
	}()
	defer func() { <-polled }()
	for {
		_, processes := p.poll.out.Targets()
		_, joined := p.config.Join.Targets()
		p.join()
		select {
		case <-ctx.Done():
			return nil
		case <-processes:
		case <-joined:
		}
	}
}

func (p *Process) join() {
	processes, _ := p.poll.out.Targets()
	others, _ := p.config.Join.Targets()
	p.out.Replace(joinTargets(processes, others))
}

// list reads all processes. One that ends while it is read is no target, nor, with
// exe, a kernel thread, which has no executable.
func (p *Process) list(ctx context.Context) ([]Target, error) {
	pids, err := p.reader.pids()
	if err != nil {
		return nil, err
	}
	users := map[string]string{}
	b := labels.NewBuilder(labels.EmptyLabels())
	var targets []Target
	var first error
	skipped := 0
	for _, pid := range pids {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		b.Reset(labels.EmptyLabels())
		err := p.reader.read(pid, b, users)
		switch {
		case err == nil:
			targets = append(targets, b.Labels())
		case !ended(err):
			if skipped++; first == nil {
				first = err
			}
		}
	}
	p.skipped.Store(int64(skipped))
	if first == nil {
		return targets, nil
	}
	err = skippedError(skipped, len(pids), first)
	if len(targets) > 0 {
		return targets, inspect.Partial{Err: err}
	}
	return nil, err
}

// skippedError says why some processes are not targets, and what to do.
func skippedError(skipped, all int, first error) error {
	err := fmt.Errorf("%d of %d processes cannot be read and are not targets; the first: %w", skipped, all, first)
	if errors.Is(first, fs.ErrPermission) {
		err = fmt.Errorf("%w: run the collector as root or give it the capability SYS_PTRACE, or set exe and cwd in discover_config to false", err)
	}
	return err
}

// joinTargets adds to each process the labels of its container's target, which take
// precedence. The other targets are unchanged; of several of one container, the last
// counts.
func joinTargets(processes, others []Target) []Target {
	var out, containers []Target
	at := map[string]int{} // in containers, by the container's id
	for _, t := range others {
		id := containerOf(t)
		i, known := at[id]
		switch {
		case id == "":
			out = append(out, t)
		case known:
			containers[i] = t
		default:
			at[id] = len(containers)
			containers = append(containers, t)
		}
	}
	for _, t := range processes {
		if i, ok := at[containerOf(t)]; ok {
			b := labels.NewBuilder(t)
			containers[i].Range(func(l labels.Label) { b.Set(l.Name, l.Value) })
			t = b.Labels()
		}
		out = append(out, t)
	}
	return append(out, containers...)
}

// Health says which processes cannot be read.
func (p *Process) Health() error {
	_, err := p.poll.last()
	return err
}

// ProcessStatus is what the debug UI shows.
type ProcessStatus struct {
	Processes int `json:"processes"`
	Targets   int `json:"targets"`
	// Skipped are the processes that may not be read.
	Skipped int    `json:"skipped,omitempty"`
	Error   string `json:"error,omitempty"`
}

// Status returns a snapshot for the debug UI.
func (p *Process) Status() any {
	processes := p.poll.status()
	targets, _ := p.out.Targets()
	return ProcessStatus{Processes: processes.Targets, Targets: len(targets), Skipped: int(p.skipped.Load()), Error: processes.Error}
}
