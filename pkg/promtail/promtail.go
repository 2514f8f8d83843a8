// Package promtail makes a configuration of a Promtail file.
//
//	promtail.yaml ──reader──▶ fields ──converter──▶ blocks ──printer──▶ config.alloy
//
// The reader keeps where each value is written, and the printer from which line each line
// was made, so that errors are reported at Promtail's own lines.
package promtail

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"collector/pkg/config"
)

// Options say how a file is converted.
type Options struct {
	// Settings come from the command line. They win over the file's.
	Settings Settings
	// ExpandEnv replaces ${NAME} in the file.
	ExpandEnv bool
	// KeepVariables leaves ${NAME} to the result, as sys.env("NAME"), where it is
	// part of a text.
	KeepVariables bool
	// Lenient skips what is not supported, with warnings instead of errors.
	Lenient bool
	// DryRun logs entries instead of sending them.
	DryRun bool
	// Stdin is whether standard input can be read.
	Stdin bool
	// Getenv reads the environment; nil is os.LookupEnv.
	Getenv func(name string) (string, bool)
}

// Result is what a file was made into.
type Result struct {
	// Config is the configuration, in the canonical layout.
	Config config.Source
	// File is the file itself, with notes about it.
	File config.Source
	// Server is where Promtail's HTTP server would listen.
	Server Server
	// Positions is where Promtail keeps its positions.
	Positions string
	// Stdin is whether standard input is read, and nothing else.
	Stdin bool

	origins []int // the line of File of each line of Config
}

// Server is what Promtail's file says about its HTTP server.
type Server struct {
	Address  string // to listen on, such as ":9080"
	Set      bool   // the address is the file's or the command line's, not the default
	Disabled bool
	Prefix   string // of all paths
	Pprof    bool
	Reload   bool // /reload is served
}

// Storage is where queues and cursors belong: beside Promtail's positions, in the
// one folder that its container keeps.
func (r *Result) Storage() string { return r.Positions + ".collector" }

// Sources are what the program loads: the configuration, and the file it was made of,
// which is shown.
func (r *Result) Sources() []config.Source { return []config.Source{r.Config, r.File} }

// maxFile bounds what is read: a larger file is no configuration.
const maxFile = 16 << 20

// Convert makes a configuration of a Promtail file. What it says about the file,
// also where it succeeds, is in the order of the file; the result is nil if there is
// an error among it.
func Convert(file config.Source, o Options) (*Result, config.Diagnostics) {
	if o.Getenv == nil {
		o.Getenv = os.LookupEnv
	}
	file.Original = true
	if len(file.Text) > maxFile {
		return nil, config.Diagnostics{{At: file.At(0, 0, 0), Message: fmt.Sprintf("the file is larger than %d MiB", maxFile>>20)}}
	}
	r := newReader(file, o)
	root := r.parse()
	c := &converter{reader: r, options: o}
	if root != nil {
		o.Settings.apply(root)
		c.convert(root)
	}
	diagnostics := append(r.notes.Errors(), r.notes.Warnings()...)
	if r.notes.Err() != nil {
		return nil, diagnostics
	}
	text, origins := render(c.blocks())
	formatted, err := config.Format(config.Source{Name: file.Name, Text: text})
	if err != nil {
		return nil, config.Diagnostics{{At: file.At(0, 0, 0), Message: fmt.Sprintf("BUG: the configuration made of it cannot be read: %v", err)}}
	}
	if bytes.Count(formatted, []byte("\n")) != len(origins) {
		origins = nil
	}
	file.Notes = diagnostics
	return &Result{
		Config: config.Source{Name: alloyName(file.Name), Text: formatted},
		File:   file, Server: c.server, Positions: c.positions, Stdin: c.stdin, origins: origins,
	}, diagnostics
}

// alloyName is what a file's configuration is called: promtail.alloy.
func alloyName(name string) string { return strings.TrimSuffix(name, filepath.Ext(name)) + ".alloy" }

// Translate puts diagnostics about the configuration where they belong: at the lines
// of Promtail's file.
func (r *Result) Translate(ds config.Diagnostics) config.Diagnostics {
	out := make(config.Diagnostics, len(ds))
	for i, d := range ds {
		if line := d.At.Line; d.At.File == r.Config.Name && line > 0 && line <= len(r.origins) && r.origins[line-1] > 0 {
			d.At = r.File.At(r.origins[line-1], 0, 0)
		}
		out[i] = d
	}
	return out
}

var (
	// firstKey is how a YAML file begins.
	firstKey = regexp.MustCompile(`\A\x{FEFF}?(?:[ \t]*(?:#[^\n]*)?\r?\n)*(?:---|%YAML|[A-Za-z_"'][\w"']*[ \t]*:(?:\s|\z))`)
	// foreignKey is what the files of foreign have.
	foreignKey = regexp.MustCompile(`(?m)^(?:apiVersion|receivers|services|config|promtail|logs|metrics|remote_write)[ \t]*:(?:\s|\z)`)

	ownKey = regexp.MustCompile(`(?m)^["']?(?:scrape_configs|clients|client|positions)["']?[ \t]*:`)
)

// Detect reports whether a text is a Promtail file, or looks so much like one that
// its errors are best told as those of one, rather than a configuration in Alloy's
// syntax.
func Detect(text []byte) bool {
	return firstKey.Match(text) && (ownKey.Match(text) || foreignKey.Match(text))
}
