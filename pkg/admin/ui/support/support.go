// Package support is the support bundle: a zip of what a maintainer needs, without
// secrets.
package support

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"runtime"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"collector/pkg/admin/ui/page"
	"collector/pkg/admin/ui/redact"
	"collector/pkg/config"
	"collector/pkg/graph"
	"collector/pkg/inspect"
	"collector/pkg/mask"
)

// Path is where support bundles are.
const Path = "/-/support"

// Program is the program's part of a support bundle.
type Program struct {
	// Build and Flags describe the program by name.
	Build, Flags map[string]string
	Metrics      prometheus.Gatherer
	// Log returns the last lines of the collector's own log.
	Log func() []string
	// Secrets are texts to remove from the whole bundle.
	Secrets func() []string
}

// supportReadme is in every bundle.
const supportReadme = `Support bundle of collector.

version.json        version, platform and flags
problems.json       problems shown on the overview
overview.json       signals, destinations, containers
components.json     components: health, arguments, exports, status
targets.json        scrape targets
tails.json          log tails
engines.json        connections to Docker
unlisted.json       containers that are not targets, and why
configuration/      the running configuration, and that of a failed reload
history.json        the last loads of the configuration: by whom, and what changed
metrics.txt         the page /metrics
log.txt             the last lines of the collector's log
goroutines.txt      what the program is doing
heap.pprof          memory profile

Passwords, tokens and other secrets are replaced by "(secret)" or asterisks.
Names of hosts, containers and labels are included: review the bundle before
you send it to anyone.
`

// Page is the support bundle.
type Page struct {
	Program   *Program // nil if bundles are disabled
	Version   string
	Redactor  *redact.Redactor
	Source    Source
	Inventory Inventory
	Logger    *slog.Logger

	// What other pages show.
	Overview func(*http.Request) (all, problems any, err error)
	Targets  func() any
	Tails    func() any
}

// Source is where the components and their configuration are read.
type Source interface {
	Summary() graph.Snapshot
	// Component returns no secrets.
	Component(id string) (graph.ComponentInfo, bool)
	Configuration() (inForce graph.Attempt, failed *graph.Attempt)
	History() []graph.Loading
}

// Inventory lists targets, tails and containers.
type Inventory interface {
	Engines() []inspect.Engine
	Unlisted() map[string]string
}

// Routes are the paths of the page.
func (p *Page) Routes() []page.Route {
	return []page.Route{{Pattern: "GET " + Path, Serve: p.serve}}
}

// serve sends a zip of what a maintainer needs.
func (p *Page) serve(w http.ResponseWriter, req *http.Request) error {
	if p.Program == nil {
		return page.NotFound("Support bundles are disabled by a command-line flag.")
	}
	name := "collector-support-" + time.Now().UTC().Format("20060102-150405") + ".zip"
	w.Header().Set("Content-Type", "application/zip")
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	w.Header().Set("Cache-Control", "no-store")
	if err := p.writeBundle(w, req); err != nil {
		p.Logger.Warn("write a support bundle", "err", err)
	}
	return nil
}

// bundle is a support bundle being written.
type bundle struct {
	zip     *zip.Writer
	hide    *strings.Replacer
	problem error // the first
}

func newBundle(w io.Writer, secrets []string) *bundle {
	var pairs []string
	for _, s := range secrets {
		if len(s) < redact.MinLength {
			continue
		}
		pairs = append(pairs, s, mask.Redacted)
		if text, err := json.Marshal(s); err == nil && string(text[1:len(text)-1]) != s {
			pairs = append(pairs, string(text[1:len(text)-1]), mask.Redacted)
		}
	}
	return &bundle{zip: zip.NewWriter(w), hide: strings.NewReplacer(pairs...)}
}

// text adds a file of text, without secrets.
func (b *bundle) text(name, text string) {
	b.file(name, []byte(b.hide.Replace(mask.WithoutPasswords(text))))
}

func (b *bundle) json(name string, v any, err error) {
	if err != nil {
		v = map[string]string{"error": err.Error()}
	}
	text, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		text = []byte(err.Error())
	}
	b.text(name, string(text)+"\n")
}

func (b *bundle) file(name string, content []byte) {
	f, err := b.zip.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: time.Now()})
	if err == nil {
		_, err = f.Write(content)
	}
	if b.problem == nil {
		b.problem = err
	}
}

