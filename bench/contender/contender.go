// Package contender knows the programs that are compared: what each can do, how
// it is configured for it, and when it is ready.
package contender

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// The kinds of work.
const (
	Scrape   = "scrape"
	OTLP     = "otlp"
	Logs     = "logs"
	Profiles = "profiles"
	Idle     = "idle"
	// Host is a page with metrics of the host, Containers one of its containers, from
	// their cgroups, and Engine the same through the Engine's API.
	Host       = "host"
	Containers = "containers"
	Engine     = "engine"
)

// Job is what a program is started for. Addresses are host:port.
type Job struct {
	Kind        string
	Dir         string   // the program's own, empty
	Listen      string   // for its own pages
	In          string   // where it receives OTLP or profiles
	Targets     []string // what it scrapes, each second
	OutHTTP     string   // where it delivers samples, log lines and profiles
	OutGRPC     string   // where it delivers spans
	Compression string   // of what it delivers: zstd or snappy for samples, none or gzip for spans
	Engine      string   // Docker's host, unix://…
}

// Contender is a program.
type Contender struct {
	Name   string
	Binary string
	Module string // module whose version it has; "": the program reports its own

	kinds map[string]func(c Contender, j Job) (arguments []string, err error)
	// ready is where it answers 200 as soon as it is ready: a path at Job.Listen;
	// "" means that it is ready when Job.In accepts connections.
	ready string
	env   func(j Job) []string
	// page is the path of a page at Job.Listen, by the kind of work.
	page map[string]string
}

// Can reports whether the program does that kind of work.
func (c Contender) Can(kind string) bool { return c.kinds[kind] != nil }

// Page is where the page of that kind of work is.
func (c Contender) Page(j Job) string { return "http://" + j.Listen + c.page[j.Kind] }

// All returns all programs, with their binaries in the folder bin. The first one
// is the one that the others are compared with.
func All(bin string) []Contender {
	return []Contender{collector(bin), vmagent(bin), otelcol(bin), nodeExporter(bin), cadvisor(bin)}
}

// Process is a program that runs.
type Process struct {
	Pid   int
	Ready time.Duration // how long it took to be ready

	command *exec.Cmd
	log     string
	ended   chan struct{}
}

// How long a program may take until it is ready, and to stop.
const patience = 30 * time.Second

// Start writes the program's configuration, starts it and waits until it is ready.
func (c Contender) Start(ctx context.Context, j Job) (*Process, error) {
	arguments, err := c.kinds[j.Kind](c, j)
	if err != nil {
		return nil, fmt.Errorf("configure %s: %w", c.Name, err)
	}
	program := append([]string{c.Binary}, arguments...)
	if j.Kind == Engine {
		// What a container sees that has nothing of the host: no cgroups.
		program = append([]string{"unshare", "--mount", "sh", "-c", `mount -t tmpfs none /sys/fs/cgroup && exec "$0" "$@"`}, program...)
	}
	p := &Process{command: exec.Command(program[0], program[1:]...), log: filepath.Join(j.Dir, "log"), ended: make(chan struct{})}
	p.command.Dir = j.Dir
	if c.env != nil {
		p.command.Env = append(os.Environ(), c.env(j)...)
	}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.command.Stdout, p.command.Stderr = log, log
	begin := time.Now()
	if err := p.command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	p.Pid = p.command.Process.Pid
	go func() { p.command.Wait(); close(p.ended) }()
	if err := c.await(ctx, j, p); err != nil {
		p.Stop()
		return nil, fmt.Errorf("start %s: %w; its log:\n%s", c.Name, err, p.Log())
	}
	p.Ready = time.Since(begin)
	return p, nil
}

func (c Contender) await(ctx context.Context, j Job, p *Process) error {
	poll := time.NewTicker(2 * time.Millisecond)
	defer poll.Stop()
	deadline := time.After(patience)
	for last := errors.New("not asked yet"); ; {
		select {
		case <-p.ended:
			return errors.New("it has ended")
		case <-deadline:
			return fmt.Errorf("it is not ready: %w", last)
		case <-ctx.Done():
			return ctx.Err()
		case <-poll.C:
		}
		if last = c.isReady(ctx, j); last == nil {
			return nil
		}
	}
}

func (c Contender) isReady(ctx context.Context, j Job) error {
	if c.ready == "" {
		conn, err := net.Dial("tcp", j.In)
		if err == nil {
			conn.Close()
		}
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+j.Listen+c.ready, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	io.Copy(io.Discard, response.Body)
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	return nil
}

// Alive is nil while the program runs.
func (p *Process) Alive() error {
	select {
	case <-p.ended:
		return fmt.Errorf("it has ended; its log:\n%s", p.Log())
	default:
		return nil
	}
}

// Log is the end of what the program has printed.
func (p *Process) Log() string {
	text, _ := os.ReadFile(p.log)
	return string(text[max(0, len(text)-4096):])
}

// Stop stops the program, cleanly if it does so in time.
func (p *Process) Stop() {
	p.command.Process.Signal(os.Interrupt)
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.command.Process.Kill()
		<-p.ended
	}
}

// FreeAddress is a loopback address on which nobody listens.
func FreeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
