package ui

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"collector/pkg/config"
)

// SupportPath is where support bundles are.
const SupportPath = "/-/support"

// Support is what only the program can give to a support bundle.
type Support struct {
	// Build and Flags describe the program by name.
	Build, Flags map[string]string
	Metrics      prometheus.Gatherer
	// Log gives the last lines of the collector's own log.
	Log func() []string
	// Secrets are texts that must not be in a bundle, wherever they stand.
	Secrets func() []string
}

// supportReadme stands in every bundle.
const supportReadme = `A support bundle of collector.

version.json        the program, where it runs, and its flags
problems.json       what the overview says is wrong
overview.json       signals, destinations, containers
components.json     the components: health, arguments, exports, status
targets.json        the scrape targets
tails.json          the containers whose output is read
configuration/      the configuration in force, and the one of a failed reload
metrics.txt         the page /metrics
log.txt             the last lines of the collector's log
goroutines.txt      what the program is doing
heap.pprof          what takes its memory

Passwords, tokens and other secrets are replaced by "(secret)" or asterisks.
Names of hosts, containers and labels are in it: look at it before you send it
to somebody.
`

// serveSupport answers with a zip of what a maintainer needs.
func (u *UI) serveSupport(w http.ResponseWriter, req *http.Request) {
	if u.options.Support == nil {
		u.write(w, req, http.StatusNotFound, u.errorPage(notFound("Support bundles are switched off by a flag of the command line.")))
		return
	}
	name := "collector-support-" + time.Now().UTC().Format("20060102-150405") + ".zip"
	w.Header().Set("Content-Type", "application/zip")
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	w.Header().Set("Cache-Control", "no-store")
	if err := u.writeBundle(w, req); err != nil {
		u.options.Logger.Warn("write a support bundle", "err", err)
	}
}

// bundle is a support bundle being written.
type bundle struct {
	zip     *zip.Writer
	hide    *strings.Replacer
	problem error // the first
}

// minSecret is how long a text must be to be taken out wherever it stands: a
// shorter one is part of other words.
const minSecret = 6

func newBundle(w io.Writer, secrets []string) *bundle {
	var pairs []string
	for _, s := range secrets {
		if len(s) < minSecret {
			continue
		}
		pairs = append(pairs, s, config.Redacted)
		if text, err := json.Marshal(s); err == nil && string(text[1:len(text)-1]) != s {
			pairs = append(pairs, string(text[1:len(text)-1]), config.Redacted)
		}
	}
	return &bundle{zip: zip.NewWriter(w), hide: strings.NewReplacer(pairs...)}
}

// text adds a file of text, without secrets.
func (b *bundle) text(name, text string) {
	b.file(name, []byte(b.hide.Replace(shownURL(text))))
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

func (u *UI) writeBundle(w io.Writer, req *http.Request) error {
	s := u.options.Support
	var secrets []string
	if s.Secrets != nil {
		secrets = s.Secrets()
	}
	b := newBundle(w, slices.AppendSeq(secrets, maps.Keys(u.veil().values)))
	b.text("README.txt", supportReadme)
	b.json("version.json", map[string]any{
		"version": u.options.Version, "build": shownMap(s.Build), "flags": shownMap(s.Flags), "at": time.Now().UTC(),
		"go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH, "processors": runtime.NumCPU(), "goroutines": runtime.NumGoroutine(),
	}, nil)
	overview, err := u.overviewModel(req)
	b.json("problems.json", overview.Problems, err)
	b.json("overview.json", overview, err)
	b.json("components.json", u.allComponents(), nil)
	u.addInventory(b)
	u.addConfiguration(b)
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
	// pair is a name and its value, as labels and log lines have them.
	pair = regexp.MustCompile(`([A-Za-z_][A-Za-z0-9_.-]*)((?:=|":\s?)\\*")([^"\\]*)`)
	// login stands before a host, without a scheme.
	login = regexp.MustCompile(`([A-Za-z0-9_.-]+:)[^\s"@:/\\]+@`)
)

// shownLog is log lines without secrets: labels are quoted in them.
func shownLog(text string) string {
	text = pair.ReplaceAllStringFunc(text, func(found string) string {
		parts := pair.FindStringSubmatch(found)
		return parts[1] + parts[2] + config.Shown(parts[1], parts[3])
	})
	return login.ReplaceAllString(text, "${1}(secret)@")
}

func (u *UI) allComponents() []any {
	all := []any{}
	for _, c := range u.options.Source.Summary().Components {
		if info, ok := u.Component(c.ID); ok {
			all = append(all, info)
		}
	}
	return all
}

func (u *UI) addInventory(b *bundle) {
	targets, v := []targetInfo{}, u.veil()
	for _, t := range u.scrapeTargets() {
		targets = append(targets, infoOf(&t, v))
	}
	b.json("targets.json", targets, nil)
	tails := u.logTails()
	for i := range tails {
		tails[i] = shownTail(tails[i], v)
	}
	b.json("tails.json", tails, nil)
	if u.options.Inventory != nil {
		b.json("engines.json", u.options.Inventory.Engines(), nil)
		b.json("unlisted.json", u.options.Inventory.Unlisted(), nil)
	}
}

// addConfiguration adds the files of the configurations, with their secrets
// behind asterisks.
func (u *UI) addConfiguration(b *bundle) {
	inForce, failed := u.options.Source.Configuration()
	add := func(dir string, sources []config.Source) {
		for i, source := range sources {
			var text strings.Builder
			for _, line := range config.Highlight(source) {
				for _, piece := range line {
					text.WriteString(piece.Text)
				}
				text.WriteString("\n")
			}
			b.text(fmt.Sprintf("configuration/%s/%02d.alloy", dir, i+1), "// "+source.Name+"\n"+text.String())
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
	families, err := from.Gather() // what it has, even with an error
	if err != nil {
		fmt.Fprintf(&buf, "# %s\n", strings.ReplaceAll(err.Error(), "\n", " "))
	}
	for _, f := range families {
		_, _ = expfmt.MetricFamilyToText(&buf, f) // into memory
	}
	return buf.String()
}