func (p *Page) writeBundle(w io.Writer, req *http.Request) error {
	s := p.Program
	var secrets []string
	if s.Secrets != nil {
		secrets = s.Secrets()
	}
	b := newBundle(w, append(secrets, p.Redactor.Current().Secrets()...))
	b.text("README.txt", supportReadme)
	b.json("version.json", map[string]any{
		"version": p.Version, "build": shownMap(s.Build), "flags": shownMap(s.Flags), "at": time.Now().UTC(),
		"go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH, "processors": runtime.NumCPU(), "goroutines": runtime.NumGoroutine(),
	}, nil)
	overview, problems, err := p.Overview(req)
	b.json("problems.json", problems, err)
	b.json("overview.json", overview, err)
	b.json("components.json", p.allComponents(), nil)
	p.addInventory(b)
	p.addConfiguration(b)
	b.json("history.json", p.Source.History(), nil)
	b.text("metrics.txt", metricsText(s.Metrics))
	if s.Log != nil {
		b.text("log.txt", shownLog(strings.Join(s.Log(), "\n"))+"\n")
	}
	var goroutines, heap bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&goroutines, 1) // into memory
	b.text("goroutines.txt", goroutines.String())
	_ = pprof.Lookup("heap").WriteTo(&heap, 0)
	b.file("heap.pprof", heap.Bytes())
	if err := b.zip.Close(); err != nil {
		return err
	}
	return b.problem
}

var (
	// pair is a name and its value, as in labels and log lines.
	pair = regexp.MustCompile(`([A-Za-z_][A-Za-z0-9_.-]*)((?:=|":\s?)\\*")([^"\\]*)`)
	// login is user:password@ before a host, without a scheme.
	login = regexp.MustCompile(`([A-Za-z0-9_.-]+:)[^\s"@:/\\]+@`)
)

// shownLog is log lines without secrets: they can quote labels.
func shownLog(text string) string {
	text = pair.ReplaceAllStringFunc(text, func(found string) string {
		parts := pair.FindStringSubmatch(found)
		return parts[1] + parts[2] + mask.Shown(parts[1], parts[3])
	})
	return login.ReplaceAllString(text, "${1}(secret)@")
}

func (p *Page) allComponents() []any {
	all := []any{}
	for _, c := range p.Source.Summary().Components {
		if info, ok := p.Source.Component(c.ID); ok {
			all = append(all, info)
		}
	}
	return all
}

// addInventory adds what there is to collect from.
func (p *Page) addInventory(b *bundle) {
	b.json("targets.json", p.Targets(), nil)
	b.json("tails.json", p.Tails(), nil)
	b.json("engines.json", p.Inventory.Engines(), nil)
	b.json("unlisted.json", p.Inventory.Unlisted(), nil)
}

// addConfiguration adds the files of the configurations, with their secrets
// behind asterisks.
func (p *Page) addConfiguration(b *bundle) {
	inForce, failed := p.Source.Configuration()
	add := func(dir string, sources []config.Source) {
		for i, source := range sources {
			var text strings.Builder
			for _, line := range config.Highlight(source) {
				for _, piece := range line {
					text.WriteString(piece.Text)
				}
				text.WriteString("\n")
			}
			comment, extension := "//", "alloy"
			if source.Original {
				comment, extension = "#", "yaml"
			}
			b.text(fmt.Sprintf("configuration/%s/%02d.%s", dir, i+1, extension), comment+" "+source.Name+"\n"+text.String())
		}
	}
	add("in-force", inForce.Sources)
	if failed != nil {
		add("failed", failed.Sources)
		b.text("configuration/failed/error.txt", failed.Error+"\n")
	}
}

// metricsText is the page /metrics.
func metricsText(from prometheus.Gatherer) string {
	if from == nil {
		return ""
	}
	var buf bytes.Buffer
	families, err := from.Gather() // partial results, even with an error
	if err != nil {
		fmt.Fprintf(&buf, "# %s\n", strings.ReplaceAll(err.Error(), "\n", " "))
	}
	for _, f := range families {
		_, _ = expfmt.MetricFamilyToText(&buf, f) // into memory
	}
	return buf.String()
}

func shownMap(all map[string]string) map[string]string {
	out := make(map[string]string, len(all))
	for name, value := range all {
		out[name] = mask.Shown(name, value)
	}
	return out
}
