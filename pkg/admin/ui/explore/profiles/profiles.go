// Package profiles is the page of the profiles in the Explore window.
package profiles

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"collector/pkg/admin/ui/explore/window"
	"collector/pkg/admin/ui/page"
	"collector/pkg/explore"
)

// Page is the profiles in the window.
type Page struct {
	Site   *page.Site
	Window *explore.Window // nil if it is off
}

// Routes are the paths of the page.
func (p *Page) Routes() []page.Route {
	return append(page.Both("GET /explore/profiles", "GET /api/v1/explore/profiles", p.model, p.view),
		page.Both[explore.FlameResult]("", "GET /api/v1/explore/flame", p.flameModel, nil)...)
}

// result is what profiles there are of a service, and what the functions
// of one type of them take.
type result struct {
	Enabled  bool                `json:"enabled"`
	Services map[string][]string `json:"services"` // the types of each
	Service  string              `json:"service"`
	Type     string              `json:"type"`
	Unit     string              `json:"unit"`
	// Total is the sum of Merged profiles.
	Total  int64 `json:"total"`
	Merged int   `json:"merged"`
	// Cut: there was too much to merge all of it.
	Cut       bool               `json:"cut,omitempty"`
	Functions []explore.Function `json:"functions"`
	Profiles  []explore.Profile  `json:"profiles"`
	Notes     []string           `json:"notes,omitempty"`
}

// profileQuery reads a query. Service and type default to existing ones.
func profileQuery(values url.Values, services map[string][]string) explore.ProfileQuery {
	q := explore.ProfileQuery{Service: values.Get("service"), Type: values.Get("type"), Labels: window.Labels(values)}
	q.Since, q.Until = window.TimeSpan(values)
	if names := slices.Sorted(maps.Keys(services)); q.Service == "" && len(names) > 0 {
		q.Service = names[0]
	}
	if types := services[q.Service]; q.Type == "" && len(types) > 0 {
		q.Type = types[0]
		for _, likely := range []string{"cpu", "samples"} {
			if slices.Contains(types, likely) {
				q.Type = likely
				break
			}
		}
	}
	return q
}

func (p *Page) model(r *http.Request) (result, error) {
	v := result{Services: map[string][]string{}, Functions: []explore.Function{}, Profiles: []explore.Profile{}}
	w := p.Window
	if w == nil {
		return v, nil
	}
	v.Enabled = true
	var err error
	if v.Services, err = w.ProfileServices(r.Context()); err != nil {
		return v, err
	}
	q := profileQuery(r.URL.Query(), v.Services)
	v.Service, v.Type = q.Service, q.Type
	services := slices.Sorted(maps.Keys(v.Services))
	v.Notes = window.Notes(r.URL.Query(), page.Filters{"service": append([]string{}, services...), "type": append([]string{}, v.Services[q.Service]...), "label": nil, "range": nil, "since": nil, "until": nil})
	if v.Profiles, err = w.Profiles(r.Context(), explore.ProfileQuery{Service: q.Service, Labels: q.Labels, Since: q.Since, Until: q.Until}); err != nil {
		return v, err
	}
	flame, err := w.Flame(r.Context(), q)
	if errors.Is(err, explore.ErrNoProfile) {
		return v, nil
	}
	if err != nil {
		return v, err
	}
	v.Unit, v.Total, v.Merged, v.Functions, v.Cut = flame.Unit, flame.Root.Value, flame.Profiles, flame.Functions, flame.Cut
	return v, nil
}

// flameModel is the tree of the flame graph.
func (p *Page) flameModel(r *http.Request) (explore.FlameResult, error) {
	w := p.Window
	if w == nil {
		return explore.FlameResult{}, window.ErrOff
	}
	services, err := w.ProfileServices(r.Context())
	if err != nil {
		return explore.FlameResult{}, err
	}
	flame, err := w.Flame(r.Context(), profileQuery(r.URL.Query(), services))
	if errors.Is(err, explore.ErrNoProfile) {
		err = page.NotFound("No profiles of this type in the window.")
	}
	return flame, err
}
