package ui

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"collector/pkg/config"
	"collector/pkg/graph"
)

// configuration is the files as loaded, with secrets hidden.
type configuration struct {
	InForce load  `json:"inForce"`
	Failed  *load `json:"failed,omitempty"` // the last reload, if it failed
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

func (u *UI) configurationModel(*http.Request) (configuration, error) {
	inForce, failed := u.options.Source.Configuration()
	c := configuration{InForce: loadOf(inForce)}
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
	linesShown = 400
	lineShown  = 500 // bytes of one line
	bytesShown = 120 << 10
)

// sourceHref is where a line of the configuration in force is shown.
func (u *UI) sourceHref(file string, line int) string {
	return u.sourceLineHref(file, line, false)
}

func (u *UI) sourceLineHref(file string, line int, failed bool) string {
	query := url.Values{"file": {file}}
	if from := (line-1)/linesShown*linesShown + 1; from > 1 {
		query.Set("from", strconv.Itoa(from))
	}
	if failed {
		query.Set("version", "failed")
	}
	return u.href("/configuration?"+query.Encode()) + "#L" + strconv.Itoa(line)
}

func (u *UI) configurationPage(r *http.Request, c configuration) Page {
	query := r.URL.Query()
	shown, failed := c.InForce, false
	// Someone who has just been told of a failure wants to see where it is.
	if c.Failed != nil && len(c.Failed.Files) > 0 && query.Get("version") != "running" && (query.Get("version") == "failed" || query.Get("file") == "") {
		shown, failed = *c.Failed, true
	}
	body := []g.Node{u.reloadForm(), u.reloadResult(c, query.Get("reloaded"))}
	if c.Failed != nil {
		body = append(body, u.versions(failed))
	}
	body = append(body, u.diagnosticsList(shown, failed))
	if len(shown.Files) > 1 {
		body = append(body, u.fileList(shown, failed))
	}
	if len(shown.Files) == 0 {
		body = append(body, Empty("No configuration has been loaded."))
	}
	if file := chosen(shown.Files, query.Get("file")); file != nil {
		from, _ := strconv.Atoi(query.Get("from"))
		body = append(body, u.sourceView(*file, max(1, from), shown.Diagnostics, failed))
	}
	return Page{Title: "Configuration", Section: "Configuration", API: "/api/v1/configuration", Still: true, Body: body}
}

func chosen(files []sourceFile, name string) *sourceFile {
	for i := range files {
		if name == "" || files[i].Name == name {
			return &files[i]
		}
	}
	return nil
}

func (u *UI) reloadForm() g.Node {
	return h.Form(h.Method("post"), h.Action(u.href("/configuration/reload")), h.Class("reload"),
		h.Button(h.Type("submit"), h.Class("primary"), g.Text("Reload the configuration")))
}

// reloadResult says how the last load went. asked is what the reload button
// was answered.
func (u *UI) reloadResult(c configuration, asked string) g.Node {
	switch {
	case c.Failed != nil:
		nodes := []g.Node{g.Text("The last reload failed "), Ago(c.Failed.At), g.Text("; the configuration before it, of "), Ago(c.InForce.At), g.Text(", runs on.")}
		if len(c.Failed.Diagnostics) == 0 {
			nodes = append(nodes, h.Pre(g.Text(Cut(c.Failed.Error, 4000))))
		}
		return Notice("bad", nodes...)
	case asked == "ok":
		return Notice("good", g.Text("The configuration was reloaded "), Ago(c.InForce.At), g.Text("."))
	}
	return h.P(g.Text("In force since it was loaded "), Ago(c.InForce.At), g.Text("."))
}

func (u *UI) versions(failed bool) g.Node {
	link := func(version, text string, here bool) g.Node {
		return h.Li(h.A(h.Href(u.href("/configuration?version="+version)), g.If(here, g.Attr("aria-current", "true")), g.Text(text)))
	}
	return h.Ul(h.Class("tabs"), link("failed", "As in the files, with errors", failed), link("running", "In force", !failed))
}

// maxDiagnostics is how many errors a page lists.
const maxDiagnostics = 100

func (u *UI) diagnosticsList(l load, failed bool) g.Node {
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
			place = h.A(h.Href(u.sourceLineHref(d.File, d.Line, failed)), g.Textf("%s:%d:%d", d.File, d.Line, d.Column))
		}
		items = append(items, h.Li(Badge(kindOfDiagnostic(d), wordOf(d)), g.Text(" "), place, g.Text(" "+Cut(d.Message, maxString)), acceptedNode(d)))
	}
	return Section("problems", "What is wrong", h.Ul(append([]g.Node{h.Class("values problems")}, items...)...))
}

