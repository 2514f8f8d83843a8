// Package explore is the page that says how full the window of recent data is.
package explore

import (
	"net/http"
	"strings"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"collector/pkg/admin/ui/explore/window"
	"collector/pkg/admin/ui/page"
	"collector/pkg/explore"
)

// Page is how full the window is.
type Page struct {
	Site   *page.Site
	Window *explore.Window // nil if it is off
}

// Routes are the paths of the page.
func (p *Page) Routes() []page.Route {
	return page.Both("GET /explore", "GET /api/v1/explore", p.model, p.view)
}

// fill is how full the window of recent data is.
type fill struct {
	Enabled bool            `json:"enabled"`
	MaxAge  time.Duration   `json:"maxAgeNs"`
	Signals []explore.Stats `json:"signals"`
}

func (p *Page) model(r *http.Request) (v fill, err error) {
	v.Signals = []explore.Stats{}
	if w := p.Window; w != nil {
		v.Enabled, v.MaxAge = true, w.MaxAge()
		v.Signals, err = w.Stats(r.Context())
	}
	return v, err
}

func (p *Page) view(_ *http.Request, v fill) page.Content {
	c := window.Content(p.Site, "", "Explore", v.Enabled)
	if !v.Enabled {
		return c
	}
	var rows []g.Node
	for _, s := range v.Signals {
		name := s.Signal.String()
		full := float64(s.Bytes) / float64(max(s.Limit, 1))
		rows = append(rows, page.Row(
			h.A(h.Href(p.Site.Href("/explore/"+name)), g.Text(strings.ToUpper(name[:1])+name[1:])),
			page.Num(page.Count(float64(s.Items))+" "+keptUnit(name)),
			g.Group{meter(full, "fill level"), g.Text(" " + page.Size(float64(s.Bytes)) + " of " + page.Size(float64(s.Limit)))},
			page.Ago(s.Oldest), page.Num(page.Count(float64(s.Skipped))),
		))
	}
	columns := []page.Column{{Title: "Signal"}, {Title: "Kept", Numeric: true}, {Title: "Memory"}, {Title: "Oldest"}, {Title: "Skipped", Numeric: true}}
	c.Body = append(c.Body,
		h.P(h.Class("dim"), g.Text("Recent data, held in memory for up to "+page.Duration(v.MaxAge)+" and within the limits below. A restart clears it.")),
		page.Table("Window contents", columns, rows...),
		h.P(h.Class("dim"), g.Text("Skipped data was not kept: it came too fast, did not fit, or could not be decoded. It was still delivered.")))
	return c
}

// keptUnit is what is counted of a signal in the window.
func keptUnit(signal string) string {
	return map[string]string{"metrics": "series", "logs": "lines", "traces": "traces", "profiles": "profiles"}[signal]
}

// meter is a bar; share is from 0 to 1.
func meter(share float64, label string) g.Node {
	return h.Meter(h.Min("0"), h.Max("100"), h.Value(window.Percent(share)), g.Attr("aria-label", label))
}
