package ui

import (
	"net/http"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"
)

// Page is the part of a page that differs from the others.
type Page struct {
	Title   string
	Section string   // the entry of the navigation that it belongs to
	API     string   // where the same is as JSON; may be empty
	Scripts []string // modules of its own, below assets
	Body    []g.Node
	// Still pages are not refreshed by themselves.
	Still bool
}

// shell puts a page into what all pages have.
func (u *UI) shell(r *http.Request, p Page) g.Node {
	return h.Doctype(h.HTML(h.Lang("en"),
		h.Head(
			h.Meta(h.Charset("utf-8")),
			h.Meta(h.Name("viewport"), h.Content("width=device-width, initial-scale=1")),
			h.Meta(h.Name("color-scheme"), h.Content("light dark")),
			h.Meta(h.Name("prefix"), h.Content(u.options.Prefix)),
			h.TitleEl(g.Text(p.Title+" · collector")),
			h.Link(h.Rel("icon"), h.Type("image/svg+xml"), h.Href(u.asset("icon.svg"))),
			h.Link(h.Rel("stylesheet"), h.Href(u.asset("style.css"))),
			// Not a module: it sets the theme before anything is painted.
			h.Script(h.Src(u.asset("theme.js"))),
			h.Script(h.Type("module"), h.Src(u.asset("app.js"))),
			g.Map(p.Scripts, func(name string) g.Node { return h.Script(h.Type("module"), h.Src(u.asset(name))) }),
		),
		h.Body(
			h.A(h.Class("skip"), h.Href("#main"), g.Text("Skip to the content")),
			u.header(p),
			// A script says in it that the collector does not answer.
			h.Div(h.ID("away"), h.Role("status")),
			h.Main(h.ID("main"), h.TabIndex("-1"), g.If(!p.Still, h.Data("refresh", "5")),
				u.loadFailure(p),
				h.Div(h.Class("title"), h.H1(g.Text(p.Title)), g.If(p.API != "", u.jsonLink(p.API, r.URL.RawQuery))),
				g.Group(p.Body),
			),
			h.Footer(h.Class("foot"), h.P(g.Text("collector "+u.options.Version))),
		),
	))
}

func (u *UI) header(p Page) g.Node {
	return h.Header(h.Class("top"),
		h.A(h.Class("brand"), h.Href(u.href("/")), g.Text("collector")),
		h.Nav(g.Attr("aria-label", "Pages"), h.Ul(g.Map(sections(), func(s section) g.Node {
			return h.Li(h.A(h.Href(u.href(s.path)), g.If(s.name == p.Section, g.Attr("aria-current", "page")), g.Text(s.name)))
		}))),
		h.Div(h.Class("tools"),
			h.Button(h.Type("button"), h.ID("pause"), g.Attr("aria-pressed", "false"), g.Attr("hidden"), g.Text("Pause")),
			h.Button(h.Type("button"), h.ID("theme"), g.Attr("hidden"), g.Text("Theme: auto")),
		),
	)
}

// loadFailure says on every page that the configuration in force is not the
// one in the files.
func (u *UI) loadFailure(p Page) g.Node {
	_, failed := u.options.Source.Configuration()
	if failed == nil || p.Section == "Configuration" {
		return nil
	}
	return Notice("bad", g.Text("The last reload failed, so the configuration before it runs on. "),
		h.A(h.Href(u.href("/configuration")), g.Text("See what is wrong")), g.Text("."))
}

func (u *UI) jsonLink(path, query string) g.Node {
	if query != "" {
		path += "?" + query
	}
	return h.A(h.Class("json"), h.Href(u.href(path)), g.Text("JSON"))
}

func (u *UI) errorPage(err error) Page {
	title := "Something went wrong"
	if statusOf(err) == http.StatusNotFound {
		title = "Not found"
	}
	return Page{Title: title, Still: true, Body: []g.Node{
		h.P(g.Text(err.Error())), h.P(h.A(h.Href(u.href("/")), g.Text("Go to the overview"))),
	}}
}

// href is where a browser finds path, which begins with a slash.
func (u *UI) href(path string) string { return u.options.Prefix + path }

func (u *UI) asset(name string) string { return u.href(u.assets.path(name)) }
