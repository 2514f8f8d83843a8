package ui

import (
	"bytes"
	"errors"
	"net/http"
	"strings"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"collector/pkg/admin/ui/page"
)

// configurationTitle is the page that shows a failed reload itself.
const configurationTitle = "Configuration"

func (u *UI) serve(w http.ResponseWriter, req *http.Request, title string, r page.Route) {
	if r.Serve != nil {
		if err := r.Serve(w, req); err != nil {
			u.writeError(w, req, err)
		}
		return
	}
	model, err := r.Model(req)
	switch {
	case err != nil && r.View == nil:
		page.WriteJSON(w, page.StatusOf(err), map[string]string{"error": err.Error()})
	case err != nil:
		u.writeError(w, req, err)
	case r.View == nil:
		page.WriteJSON(w, http.StatusOK, model)
	default:
		u.write(w, req, http.StatusOK, title, r.View(req, model))
	}
}

func (u *UI) notFound(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		http.Error(w, "Method Not Allowed", http.StatusMethodNotAllowed)
		return
	}
	if strings.HasPrefix(req.URL.Path, "/api/") {
		page.WriteJSON(w, http.StatusNotFound, map[string]string{"error": "no such path: " + req.URL.Path})
		return
	}
	u.writeError(w, req, page.NotFound("No page at "+req.URL.Path+"."))
}

func (u *UI) writeError(w http.ResponseWriter, req *http.Request, err error) {
	title := "Something went wrong"
	if page.StatusOf(err) == http.StatusNotFound {
		title = "Not found"
	}
	links := []page.Link{{Path: "/", Text: "Go to the overview"}}
	var absent page.Absent
	if errors.As(err, &absent) {
		title, links = absent.Title, append(absent.Links, links...)
	}
	u.write(w, req, page.StatusOf(err), "", page.Content{Title: title, Still: true, Body: []g.Node{
		h.P(g.Text(err.Error())), g.Map(links, func(l page.Link) g.Node { return h.P(h.A(h.Href(u.site.Href(l.Path)), g.Text(l.Text))) }),
	}})
}

// write renders the whole page before sending any of it, so that an error does not
// leave half a page. title is its entry in the navigation, or "".
func (u *UI) write(w http.ResponseWriter, req *http.Request, status int, title string, c page.Content) {
	var buf bytes.Buffer
	if err := u.shell(req, title, c).Render(&buf); err != nil {
		u.options.Logger.Error("render a page", "path", req.URL.Path, "err", err)
		http.Error(w, "could not render the page", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(buf.Bytes()) // the client may have disconnected
}

// shell is the HTML around a page's content.
func (u *UI) shell(r *http.Request, title string, c page.Content) g.Node {
	return h.Doctype(h.HTML(h.Lang("en"),
		h.Head(
			h.Meta(h.Charset("utf-8")),
			h.Meta(h.Name("viewport"), h.Content("width=device-width, initial-scale=1")),
			h.Meta(h.Name("color-scheme"), h.Content("light dark")),
			h.Meta(h.Name("prefix"), h.Content(u.options.Prefix)),
			h.TitleEl(g.Text(c.Title+" · collector")),
			h.Link(h.Rel("icon"), h.Type("image/svg+xml"), h.Href(u.site.Asset("icon.svg"))),
			h.Link(h.Rel("stylesheet"), h.Href(u.site.Asset("style.css"))),
			// Not a module: it sets the theme before anything is painted.
			h.Script(h.Src(u.site.Asset("theme.js"))),
			h.Script(h.Type("module"), h.Src(u.site.Asset("app.js"))),
			g.Map(c.Scripts, func(name string) g.Node { return h.Script(h.Type("module"), h.Src(u.site.Asset(name))) }),
		),
		h.Body(
			h.A(h.Class("skip"), h.Href("#main"), g.Text("Skip to content")),
			u.header(title),
			// A script shows here that the collector does not answer.
			h.Div(h.ID("away"), h.Role("status")),
			h.Main(h.ID("main"), h.TabIndex("-1"), g.If(!c.Still, h.Data("refresh", "5")),
				u.loadFailure(title),
				h.Div(h.Class("title"), h.H1(g.Text(c.Title)), g.If(c.API != "", u.jsonLink(c.API, r.URL.RawQuery))),
				g.Group(c.Body),
			),
			h.Footer(h.Class("foot"), h.P(g.Text("collector "+u.options.Version))),
		),
	))
}

func (u *UI) header(current string) g.Node {
	var items []g.Node
	last := ""
	for _, e := range u.pages {
		if e.title == last {
			continue
		}
		last = e.title
		items = append(items, h.Li(h.A(h.Href(u.site.Href(e.path)), g.If(e.title == current, g.Attr("aria-current", "page")), g.Text(e.title))))
	}
	return h.Header(h.Class("top"),
		h.A(h.Class("brand"), h.Href(u.site.Href("/")), g.Text("collector")),
		h.Nav(g.Attr("aria-label", "Pages"), h.Ul(items...)),
		h.Div(h.Class("tools"),
			h.Button(h.Type("button"), h.ID("pause"), g.Attr("aria-pressed", "false"), g.Attr("hidden"), g.Text("Pause")),
			h.NoScript(h.Span(h.Class("dim"), g.Text("Time: UTC"))),
			h.Button(h.Type("button"), h.ID("zone"), g.Attr("hidden")),
			h.Button(h.Type("button"), h.ID("theme"), g.Attr("hidden"), g.Text("Theme: auto")),
		),
	)
}

// loadFailure says on every page that the running configuration is not the one in
// the files.
func (u *UI) loadFailure(title string) g.Node {
	_, failed := u.source.Configuration()
	if failed == nil || title == configurationTitle {
		return nil
	}
	return page.Notice("bad", g.Text("The last reload failed; the previous configuration is still running. "),
		h.A(h.Href(u.site.Href("/configuration")), g.Text("Show the errors")), g.Text("."))
}

func (u *UI) jsonLink(path, query string) g.Node {
	if query != "" {
		path += "?" + query
	}
	return h.A(h.Class("json"), h.Href(u.site.Href(path)), g.Text("JSON"))
}