func acceptedNode(d diagnostic) g.Node {
	if d.Accepted == "" {
		return nil
	}
	return h.Div(h.Class("dim"), g.Text("accepted: "+Cut(d.Accepted, maxString)))
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

func (u *UI) fileList(l load, failed bool) g.Node {
	var items []g.Node
	for _, f := range l.Files {
		items = append(items, h.Li(h.A(h.Href(u.sourceLineHref(f.Name, 1, failed)), g.Text(f.Name)), g.Textf(" %d lines", len(f.lines))))
	}
	return Section("files", "Files", h.Ul(append([]g.Node{h.Class("values")}, items...)...))
}

// sourceView shows one file from a line on.
func (u *UI) sourceView(f sourceFile, from int, ds []diagnostic, failed bool) g.Node {
	at := map[int][]diagnostic{}
	for _, d := range ds {
		if d.File == f.Name {
			at[d.Line] = append(at[d.Line], d)
		}
	}
	from = min(from, max(1, len(f.lines)))
	var rows []g.Node
	size, next := 0, from
	for ; next <= len(f.lines) && next < from+linesShown && size < bytesShown; next++ {
		rows = append(rows, sourceLine(next, f.lines[next-1], &size))
		for _, d := range at[next] {
			rows = append(rows, h.Div(h.Class("note "+kindOfDiagnostic(d)), Badge(kindOfDiagnostic(d), wordOf(d)), g.Text(" "+Cut(d.Message, maxString))))
		}
	}
	var more []g.Node
	if from > 1 {
		more = append(more, h.A(h.Href(u.sourceLineHref(f.Name, max(1, from-linesShown), failed)), g.Text("← Lines before")))
	}
	if next <= len(f.lines) {
		more = append(more, h.A(h.Href(u.fromHref(f.Name, next, failed)), g.Textf("Lines from %d on →", next)))
	}
	return Section("source", f.Name,
		h.Div(h.Class("scroll source"), h.Role("region"), h.TabIndex("0"), g.Attr("aria-label", f.Name), g.Group(rows)),
		g.If(len(more) > 0, h.Nav(h.Class("pager"), g.Attr("aria-label", "Parts of the file"), g.Group(more))))
}

func (u *UI) fromHref(file string, from int, failed bool) string {
	query := url.Values{"file": {file}, "from": {strconv.Itoa(from)}}
	if failed {
		query.Set("version", "failed")
	}
	return u.href("/configuration?" + query.Encode())
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
		text := Cut(p.Text, left)
		left -= len(text)
		*size += len(text) + cellCost
		if p.Class == config.Plain {
			nodes = append(nodes, g.Text(text))
		} else {
			nodes = append(nodes, h.Span(h.Class("t-"+string(p.Class)), g.Text(text)))
		}
	}
	return h.Div(nodes...)
}

// reloadPage is the reload button. It leads back to the page, which says how it
// went.
func (u *UI) reloadPage(w http.ResponseWriter, r *http.Request) {
	target := "/configuration?reloaded=ok"
	if err := u.reload(r.Context()); err != nil {
		target = "/configuration?reloaded=failed"
	}
	http.Redirect(w, r, u.href(target), http.StatusSeeOther)
}

func (u *UI) reloadAPI(w http.ResponseWriter, r *http.Request) {
	status := http.StatusOK
	if err := u.reload(r.Context()); err != nil {
		status = http.StatusBadRequest
	}
	model, _ := u.configurationModel(r)
	answer := struct {
		OK          bool         `json:"ok"`
		Error       string       `json:"error,omitempty"`
		Diagnostics []diagnostic `json:"diagnostics"`
	}{OK: status == http.StatusOK, Diagnostics: model.InForce.Diagnostics}
	if model.Failed != nil {
		answer.Error, answer.Diagnostics = model.Failed.Error, model.Failed.Diagnostics
	}
	WriteJSON(w, status, answer)
}

// reload goes on when the client goes away: it must not end half done.
func (u *UI) reload(ctx context.Context) error {
	return u.options.Reload(context.WithoutCancel(ctx))
}
