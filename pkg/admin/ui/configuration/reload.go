package configuration

import (
	"context"
	"net/http"

	"collector/pkg/admin/ui/page"
	"collector/pkg/graph"
)

// reloadPage is the reload button. It redirects to the page, which shows the result.
func (p *Page) reloadPage(w http.ResponseWriter, r *http.Request) error {
	target := "/configuration?reloaded=ok"
	if err := p.reload(r); err != nil {
		target = "/configuration?reloaded=failed"
	}
	http.Redirect(w, r, p.Site.Href(target), http.StatusSeeOther)
	return nil
}

func (p *Page) reloadAPI(w http.ResponseWriter, r *http.Request) error {
	status := http.StatusOK
	if err := p.reload(r); err != nil {
		status = http.StatusBadRequest
	}
	model, _ := p.model(r)
	answer := struct {
		OK          bool         `json:"ok"`
		Error       string       `json:"error,omitempty"`
		Diagnostics []diagnostic `json:"diagnostics"`
	}{OK: status == http.StatusOK, Diagnostics: model.InForce.Diagnostics}
	if model.Failed != nil {
		answer.Error, answer.Diagnostics = model.Failed.Error, model.Failed.Diagnostics
	}
	page.WriteJSON(w, status, answer)
	return nil
}

// reload continues if the client disconnects: it must not stop halfway.
func (p *Page) reload(r *http.Request) error {
	by := "HTTP POST " + r.URL.Path
	if r.URL.Path == reloadButton {
		by = "the Reload button"
	}
	return p.Reload(graph.TriggeredBy(context.WithoutCancel(r.Context()), by+" from "+page.Client(r)))
}
