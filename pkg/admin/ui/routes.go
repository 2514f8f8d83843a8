package ui

import (
	"net/http"

	"collector/pkg/explore"
)

// route is one page, and the same as JSON.
type route struct {
	page, api string // patterns of their paths; either may be empty
	model     func(*http.Request) (any, error)
	view      func(*http.Request, any) Page
}

// define makes a route. model collects what is to be shown, with JSON tags, and
// view makes HTML of it.
func define[M any](page, api string, model func(*http.Request) (M, error), view func(*http.Request, M) Page) route {
	return route{
		page: page, api: api,
		model: func(r *http.Request) (any, error) { return model(r) },
		view:  func(r *http.Request, m any) Page { return view(r, m.(M)) },
	}
}

// routes are all pages.
func (u *UI) routes() []route {
	return []route{
		define("/{$}", "/api/v1/overview", u.overviewModel, u.overviewPage),
		define("/graph", "/api/v1/graph", u.graphModel, u.graphPage),
		define("/components", "/api/v1/components", u.componentsModel, u.componentsPage),
		define("/component/{id}", "/api/v1/components/{id}", u.componentModel, u.componentPage),
		define("/configuration", "/api/v1/configuration", u.configurationModel, u.configurationPage),
		define("/targets", "/api/v1/targets", u.targetsModel, u.targetsPage),
		define("/targets/logs", "/api/v1/targets/logs", u.tailsModel, u.tailsPage),
		define("/targets/{component}/{id}", "/api/v1/targets/{component}/{id}", u.targetModel, u.targetPage),
		define("/relabel", "/api/v1/relabel", u.relabelModel, u.relabelPage),
		define("/relabel/{component}/{input}", "/api/v1/relabel/{component}/{input}", u.relabelTraceModel, u.relabelTracePage),
		define("/live", "/api/v1/live", u.liveModel, u.livePage),
		define("/explore", "/api/v1/explore", u.exploreModel, u.explorePage),
		define("/explore/metrics", "/api/v1/explore/metrics", u.metricsModel, u.metricsPage),
		define("/explore/logs", "/api/v1/explore/logs", u.logsModel, u.logsPage),
		define("/explore/traces", "/api/v1/explore/traces", u.tracesModel, u.tracesPage),
		define("/explore/traces/{id}", "/api/v1/explore/traces/{id}", u.wholeTraceModel, u.wholeTracePage),
		define("/explore/profiles", "/api/v1/explore/profiles", u.profilesModel, u.profilesPage),
		define("", "/api/v1/explore/flame", u.flameModel, func(*http.Request, explore.FlameResult) Page { return Page{} }),
	}
}

// section is an entry of the navigation.
type section struct{ name, path string }

func sections() []section {
	return []section{
		{"Overview", "/"},
		{"Graph", "/graph"},
		{"Components", "/components"},
		{"Targets", "/targets"},
		{"Relabel", "/relabel"},
		{"Live", "/live"},
		{"Explore", "/explore"},
		{"Configuration", "/configuration"},
		{"Support bundle (zip)", SupportPath},
	}
}
