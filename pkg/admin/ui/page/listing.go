package page

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"
)

// PerPage is the default number of rows. HTML never has more, so that pages stay
// small; JSON may have up to maxPerPage.
const (
	PerPage    = 200
	maxPerPage = 10000
)

// Listing is which part of a long list to show, and in which order. It comes from
// the query: q filters, sort is a column's key with "-" before it for
// descending, page counts from 1, and per_page is at most 10,000, or 200 on a
// page for a browser.
type Listing struct {
	Query   string
	Sort    string
	Desc    bool
	Page    int
	PerPage int

	path   string
	values url.Values
}

// ParseListing reads a request. sort is the default column to sort by.
func ParseListing(r *http.Request, sort string) Listing {
	values := r.URL.Query()
	l := Listing{Query: strings.TrimSpace(values.Get("q")), path: r.URL.Path, values: values, PerPage: PerPage}
	if s := values.Get("sort"); s != "" {
		sort = s
	}
	l.Sort, l.Desc = strings.CutPrefix(sort, "-")
	page, _ := strconv.Atoi(values.Get("page"))
	l.Page = max(1, page)
	if n, err := strconv.Atoi(values.Get("per_page")); err == nil && n > 0 {
		most := PerPage
		if strings.HasPrefix(l.path, "/api/") {
			most = maxPerPage
		}
		l.PerPage = min(n, most)
	}
	return l
}

// Matches reports whether texts contain all words of the query, ignoring case.
func (l Listing) Matches(texts ...string) bool {
	all := strings.ToLower(strings.Join(texts, "\x00"))
	for word := range strings.FieldsSeq(strings.ToLower(l.Query)) {
		if !strings.Contains(all, word) {
			return false
		}
	}
	return true
}

// Paged is one page of a list.
type Paged[T any] struct {
	Items []T `json:"items"`
	Total int `json:"total"` // that match
	Page  int `json:"page"`
	Pages int `json:"pages"`
}

// Select filters, sorts and pages all, which it may reorder. compare gets the
// column.
func Select[T any](l Listing, all []T, matches func(T) bool, compare func(column string, a, b T) int) Paged[T] {
	items := slices.DeleteFunc(all, func(v T) bool { return !matches(v) })
	slices.SortStableFunc(items, func(a, b T) int {
		if l.Desc {
			a, b = b, a
		}
		return compare(l.Sort, a, b)
	})
	pages := max(1, (len(items)+l.PerPage-1)/l.PerPage)
	page := min(l.Page, pages)
	start := min((page-1)*l.PerPage, len(items))
	p := Paged[T]{Total: len(items), Page: page, Pages: pages, Items: items[start:min(start+l.PerPage, len(items))]}
	if p.Items == nil {
		p.Items = []T{}
	}
	return p
}

// link is the URL of the list with one parameter changed.
func (l Listing) link(s *Site, name, value string) string {
	values := url.Values{}
	for k, v := range l.values {
		values[k] = v
	}
	if name != "page" {
		values.Del("page")
	}
	values.Set(name, value)
	return s.Href(l.path) + "?" + values.Encode()
}

// SearchForm filters the list; more are additional fields.
func (s *Site) SearchForm(l Listing, label string, more ...g.Node) g.Node {
	return h.Form(h.Class("search"), h.Role("search"), h.Method("get"), h.Action(s.Href(l.path)),
		h.Label(h.For("q"), g.Text(label)),
		h.Input(h.ID("q"), h.Name("q"), h.Type("search"), h.Value(l.Query)),
		g.If(l.values.Get("sort") != "", h.Input(h.Type("hidden"), h.Name("sort"), h.Value(l.values.Get("sort")))),
		g.Group(more),
		h.Button(h.Type("submit"), g.Text("Filter")),
	)
}

// SortedTable is a table whose column heads sort the list.
func (s *Site) SortedTable(l Listing, caption string, columns []Column, rows ...g.Node) g.Node {
	var heads []g.Node
	for _, c := range columns {
		var class, order g.Node
		if c.Numeric {
			class = h.Class("n")
		}
		title := g.Text(c.Title)
		if c.Sort != "" {
			key, arrow := c.Sort, ""
			if c.Sort == l.Sort {
				key, arrow, order = "-"+c.Sort, " ↑", g.Attr("aria-sort", "ascending")
				if l.Desc {
					key, arrow, order = c.Sort, " ↓", g.Attr("aria-sort", "descending")
				}
			}
			title = h.A(h.Href(l.link(s, "sort", key)), g.Text(c.Title), h.Span(g.Attr("aria-hidden", "true"), g.Text(arrow)))
		}
		heads = append(heads, h.Th(h.Scope("col"), class, order, title))
	}
	return table(caption, heads, rows)
}

// Pager links to the other pages of a list.
func (s *Site) Pager(l Listing, page, pages, total int) g.Node {
	if pages <= 1 {
		return h.P(h.Class("pager"), g.Text(Count(float64(total))+" total"))
	}
	return h.Nav(h.Class("pager"), g.Attr("aria-label", "Pagination"),
		g.If(page > 1, h.A(h.Rel("prev"), h.Href(l.link(s, "page", strconv.Itoa(page-1))), g.Text("← Previous"))),
		h.Span(g.Textf("Page %d of %d, %s total", page, pages, Count(float64(total)))),
		g.If(page < pages, h.A(h.Rel("next"), h.Href(l.link(s, "page", strconv.Itoa(page+1))), g.Text("Next →"))),
	)
}
