// Package configuration is the page of the files as loaded, with what is wrong in
// them, and the button that reloads.
package configuration

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"collector/pkg/admin/ui/page"
	"collector/pkg/config"
	"collector/pkg/graph"
)

// Page is the configuration.
type Page struct {
	Site   *page.Site
	Source Source
	// Reload loads the configuration again, all or nothing.
	Reload func(context.Context) error
	// OnDisk is how the files differ from what runs; nil if there are none.
	OnDisk func() ([]config.FileDiff, error)
}

// Source is where the page reads.
type Source interface {
	Configuration() (inForce graph.Attempt, failed *graph.Attempt)
	History() []graph.Loading
}

// reloadButton is the path of the button, below the prefix.
const reloadButton = "/configuration/reload"

// Routes are the paths of the page, and of the button that reloads.
func (p *Page) Routes() []page.Route {
	return append(page.Both("GET /configuration", "GET /api/v1/configuration", p.model, p.view),
		page.Route{Pattern: "POST " + reloadButton, Serve: p.reloadPage},
		page.Route{Pattern: "POST /api/v1/reload", Serve: p.reloadAPI})
}

// configuration is the files as loaded, without secrets.
type configuration struct {
	InForce load  `json:"inForce"`
	Failed  *load `json:"failed,omitempty"` // the last reload, if it failed
	// History is the last loads, the newest first.
	History []graph.Loading `json:"history"`
	// OnDisk is how the files differ from what runs; nil if there are none.
	OnDisk *onDisk `json:"onDisk,omitempty"`
}

// load is one attempt to load the configuration.
type load struct {
	At          time.Time    `json:"at"`
	Error       string       `json:"error,omitempty"`
	Files       []sourceFile `json:"files"`
	Diagnostics []diagnostic `json:"diagnostics"`
}

type sourceFile struct {
	Name string `json:"name"`
	Text string `json:"text"`

	lines [][]config.Piece
}

type diagnostic struct {
	File     string `json:"file"`
	Line     int    `json:"line"`
	Column   int    `json:"column"`
	Warning  bool   `json:"warning"`
	Message  string `json:"message"`
	Accepted string `json:"accepted,omitempty"`
}

func (p *Page) model(*http.Request) (configuration, error) {
	inForce, failed := p.Source.Configuration()
	c := configuration{InForce: loadOf(inForce), History: append([]graph.Loading{}, p.Source.History()...), OnDisk: p.onDisk()}
	if failed != nil {
		l := loadOf(*failed)
		c.Failed = &l
	}
	return c, nil
}

func loadOf(a graph.Attempt) load {
	l := load{At: a.At, Error: a.Error, Files: []sourceFile{}, Diagnostics: []diagnostic{}}
	for _, s := range a.Sources {
		f := sourceFile{Name: s.Name, lines: config.Highlight(s)}
		var text strings.Builder
		for _, line := range f.lines {
			for _, piece := range line {
				text.WriteString(piece.Text)
			}
			text.WriteByte('\n')
		}
		f.Text = strings.TrimSuffix(text.String(), "\n")
		l.Files = append(l.Files, f)
	}
	for _, d := range a.Diagnostics {
		message := strings.TrimPrefix(d.Error(), d.At.String()+": ")
		l.Diagnostics = append(l.Diagnostics, diagnostic{
			File: d.At.File, Line: d.At.Line, Column: d.At.Column, Warning: d.Severity == config.Warning,
			Message: strings.TrimPrefix(message, "warning: "), Accepted: d.Accepted,
		})
	}
	return l
}

// Bounds of what one page shows of the files.
const (
	lineShown  = 500 // bytes of one line
	bytesShown = 120 << 10
)

func (p *Page) view(r *http.Request, c configuration) page.Content {
	query := r.URL.Query()
	shown, failed := c.InForce, false
	// After a failed reload, show where the errors are.
	if c.Failed != nil && len(c.Failed.Files) > 0 && query.Get("version") != "running" && (query.Get("version") == "failed" || query.Get("file") == "") {
		shown, failed = *c.Failed, true
	}
	body := []g.Node{p.reloadForm(), p.reloadResult(c, query.Get("reloaded")), onDiskNotice(c.OnDisk)}
	if c.Failed != nil {
		body = append(body, p.versions(failed))
	}
	body = append(body, p.diagnosticsList(shown, failed))
	if len(shown.Files) > 1 {
		body = append(body, p.fileList(shown, failed))
	}
	if len(shown.Files) == 0 {
		body = append(body, page.Empty("No configuration is loaded."))
	}
	if file := chosen(shown.Files, query.Get("file")); file != nil {
		from, _ := strconv.Atoi(query.Get("from"))
		body = append(body, p.sourceView(*file, max(1, from), shown.Diagnostics, failed))
	}
	body = append(body, p.historySection(c.History))
	return page.Content{Title: "Configuration", API: "/api/v1/configuration", Still: true, Body: body}
}

func chosen(files []sourceFile, name string) *sourceFile {
	for i := range files {
		if name == "" || files[i].Name == name {
			return &files[i]
		}
	}
	return nil
}

func (p *Page) reloadForm() g.Node {
	return h.Form(h.Method("post"), h.Action(p.Site.Href(reloadButton)), h.Class("reload"),
		h.Button(h.Type("submit"), h.Class("primary"), g.Text("Reload configuration")))
}

