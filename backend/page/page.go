// Package page is the service's web page, which reports its errors and web vitals to the
// collector. Its script faro.js is the part to copy.
package page

import (
	"bytes"
	_ "embed"
	"net/http"
	"net/url"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"
)

var (
	//go:embed faro.js
	faroScript []byte
	//go:embed shop.js
	shopScript []byte
	//go:embed page.css
	style string
)

// Options are what the page is made of.
type Options struct {
	Name, Version string
	// FaroURL is where browsers send telemetry, such as
	// "http://localhost:12347/collect". If it is empty, they send none.
	FaroURL string
}

// Routes returns what is served, by the patterns of http.ServeMux.
func Routes(o Options) map[string]http.Handler {
	// Browsers see to it that the page loads and sends nothing else.
	policy := "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'self'; connect-src 'self'"
	if to, err := url.Parse(o.FaroURL); err == nil && to.Host != "" {
		policy += " " + to.Scheme + "://" + to.Host
	}
	return map[string]http.Handler{
		"GET /shop":         serve("text/html; charset=utf-8", policy, o.render()),
		"GET /shop/faro.js": serve("text/javascript; charset=utf-8", policy, faroScript),
		"GET /shop/shop.js": serve("text/javascript; charset=utf-8", policy, shopScript),
	}
}

func serve(contentType, policy string, body []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Content-Security-Policy", policy)
		_, _ = w.Write(body) // fails only if the client has disconnected
	})
}

func (o Options) render() []byte {
	button := func(id, text string) g.Node { return h.Button(h.ID(id), g.Text(text)) }
	var out bytes.Buffer
	_ = h.Doctype(h.HTML(h.Lang("en"),
		h.Head(
			h.Meta(h.Charset("utf-8")),
			h.Meta(h.Name("viewport"), h.Content("width=device-width, initial-scale=1")),
			h.Link(h.Rel("icon"), h.Href("data:,")),
			h.TitleEl(g.Text("Shop")),
			h.StyleEl(g.Raw(style)),
			h.Script(h.Src("/shop/faro.js"), h.Data("url", o.FaroURL), h.Data("app", o.Name), h.Data("version", o.Version)),
		),
		h.Body(
			h.H1(g.Text("Shop")),
			h.Ul(h.ID("items")),
			h.P(
				button("slow", "Slow report"), button("broken", "Request that fails"),
				button("exception", "Exception"), button("rejection", "Rejected promise"),
			),
			h.P(h.ID("status"), h.Role("status")),
			h.Script(h.Src("/shop/shop.js")),
		),
	)).Render(&out) // a buffer takes everything
	return out.Bytes()
}
