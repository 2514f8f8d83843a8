// Package ui is the debug UI: pages that are rendered on the server, and the
// same facts as JSON below /api/v1.
//
// Each page is a folder with a type Page, in which a model method collects what is
// to be shown and a view method makes HTML of it. The model is what the API
// answers, so that all that a page shows is also JSON. UI.table lists the pages;
// what they have in common is in the folders page, flow and redact.
package ui

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/admin/ui/component"
	"collector/pkg/admin/ui/components"
	"collector/pkg/admin/ui/configuration"
	"collector/pkg/admin/ui/explore"
	"collector/pkg/admin/ui/explore/logs"
	"collector/pkg/admin/ui/explore/metrics"
	"collector/pkg/admin/ui/explore/profiles"
	"collector/pkg/admin/ui/explore/traces"
	"collector/pkg/admin/ui/graph"
	"collector/pkg/admin/ui/live"
	"collector/pkg/admin/ui/overview"
	"collector/pkg/admin/ui/page"
	"collector/pkg/admin/ui/redact"
	"collector/pkg/admin/ui/relabel"
	"collector/pkg/admin/ui/stages"
	"collector/pkg/admin/ui/support"
	"collector/pkg/admin/ui/tails"
	"collector/pkg/admin/ui/targets"
	"collector/pkg/admin/ui/why"
	"collector/pkg/inspect"
)

// UI serves the pages and the API.
type UI struct {
	options Options
	assets  assets
	site    *page.Site
	source  redacted
	pages   []entry
	closing chan struct{} // closed by Close
	close   func()
}

// entry is a page, or a group of pages from one folder.
type entry struct {
	// title is its entry in the navigation. Entries with the same title share one link,
	// to the path of the first.
	title, path string
	page        interface{ Routes() []page.Route }
}

// New makes a UI.
func New(o Options) *UI {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Rates == nil {
		o.Rates = nothing{}
	}
	if o.Inventory == nil {
		o.Inventory = nothing{}
	}
	u := &UI{options: o, assets: loadAssets(), closing: make(chan struct{})}
	u.site = &page.Site{Prefix: o.Prefix, AssetPath: u.assets.path}
	u.source = redacted{o.Source, redact.New(o.Inventory.Relabelings)}
	u.close = sync.OnceFunc(func() { close(u.closing) })
	u.pages = u.table()
	return u
}

// table is all pages.
func (u *UI) table() []entry {
	o, site, source, redactor := &u.options, u.site, u.source, u.source.redactor
	first := &overview.Page{Site: site, Redactor: redactor, Source: source, Inventory: o.Inventory, Rates: o.Rates, Destinations: o.Destinations, Orphans: o.Orphans, OnDisk: o.OnDisk, Window: o.Explore}
	scraped := &targets.Page{Site: site, Redactor: redactor, Inventory: o.Inventory}
	tailed := &tails.Page{Site: site, Redactor: redactor, Inventory: o.Inventory}
	rules := &relabel.Page{Site: site, Redactor: redactor, Inventory: o.Inventory}
	staged := &stages.Page{Site: site, Redactor: redactor, Inventory: o.Inventory}
	return []entry{
		{"Overview", "/", first},
		{"Graph", "/graph", &graph.Page{Site: site, Source: source, Rates: o.Rates, Staged: staged.Components}},
		{"Components", "/components", &components.Page{Site: site, Source: source}},
		{"Components", "/component/{id}", &component.Page{Site: site, Source: source, Watchable: o.Live != nil, More: more(staged, tailed)}},
		{"Targets", "/targets", scraped},
		{"Targets", "/targets/logs", tailed},
		{"Relabel", "/relabel", rules},
		{"Stages", "/stages", staged},
		{"Why", "/why", &why.Page{
			Site: site, Redactor: redactor, Source: source, Inventory: o.Inventory, Explain: explain(rules), Logs: o.Explore != nil,
			Overview: func(r *http.Request) (any, error) { return first.Model(r) },
			Target:   func(t *inspect.ScrapeTarget) any { return scraped.Shown(t) }, Tail: tailed.Shown,
		}},
		{"Live", "/live", &live.Page{Site: site, Source: source, Rates: o.Rates, Hub: o.Live, Explore: o.Explore != nil, Staged: staged.Components, Closing: u.closing}},
		{"Explore", "/explore", &explore.Page{Site: site, Window: o.Explore}},
		{"Explore", "/explore/metrics", &metrics.Page{Site: site, Window: o.Explore}},
		{"Explore", "/explore/logs", &logs.Page{Site: site, Window: o.Explore}},
		{"Explore", "/explore/traces", &traces.Page{Site: site, Window: o.Explore}},
		{"Explore", "/explore/profiles", &profiles.Page{Site: site, Window: o.Explore}},
		{configurationTitle, "/configuration", &configuration.Page{Site: site, Source: source, Reload: o.Reload, OnDisk: o.OnDisk}},
		{"Support bundle (zip)", support.Path, &support.Page{
			Program: o.Support, Version: o.Version, Redactor: redactor, Source: source, Inventory: o.Inventory, Logger: o.Logger,
			Targets: func() any { return scraped.All() }, Tails: func() any { return tailed.All() },
			Overview: func(r *http.Request) (all, problems any, err error) {
				m, err := first.Model(r)
				return m, m.Problems, err
			},
		}},
	}
}

// more are the pages that say more about a component than its own page does.
func more(staged *stages.Page, tailed *tails.Page) func(id string) []page.Link {
	return func(id string) (links []page.Link) {
		if slices.Contains(staged.Components(), id) {
			links = append(links, page.Link{Path: stages.Path(id), Text: "What each stage does to a line"})
		}
		if n := tailed.Of(id); n > 0 {
			links = append(links, page.Link{Path: "/targets/logs?component=" + url.QueryEscape(id), Text: "What it reads: " + page.Many(n, "log tail")})
		}
		return links
	}
}

// explain is what rules do to inputs, in the form that the Why page wants: no page
// imports another.
func explain(p *relabel.Page) func(func(labels.Labels) bool) []why.Rules {
	return func(matches func(labels.Labels) bool) []why.Rules {
		var out []why.Rules
		for _, e := range p.Explain(matches) {
			r := why.Rules{Component: e.Component, Stream: e.Stream, Kept: e.Kept, Targets: e.Targets, Verdict: e.Verdict, Onward: e.Onward, Path: e.Path}
			for _, o := range e.Origins {
				from := ""
				if o.Rule > 0 {
					from = fmt.Sprintf("%s, rule %d", e.Component, o.Rule)
				}
				r.Origins = append(r.Origins, why.Origin{Name: o.Name, Value: o.Value, From: from})
			}
			out = append(out, r)
		}
		return out
	}
}

// Close ends event streams, which otherwise end only with their clients.
func (u *UI) Close() { u.close() }

// Register adds the UI to mux.
func (u *UI) Register(mux *http.ServeMux) {
	for _, e := range u.pages {
		for _, r := range e.page.Routes() {
			mux.HandleFunc(r.Pattern, func(w http.ResponseWriter, req *http.Request) { u.serve(w, req, e.title, r) })
		}
	}
	mux.HandleFunc("GET /assets/{path...}", u.assets.serve)
	mux.HandleFunc("GET /favicon.ico", u.assets.favicon)
	mux.HandleFunc("/", u.notFound)
}
