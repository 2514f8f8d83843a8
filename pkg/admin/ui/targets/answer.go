package targets

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"collector/pkg/admin/ui/page"
	"collector/pkg/cause"
	"collector/pkg/inspect"
)

// Answer is a target's response to a fetch.
type Answer struct {
	Target   Target            `json:"target"`
	Response *inspect.Response `json:"response,omitempty"`
	Error    string            `json:"error,omitempty"` // why there is no response
	// Cause is why there is none, or why a scrape would fail with it, in words; Fix is
	// what to do about it.
	Cause     string     `json:"cause,omitempty"`
	Fix       string     `json:"fix,omitempty"`
	CauseKind cause.Kind `json:"causeKind,omitempty"`
}

const (
	// maxAsking is how many fetches may run at once.
	maxAsking = 4
	// maxAsks is how many fetches are allowed in askWindow, for all users together:
	// whoever reaches the UI can make the collector send requests.
	maxAsks   = 30
	askWindow = 10 * time.Second
)

// askRate limits fetches.
type askRate struct {
	mu    sync.Mutex
	since time.Time // guarded by mu; when the window under way began
	asks  int       // guarded by mu; since then
}

// admit reports whether a fetch is allowed now.
func (a *askRate) admit(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.since.IsZero() || now.Sub(a.since) >= askWindow {
		a.since, a.asks = now, 0
	}
	a.asks++
	return a.asks <= maxAsks
}

// ask fetches a target for a person. It has to be a scrape target: nobody can make
// the collector fetch anything else.
func (p *Page) ask(r *http.Request) (Answer, error) {
	t, err := p.targetModel(r)
	if err != nil {
		return Answer{}, err
	}
	defer p.asking.Add(-1)
	if p.asking.Add(1) > maxAsking {
		return Answer{Target: t, Error: "too many fetches are in progress: try again in a moment"}, nil
	}
	if !p.asked.admit(time.Now()) {
		return Answer{Target: t, Error: fmt.Sprintf("%d fetches in the last %s, which is the limit: try again in a moment", maxAsks, askWindow)}, nil
	}
	answer, found, err := p.Inventory.Fetch(r.Context(), t.Component, t.ID)
	if !found {
		return Answer{}, page.NotFound("This target no longer exists.")
	}
	v, m := p.Redactor.Current(), Answer{Target: t}
	why := answer.Cause
	if err != nil {
		m.Error = v.URL(err.Error())
		if known := (*cause.Explained)(nil); errors.As(err, &known) {
			why = known.Cause
		}
	} else {
		m.Response = &answer
	}
	m.Cause, m.Fix, m.CauseKind = v.URL(why.Text), v.URL(why.Fix), why.Kind
	return m, nil
}

func (p *Page) answerView(_ *http.Request, m Answer) page.Content {
	t := m.Target
	body := []g.Node{h.P(h.A(h.Href(p.Site.TargetHref(t.Component, t.ID)), g.Text("Back to the target")))}
	switch {
	case m.Error != "" || m.Cause != "":
		body = append(body, page.Failure(m.Cause, m.Fix, m.Error))
	case m.Response != nil && !m.Response.Truncated:
		good := "These are metrics that a scrape can read."
		if m.Response.Profile {
			good = "This is a profile that a scrape can read."
		}
		body = append(body, page.Notice("good", g.Text(good)))
	}
	if a := m.Response; a != nil {
		text, cut := fitting(a.Body, maxAnswer)
		body = append(body, page.Facts(
			page.Fact("status", page.Badge(map[bool]string{true: "good", false: "bad"}[strings.HasPrefix(a.Status, "200") && m.Cause == ""], page.Cut(a.Status, 200))),
			g.If(a.Location != "", page.Fact("redirects to", h.Code(g.Text(page.Cut(a.Location, 500))), g.Text(" (not followed)"))),
			page.Fact("content type", h.Code(g.Text(page.Cut(cmp.Or(a.ContentType, "none"), 200)))),
			page.Fact("duration", g.Text(page.Duration(a.Took))),
			page.Fact("size", g.Text(page.Size(float64(len(a.Body)))), g.If(a.Truncated, g.Text(" (truncated)"))),
		), h.Pre(h.TabIndex("0"), g.Attr("aria-label", "Response body"), g.Text(text)))
		if cut {
			body = append(body, page.Notice("info", g.Text("Only the beginning is shown. "), h.Form(h.Method("post"), h.Action(p.Site.Href("/api/v1/targets/"+url.PathEscape(t.Component)+"/"+t.ID+"/response")),
				h.Button(h.Type("submit"), g.Text("Fetch again as JSON, in full")))))
		}
	}
	body = append(body, h.Form(h.Method("post"), h.Action(p.Site.TargetHref(t.Component, t.ID)+"/response"), h.Button(h.Type("submit"), g.Text("Fetch again"))))
	return page.Content{Title: "Response of " + page.Cut(t.Name, 100), Still: true, Body: body}
}

// maxAnswer is the maximum size of a response as HTML, in bytes.
const maxAnswer = 400 << 10

// fitting is the beginning of text that takes at most limit bytes as HTML.
func fitting(text string, limit int) (beginning string, cut bool) {
	size := 0
	for i, c := range text {
		switch c {
		case '<', '>', '&', '"', '\'':
			size += 5
		default:
			size += 4
			if c < 0x80 {
				size -= 3
			}
		}
		if size > limit {
			return text[:i], true
		}
	}
	return text, false
}
