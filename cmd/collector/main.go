// Command collector collects metrics, logs, traces and profiles on a Docker
// host and delivers them, as its configuration says.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"github.com/spf13/pflag"

	"collector/cmd/collector/builtin"
	"collector/pkg/config"
	"collector/pkg/mask"
)

// Set by the linker.
var (
	version  = "unknown"
	revision = ""
	branch   = ""
)

const usage = `collector receives and collects metrics, logs, traces and profiles, and delivers them.

Usage:
  collector run [PATH] [flags]     run a configuration: a file, a directory of *.alloy files, or
                                   Promtail's YAML file; without PATH, the built-in one
  collector demo [flags]           show what it does: an example service, some load, and the UI
  collector validate PATH          check a configuration without running it
  collector convert PATH           print Promtail's YAML file as a configuration
  collector fmt [-w|-t] [FILE]     format a configuration file, or standard input
  collector default-config         print the built-in configuration
  collector why NAME               ask a running collector why data of a container, target or destination does not flow
  collector targets                list the scrape targets of a running collector
  collector queue                  list what is waiting in a running collector
  collector queue list|drain|drop  list, deliver or delete data waiting on disk for a removed writer
  collector healthcheck [URL]      check whether a running collector, or another URL, is ready
  collector docker-proxy [flags]   let the requests that a collector makes through to Docker's socket, and no others
  collector --version
  collector -config.file=PATH      run as Promtail, with Promtail's flags

` + "`collector COMMAND --help` lists a command's flags.\n"

// exit is an error that has been reported already.
type exit struct{ code int }

func (e exit) Error() string { return fmt.Sprintf("exit with code %d", e.code) }

func main() {
	run := command
	if calledPromtail(os.Args[0], os.Args[1:]) {
		run = func(args []string, _ io.Reader, out, errOut io.Writer) error { return asPromtail(args, out, errOut) }
	}
	err := run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	var e exit
	switch {
	case err == nil, errors.Is(err, pflag.ErrHelp), errors.Is(err, flag.ErrHelp):
	case errors.As(err, &e):
		os.Exit(e.code)
	default:
		errOut, flush := unblocked(os.Stderr)
		fmt.Fprintln(errOut, strings.TrimRight("Error: "+shownError(err), "\n"))
		flush()
		os.Exit(1)
	}
}

// shownError is an error as it may be printed: URLs and addresses in it are without their
// secrets. Errors of a configuration are already safe.
func shownError(err error) string {
	var diagnostics config.Diagnostics
	if errors.As(err, &diagnostics) {
		return err.Error()
	}
	return mask.WithoutLogins(mask.WithoutLabelSecrets(err.Error()))
}

func command(args []string, in io.Reader, out, errOut io.Writer) error {
	if len(args) == 0 {
		fmt.Fprint(errOut, usage)
		return exit{1}
	}
	name, args := args[0], args[1:]
	switch name {
	case "run":
		return run(args, errOut)
	case "demo":
		return demo(args, out, errOut)
	case "convert":
		return convert(args, out, errOut)
	case "validate":
		return validate(args, out, errOut)
	case "fmt":
		return format(args, in, out)
	case "why":
		return whyCommand(args, out)
	case "targets":
		return targetsCommand(args, out)
	case "queue":
		return queueCommand(args, out)
	case "healthcheck":
		return healthcheck(args, out)
	case "docker-proxy":
		return dockerProxy(args, errOut)
	case "default-config":
		return defaultConfig(args, out)
	case "--version", "-v", "version":
		_, err := fmt.Fprint(out, versionText())
		return err
	case "--help", "-h", "help":
		_, err := fmt.Fprint(out, usage)
		return err
	}
	return fmt.Errorf("there is no command %q; `collector --help` lists the commands", name)
}

func versionText() string {
	return fmt.Sprintf("collector, version %s (branch: %s, revision: %s)\n  go version: %s\n  platform:   %s/%s\n",
		version, branch, revision, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

func defaultConfig(args []string, out io.Writer) error {
	set := pflag.NewFlagSet("default-config", pflag.ContinueOnError)
	set.SetOutput(out)
	describe(set, "default-config prints the built-in configuration, with the parts whose destinations are set.")
	all := set.Bool("all", false, "print all parts, including those without a destination")
	if err := set.Parse(args); err != nil {
		return err
	}
	_, err := io.WriteString(out, builtin.Config(builtin.Parts(os.Getenv), *all))
	return err
}

// describe makes --help begin with what a command does: text follows the program's name.
func describe(set *pflag.FlagSet, text string) {
	set.Usage = func() { fmt.Fprintf(set.Output(), "collector %s\n\nFlags:\n%s", text, flagUsages(set)) }
}
