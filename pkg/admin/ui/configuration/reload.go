package configuration

import (
	"context"
	"net/http"

	"collector/pkg/admin/ui/page"
)

// reloadPage is the reload button. It leads back to the page, which says how it
// went.
func (p *Page) reloadPage(w http.ResponseWriter, r *http.Request) error {
	target := "/configuration?reloaded=ok"
	if err := p.reload(r.Context()); err != nil {
		target = "/configuration?reloaded=failed"
	}
	http.Redirect(w, r, p.Site.Href(target), http.StatusSeeOther)
	return nil
}

func (p *Page) reloadAPI(w http.ResponseWriter, r *http.Request) error {
	status := http.StatusOK
	if err := p.reload(r.Context()); err != nil {
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

// reload goes on when the client goes away: it must not end half done.
func (p *Page) reload(ctx context.Context) error {
	return p.Reload(context.WithoutCancel(ctx))
}
