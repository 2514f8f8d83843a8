//go:build !no_demo

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"collector/cmd/collector/builtin"
	"collector/pkg/component"
	"collector/pkg/config"
)

// demoPorts are where the demo receives OTLP over gRPC and HTTP, and profiles,
// unless others listen there.
var demoPorts = []string{"127.0.0.1:4317", "127.0.0.1:4318", "127.0.0.1:4040"}

const demoHelp = `Runs the built-in pipeline with an example service and some load on it. Nothing is stored:
the UI shows recent data.

Usage:
  collector demo [flags]

Flags:
`

// demo runs a pipeline with something to see in it, on a machine that needs to
// have nothing.
func demo(args []string, out, errOut io.Writer) error {
	set, flags, requests := newDemoFlags(out)
	if err := set.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return err
		}
		return fmt.Errorf("%w; `collector demo --help` lists the flags", err)
	}
	switch {
	case set.NArg() > 0:
		return fmt.Errorf("demo takes no path, because it has its own configuration; to run yours, use `collector run %s`", set.Arg(0))
	case !(*requests >= 0 && *requests <= maxRequests):
		return fmt.Errorf("--requests=%v: use a number of requests per second from 0 to %d", *requests, maxRequests)
	}
	if err := flags.check(); err != nil {
		return err
	}
	storage, err := os.MkdirTemp("", "collector-demo-")
	if err != nil {
		return fmt.Errorf("make a directory for the queues: %w", err)
	}
	defer os.RemoveAll(storage)
	flags.storage = storage

	taken := "" // the address that somebody else has
	if free := orFree(flags.listen); free != flags.listen && !set.Changed(listenFlag) {
		taken, flags.listen = flags.listen, free
	}
	d := builtin.Demo{
		Docker: reachEngine(os.Getenv("DOCKER_HOST")) == nil, Requests: *requests,
		OTLP: orFree(demoPorts[0]), OTLPHTTP: orFree(demoPorts[1]), Pyroscope: orFree(demoPorts[2]),
	}
	text, err := d.Config()
	if err != nil {
		return err
	}
	limitMemory()
	log, flush := unblocked(errOut)
	defer flush()
	page, flushPage := unblocked(out)
	defer flushPage()
	p := newProgram(flags, "", log, demoService())
	p.flush = flush
	p.fixed = []config.Source{{Name: "<demo>", Text: []byte(text)}}
	p.loaded = func() { announce(page, p, d, taken) }
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	p.handleSignals(ctx, stop)
	return p.run(ctx, log)
}

func newDemoFlags(out io.Writer) (*pflag.FlagSet, *runFlags, *float64) {
	_, f := newRunFlags() // for the defaults of what the demo has no flag for
	f.exploreMemory = windowSize(32 * component.MiB)
	set := pflag.NewFlagSet("demo", pflag.ContinueOnError)
	set.SetOutput(out)
	set.Usage = func() { fmt.Fprintln(out, demoHelp+strings.TrimRight(set.FlagUsages(), "\n")) }
	set.StringVar(&f.listen, listenFlag, f.listen, "address of the UI; if the default port is in use, another one is chosen")
	set.StringVar(&f.prefix, prefixFlag, "/", "URL path prefix of the UI, for example behind a proxy")
	set.Var(&f.exploreMemory, exploreMemoryFlag, "memory for recent data of each of the four signals")
	set.DurationVar(&f.exploreAge, exploreAgeFlag, 15*time.Minute, "how long recent data is kept")
	requests := set.Float64("requests", 5, "requests per second to the example service")
	return set, f, requests
}

// orFree is address, or one with another port if somebody listens there.
func orFree(address string) string {
	l, err := net.Listen("tcp", address)
	if err == nil {
		l.Close()
		return address
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address // whoever listens there reports what is wrong
	}
	if l, err = net.Listen("tcp", net.JoinHostPort(host, "0")); err != nil {
		return address
	}
	defer l.Close()
	return l.Addr().String()
}

// announce says where to look.
func announce(out io.Writer, p *program, d builtin.Demo, taken string) {
	address := p.server.Addr().String()
	hint := ""
	if taken != "" {
		hint = fmt.Sprintf(" (%s is in use)", taken)
	}
	containers := "no Docker Engine here, so there are no containers to watch"
	if d.Docker {
		containers = "also the containers of this host's Docker Engine"
	}
	fmt.Fprintf(out, `The demo is running. Open this in a browser:%s

    http://%s%s/

  example service   inside this process, %v requests a second
  containers        %s
  your own data     OTLP to %s (gRPC) or http://%s, Pyroscope to http://%s

Nothing is stored, and nothing leaves this machine. Ctrl-C stops it.
`, hint, reachable(address), strings.TrimSuffix(cmp.Or(p.prefix, "/"), "/"), d.Requests, containers, d.OTLP, d.OTLPHTTP, d.Pyroscope)
}

// demoService is the component of the demo that no other configuration has.
func demoService() component.Definition {
	return component.Define("demo.service", newDemoService, component.Doc{
		Exports: []component.Export{{Name: "targets", Type: "list(map(string))"}},
	})
}
