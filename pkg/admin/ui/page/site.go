package page

import (
	"net/url"
	"strconv"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"
)

// Site is where the pages are served, as a browser sees it. Its methods are the
// links between pages.
type Site struct {
	Prefix string // of every path: "" or "/a/b"
	// AssetPath returns the path, without the prefix, of a file below assets.
	AssetPath func(name string) string
}

// Href is where a browser finds path, which begins with a slash.
func (s *Site) Href(path string) string { return s.Prefix + path }

// Asset is where a browser finds a file below assets.
func (s *Site) Asset(name string) string { return s.Href(s.AssetPath(name)) }

// DataStyle is the style sheet of the pages that show data.
func (s *Site) DataStyle() g.Node { return h.Link(h.Rel("stylesheet"), h.Href(s.Asset("data.css"))) }

// ComponentLink leads to a component's page.
func (s *Site) ComponentLink(id string) g.Node {
	return h.A(h.Class("id"), h.Href(s.ComponentHref(id)), g.Text(id))
}

// ComponentHref is the page of a component.
func (s *Site) ComponentHref(id string) string { return s.Href("/component/" + url.PathEscape(id)) }

// ComponentsHref is the list of components that match query.
func (s *Site) ComponentsHref(query string) string {
	return s.Href("/components?q=" + url.QueryEscape(query))
}

// SourceLines is how many lines of a file of the configuration a page shows.
const SourceLines = 400

// SourceHref is where a line of the running configuration is shown.
func (s *Site) SourceHref(file string, line int) string {
	return s.SourceLineHref(file, line, false)
}

// SourceLineHref is where a line is shown: of the running configuration, or of
// the one that failed to load.
func (s *Site) SourceLineHref(file string, line int, failed bool) string {
	query := url.Values{"file": {file}}
	if from := (line-1)/SourceLines*SourceLines + 1; from > 1 {
		query.Set("from", strconv.Itoa(from))
	}
	if failed {
		query.Set("version", "failed")
	}
	return s.Href("/configuration?"+query.Encode()) + "#L" + strconv.Itoa(line)
}

// LiveHref is the live view of what flows from one component to another.
func (s *Site) LiveHref(from, to string) string {
	query := url.Values{}
	for name, id := range map[string]string{"from": from, "to": to} {
		if id != "" {
			query.Set(name, id)
		}
	}
	return s.Href("/live?" + query.Encode())
}

// TargetHref is the page of a target of a component.
func (s *Site) TargetHref(component, id string) string {
	return s.Href("/targets/" + url.PathEscape(component) + "/" + url.PathEscape(id))
}

// WhyHref is the page that says what is wrong with a container, a target or a
// destination.
func (s *Site) WhyHref(name string) string { return s.Href("/why?q=" + url.QueryEscape(name)) }

// TargetTabs switch between scrape targets and log tails.
func (s *Site) TargetTabs(current string) g.Node {
	tab := func(path, name string) g.Node {
		return h.Li(h.A(h.Href(s.Href(path)), g.If(path == current, g.Attr("aria-current", "true")), g.Text(name)))
	}
	return h.Ul(h.Class("tabs"), tab("/targets", "Scrape targets"), tab("/targets/logs", "Log tails"))
}

// TraceHref is the page of a trace in the Explore window.
func (s *Site) TraceHref(id string) string { return s.Href("/explore/traces/" + url.PathEscape(id)) }
