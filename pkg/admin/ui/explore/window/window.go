// Package window is what the pages of Explore have in common: tabs, forms, and
// bounds to what is shown.
package window

import (
	"strconv"
	"strings"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"collector/pkg/admin/ui/page"
)

// Content is a page of Explore. If Explore is off, it says how to enable it.
func Content(site *page.Site, tab, title string, enabled bool) page.Content {
	c := page.Content{Title: title, API: "/api/v1/explore"}
	if tab != "" {
		c.API += "/" + tab
	}
	var items []g.Node
	for _, name := range []string{"", "metrics", "logs", "traces", "profiles"} {
		path, text := "/explore", "Window"
		if name != "" {
			path, text = path+"/"+name, strings.ToUpper(name[:1])+name[1:]
		}
		items = append(items, h.Li(h.A(h.Href(site.Href(path)), g.If(name == tab, g.Attr("aria-current", "true")), g.Text(text))))
	}
	c.Body = []g.Node{site.DataStyle(), h.Nav(g.Attr("aria-label", "Explore"), h.Ul(append([]g.Node{h.Class("tabs")}, items...)...))}
	if !enabled {
		c.Still = true
		c.Body = append(c.Body, page.Notice("info",
			g.Text("Explore is off: no recent data is kept. Start with "), h.Code(g.Text("--explore.memory=16MiB")),
			g.Text(" to keep up to 16 MiB of each signal in memory, for as long as "), h.Code(g.Text("--explore.age")), g.Text(" allows. For current data, see "),
			h.A(h.Href(site.Href("/live")), g.Text("Live")), g.Text(".")))
	}
	return c
}

// ErrOff is the error of a model while Explore is off.
const ErrOff = page.NotFound("Explore is off: start with --explore.memory=16MiB.")

// Budget limits the text on a page, in bytes.
type Budget int

// textBudget is how many bytes of external text a page shows.
const textBudget = 120 << 10

// NewBudget is what one page may show.
func NewBudget() Budget { return Budget(textBudget) }

// Cut is s, cut to n bytes and to the budget.
func (b *Budget) Cut(s string, n int) string {
	s = page.Cut(s, min(n, max(int(*b), 80)))
	*b -= Budget(len(s) + 40)
	return s
}

// Left reports whether more may be shown.
func (b *Budget) Left() bool { return *b > 0 }

// MaxPairs is how many labels of one entry are shown.
const MaxPairs = 20

// Percent is a share of 1 in percent, without the sign.
func Percent(share float64) string { return strconv.FormatFloat(100*share, 'f', 2, 64) }
