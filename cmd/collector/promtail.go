package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"collector/pkg/admin"
	"collector/pkg/config"
	"collector/pkg/graph"
	"collector/pkg/promtail"
)

// The formats of --config.format.
const (
	formatFlag     = "config.format"
	formatAlloy    = "alloy"
	formatPromtail = "promtail"
)

// configFormat is how a configuration is written, and how it is converted if that is not
// Alloy's syntax.
type configFormat struct {
	kind      string
	extra     string
	expandEnv bool
	bypass    bool

	set *pflag.FlagSet
}

// formatFlags are the flags that `run` and `validate` share.
func formatFlags(set *pflag.FlagSet) *configFormat {
	f := &configFormat{set: set}
	set.StringVar(&f.kind, formatFlag, formatAlloy, "format of the configuration, alloy or promtail; without it, a Promtail file is recognized by its contents")
	set.StringVar(&f.extra, "config.extra-args", "", "with a Promtail file: Promtail's own flags, such as \"-client.url=http://loki:3100/loki/api/v1/push\"")
	set.BoolVar(&f.expandEnv, "config.expand-env", false, "with a Promtail file: replace ${NAME} in it by environment variables")
	set.BoolVar(&f.bypass, "config.bypass-conversion-errors", false, "with a Promtail file: skip what is not supported, with warnings")
	idle(set, "", "stability.level")
	idleSwitch(set, "feature.community-components.enabled")
	return f
}

func (f *configFormat) check() error {
	if f.kind != formatAlloy && f.kind != formatPromtail {
		return fmt.Errorf("--%s=%s: only alloy and promtail are supported; convert the file first with `alloy convert --source-format=%s`", formatFlag, f.kind, f.kind)
	}
	return nil
}

// promtailFile is the Promtail file at path, or nil if it is something else.
func (f *configFormat) promtailFile(path string) (*promtailFile, error) {
	if f.kind != formatPromtail {
		if path == "" || f.set.Changed(formatFlag) {
			return nil, nil
		}
		info, err := os.Stat(path)
		if err != nil || !info.Mode().IsRegular() {
			return nil, nil // errors are reported where it is read
		}
		sources, err := config.Read(path)
		if err != nil || !promtail.Detect(sources[0].Text) {
			return nil, nil
		}
	}
	flags, err := promtail.ParseFlags(strings.Fields(f.extra), io.Discard)
	if err != nil {
		return nil, fmt.Errorf("--config.extra-args: %w", err)
	}
	flags.Options.ExpandEnv = flags.Options.ExpandEnv || f.expandEnv
	flags.Options.Lenient = f.bypass
	return &promtailFile{path: path, options: flags.Options}, nil
}

// promtailFile is a Promtail file that is the configuration.
type promtailFile struct {
	path    string // "" if the command line says everything
	options promtail.Options

	last  *promtail.Result // of read; guarded by program.reloading
	ahead *config.Source   // read before the program began, for its first load
}

// read reads and converts the file. The file comes with an error, if it could be
// read.
func (f *promtailFile) read(read func(path string) ([]config.Source, error)) (*promtail.Result, []config.Source, error) {
	file := config.Source{Name: "promtail.yaml", Text: []byte("{}\n")}
	if f.ahead != nil {
		file, f.ahead = *f.ahead, nil
	} else if f.path != "" {
		sources, err := read(f.path)
		if err != nil {
			return nil, nil, err
		}
		if len(sources) != 1 || sources[0].Name != f.path {
			return nil, nil, fmt.Errorf("read configuration: %q is a directory; Promtail's configuration is one file", f.path)
		}
		file = sources[0]
	}
	result, ds := promtail.Convert(file, f.options)
	if err := ds.Err(); err != nil {
		file.Original, file.Notes = true, ds
		return nil, []config.Source{file}, err
	}
	f.last = result
	return result, result.Sources(), nil
}