// reloadResult shows how the last load went. asked is the reload button's result.
func (p *Page) reloadResult(c configuration, asked string) g.Node {
	switch {
	case c.Failed != nil:
		nodes := []g.Node{g.Text("The last reload failed "), page.Ago(c.Failed.At), g.Text("; the previous configuration, loaded "), page.Ago(c.InForce.At), g.Text(", is still running.")}
		if len(c.Failed.Diagnostics) == 0 {
			nodes = append(nodes, h.Pre(g.Text(page.Cut(c.Failed.Error, 4000))))
		}
		return page.Notice("bad", nodes...)
	case asked == "ok":
		return page.Notice("good", g.Text("The configuration was reloaded "), page.Ago(c.InForce.At), g.Text("."))
	}
	return h.P(g.Text("Loaded "), page.Ago(c.InForce.At), g.Text("."))
}

func (p *Page) versions(failed bool) g.Node {
	link := func(version, text string, here bool) g.Node {
		return h.Li(h.A(h.Href(p.Site.Href("/configuration?version="+version)), g.If(here, g.Attr("aria-current", "true")), g.Text(text)))
	}
	return h.Ul(h.Class("tabs"), link("failed", "Files with errors", failed), link("running", "Running", !failed))
}

// maxDiagnostics is how many errors a page lists.
const maxDiagnostics = 100

func (p *Page) diagnosticsList(l load, failed bool) g.Node {
	if len(l.Diagnostics) == 0 {
		return nil
	}
	var items []g.Node
	for i, d := range l.Diagnostics {
		if i == maxDiagnostics {
			items = append(items, h.Li(g.Textf("and %d more", len(l.Diagnostics)-i)))
			break
		}
		place := g.Node(g.Text(d.File))
		if d.Line > 0 {
			place = h.A(h.Href(p.Site.SourceLineHref(d.File, d.Line, failed)), g.Textf("%s:%d:%d", d.File, d.Line, d.Column))
		}
		items = append(items, h.Li(page.Badge(kindOfDiagnostic(d), wordOf(d)), g.Text(" "), place, g.Text(" "+page.Cut(d.Message, page.MaxString)), acceptedNode(d)))
	}
	return page.Section("problems", "Errors and warnings", h.Ul(append([]g.Node{h.Class("values problems")}, items...)...))
}

func acceptedNode(d diagnostic) g.Node {
	if d.Accepted == "" {
		return nil
	}
	return h.Div(h.Class("dim"), g.Text("accepted: "+page.Cut(d.Accepted, page.MaxString)))
}

func kindOfDiagnostic(d diagnostic) string {
	if d.Warning {
		return "warn"
	}
	return "bad"
}

func wordOf(d diagnostic) string {
	if d.Warning {
		return "warning"
	}
	return "error"
}

func (p *Page) fileList(l load, failed bool) g.Node {
	var items []g.Node
	for _, f := range l.Files {
		items = append(items, h.Li(h.A(h.Href(p.Site.SourceLineHref(f.Name, 1, failed)), g.Text(f.Name)), g.Textf(" %d lines", len(f.lines))))
	}
	return page.Section("files", "Files", h.Ul(append([]g.Node{h.Class("values")}, items...)...))
}

// sourceView shows one file from a line on.
func (p *Page) sourceView(f sourceFile, from int, ds []diagnostic, failed bool) g.Node {
	at := map[int][]diagnostic{}
	for _, d := range ds {
		if d.File == f.Name {
			at[d.Line] = append(at[d.Line], d)
		}
	}
	from = min(from, max(1, len(f.lines)))
	var rows []g.Node
	size, next := 0, from
	for ; next <= len(f.lines) && next < from+page.SourceLines && size < bytesShown; next++ {
		rows = append(rows, sourceLine(next, f.lines[next-1], &size))
		for _, d := range at[next] {
			rows = append(rows, h.Div(h.Class("note "+kindOfDiagnostic(d)), page.Badge(kindOfDiagnostic(d), wordOf(d)), g.Text(" "+page.Cut(d.Message, page.MaxString))))
		}
	}
	var more []g.Node
	if from > 1 {
		more = append(more, h.A(h.Href(p.Site.SourceLineHref(f.Name, max(1, from-page.SourceLines), failed)), g.Text("← Previous lines")))
	}
	if next <= len(f.lines) {
		more = append(more, h.A(h.Href(p.fromHref(f.Name, next, failed)), g.Textf("From line %d →", next)))
	}
	return page.Section("source", f.Name,
		h.Div(h.Class("scroll source"), h.Role("region"), h.TabIndex("0"), g.Attr("aria-label", f.Name), g.Group(rows)),
		g.If(len(more) > 0, h.Nav(h.Class("pager"), g.Attr("aria-label", "Parts of the file"), g.Group(more))))
}

func (p *Page) fromHref(file string, from int, failed bool) string {
	query := url.Values{"file": {file}, "from": {strconv.Itoa(from)}}
	if failed {
		query.Set("version", "failed")
	}
	return p.Site.Href("/configuration?" + query.Encode())
}

func sourceLine(number int, pieces []config.Piece, size *int) g.Node {
	id := "L" + strconv.Itoa(number)
	nodes := []g.Node{h.Class("line"), h.ID(id), h.A(h.Class("no"), h.Href("#"+id), g.Attr("aria-label", "Line "+strconv.Itoa(number)), g.Text(strconv.Itoa(number)))}
	left := lineShown
	for _, p := range pieces {
		if left <= 0 {
			nodes = append(nodes, g.Text("…"))
			break
		}
		text := page.Cut(p.Text, left)
		left -= len(text)
		*size += len(text) + page.CellCost
		if p.Class == config.Plain {
			nodes = append(nodes, g.Text(text))
		} else {
			nodes = append(nodes, h.Span(h.Class("t-"+string(p.Class)), g.Text(text)))
		}
	}
	return h.Div(nodes...)
}