// readSources reads a configuration, or a Promtail file as one.
func readSources(path string) ([]config.Source, error) {
	file, err := (&configFormat{kind: formatAlloy, set: pflag.NewFlagSet("", pflag.ContinueOnError)}).promtailFile(path)
	if err != nil || file == nil {
		return config.Read(path)
	}
	_, sources, err := file.read(config.Read)
	return sources, err
}

// translate puts an error about the configuration at the lines of Promtail's file.
func (f *promtailFile) translate(err error) error {
	var ds config.Diagnostics
	if f == nil || f.last == nil || !errors.As(err, &ds) {
		return err
	}
	return f.last.Translate(ds)
}

// settle sets flags that were not given to what the file says.
func (f *promtailFile) settle(flags *runFlags, result *promtail.Result) {
	given := flags.set.Changed
	server := result.Server
	if !given(listenFlag) && server.Set {
		flags.listen = server.Address
	}
	if server.Disabled && !given(listenFlag) {
		flags.listen = "127.0.0.1:0"
	}
	if !given(prefixFlag) && server.Prefix != "" {
		flags.prefix = server.Prefix
	}
	if !given("server.http.enable-pprof") {
		flags.pprof = server.Pprof
	}
	if !given(storageFlag) {
		flags.storage = result.Storage()
	}
	// A pipe can be read only once.
	f.ahead = &config.Source{Name: result.File.Name, Text: result.File.Text}
	flags.promtail = f
}

// asPromtail runs the program as Promtail is run: with Promtail's flags, and
// without a command.
func asPromtail(args []string, out, errOut io.Writer) error {
	flags, err := promtail.ParseFlags(args, errOut)
	if err != nil {
		return err
	}
	if flags.Version {
		_, err := io.WriteString(out, versionText())
		return err
	}
	flags.Options.Stdin = true
	if flags.File == "" && len(flags.Options.Settings) == 0 {
		return errors.New("-config.file is missing: set it to Promtail's YAML file")
	}
	file := &promtailFile{path: flags.File, options: flags.Options}
	if flags.CheckSyntax {
		return checkPromtail(file, out, errOut)
	}
	own, result, err := file.runFlags()
	if err != nil {
		return err
	}
	if result.Stdin {
		own.stdin = newStdinOf(os.Stdin)
	}
	if flags.Options.DryRun || result.Stdin { // what is read from standard input can't be read again
		if own.storage, err = os.MkdirTemp("", "collector-promtail-"); err != nil {
			return err
		}
		defer os.RemoveAll(own.storage)
	}
	if flags.PrintConfig {
		fmt.Fprint(errOut, shownText(result.Config))
	}
	return runUntilSignal(own, flags.File, errOut, func(logger *slog.Logger) {
		if !flags.LogConfig {
			return
		}
		lines := strings.Split(strings.TrimRight(shownText(result.Config), "\n"), "\n")
		slices.Reverse(lines)
		for _, line := range lines {
			logger.Info("configuration", "line", line)
		}
	})
}

// runFlags are the flags of `run` with which the file runs as under Promtail.
func (f *promtailFile) runFlags() (*runFlags, *promtail.Result, error) {
	result, _, err := f.read(config.Read)
	if err != nil {
		return nil, nil, err
	}
	_, flags := newRunFlags()
	result.Server.Set = true
	f.settle(flags, result)
	return flags, result, flags.check()
}

// shownText is a source without its secrets.
func shownText(source config.Source) string {
	var out strings.Builder
	for _, line := range config.Highlight(source) {
		for _, piece := range line {
			out.WriteString(piece.Text)
		}
		out.WriteByte('\n')
	}
	return strings.TrimRight(out.String(), "\n") + "\n"
}

// checkPromtail checks a Promtail file without running it.
func checkPromtail(file *promtailFile, out, errOut io.Writer) error {
	o := checkOptions()
	o.Definitions = append(o.Definitions, newStdinOf(os.Stdin).definitions()...)
	if err := file.validate(o, errOut); err != nil {
		return err
	}
	_, err := fmt.Fprintln(out, "Valid config file! No syntax issues found")
	return err
}

// validate reports everything that is wrong with the file to errOut.
func (f *promtailFile) validate(o graph.Options, errOut io.Writer) error {
	_, sources, err := f.read(config.Read)
	var ds config.Diagnostics
	switch {
	case errors.As(err, &ds):
	case err != nil:
		return err
	default:
		ds = f.last.Translate(graph.Check(o, sources))
	}
	fmt.Fprint(errOut, ds.String())
	if ds.Err() != nil {
		return exit{1}
	}
	return nil
}

// convert prints a Promtail file as a configuration.
func convert(args []string, out, errOut io.Writer) error {
	set := pflag.NewFlagSet("convert", pflag.ContinueOnError)
	set.SetOutput(errOut)
	describe(set, "convert PATH prints Promtail's YAML file as a configuration in Alloy's language.")
	from := set.String("from", formatPromtail, "format of the file; only promtail is supported")
	to := set.StringP("output", "o", "", "file to write to, instead of standard output")
	extra := set.String("extra-args", "", "Promtail's own flags, such as \"-client.url=http://loki:3100/loki/api/v1/push\"")
	expand := set.Bool("config.expand-env", false, "turn ${NAME} in the file into sys.env(\"NAME\")")
	bypass := set.BoolP("bypass-errors", "b", false, "skip what is not supported, with comments")
	if err := set.Parse(args); err != nil {
		return err
	}
	if *from != formatPromtail {
		return fmt.Errorf("--from=%s: only promtail is supported; Alloy converts others: `alloy convert --source-format=%s`", *from, *from)
	}
	if set.NArg() != 1 {
		return fmt.Errorf("convert takes one path, Promtail's YAML file; got %d", set.NArg())
	}
	flags, err := promtail.ParseFlags(strings.Fields(*extra), io.Discard)
	if err != nil {
		return fmt.Errorf("--extra-args: %w", err)
	}
	o := flags.Options
	o.ExpandEnv = o.ExpandEnv || *expand
	o.KeepVariables, o.Lenient = true, *bypass
	file := &promtailFile{path: set.Arg(0), options: o}
	result, sources, err := file.read(config.Read)
	var ds config.Diagnostics
	if errors.As(err, &ds) {
		fmt.Fprint(errOut, sources[0].Notes.String())
		fmt.Fprintln(errOut, "Nothing was converted; --bypass-errors skips what is not supported.")
		return exit{1}
	}
	if err != nil {
		return err
	}
	fmt.Fprint(errOut, result.File.Notes.String())
	if *to != "" {
		return os.WriteFile(*to, result.Config.Text, 0o600)
	}
	_, err = out.Write(result.Config.Text)
	return err
}

// calledPromtail reports whether the program was started as in Promtail's image.
func calledPromtail(program string, args []string) bool {
	return filepath.Base(program) == "promtail" && !isCommand(args) || promtail.IsCommandLine(args)
}

// promtailDefault is where Promtail's image has its configuration.
const promtailDefault = "/etc/promtail/config.yml"

// inPromtailsPlace reports whether the program runs in an image that has replaced
// Promtail's without another command line: of the files that the two have by default,
// path and file, only Promtail's is there.
func inPromtailsPlace(path, file string) bool {
	if path == "" || path != os.Getenv(defaultConfigVariable) {
		return false
	}
	_, err := os.Stat(path)
	_, promtailErr := os.Stat(file)
	return errors.Is(err, fs.ErrNotExist) && promtailErr == nil
}

// isCommand reports whether the first argument is the name of a command.
func isCommand(args []string) bool { return len(args) > 0 && !strings.HasPrefix(args[0], "-") }

// adminPaths are what the HTTP server has of Promtail's.
func (f *promtailFile) adminPaths() *admin.Promtail {
	if f == nil {
		return nil
	}
	return &admin.Promtail{Reload: f.last != nil && f.last.Server.Reload}
}
