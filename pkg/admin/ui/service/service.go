// Package service filters lists by the service of a Compose project that a container
// belongs to. A container outside Compose is a service of its name, in no project.
package service

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"collector/pkg/admin/ui/page"
	"collector/pkg/inspect"
)

// The parameters of a query.
const (
	projectParameter = "project"
	serviceParameter = "service"
)

// Query is the query of a list of what belongs to a service, or to a whole project if
// service is empty. An empty project selects the containers outside Compose.
func Query(project, service string) string {
	values := url.Values{projectParameter: {project}}
	if service != "" {
		values.Set(serviceParameter, service)
	}
	return values.Encode()
}

// Name is how people call a service.
func Name(project, service string) string {
	if project == "" {
		return service
	}
	return project + "/" + service
}

// Of is the service that a container belongs to.
func Of(c *inspect.Container) string { return cmp.Or(c.Service, c.Name) }

// Filter selects what belongs to a service or a project. The zero Filter selects all.
type Filter struct {
	on      bool
	inAny   bool // whatever the project
	project string
	service string
	ids     map[string]bool
	names   map[string]bool
}

// Parse reads a request.
func Parse(r *http.Request, containers func() []inspect.Container) Filter {
	values := r.URL.Query()
	f := Filter{project: values.Get(projectParameter), service: values.Get(serviceParameter), inAny: !values.Has(projectParameter)}
	if f.on = !f.inAny || f.service != ""; !f.on {
		return f
	}
	f.ids, f.names = map[string]bool{}, map[string]bool{}
	for _, c := range containers() {
		if (f.inAny || c.Project == f.project) && (f.service == "" || Of(&c) == f.service) {
			f.ids[c.ID], f.names[c.Name] = true, true
		}
	}
	return f
}

// Has reports whether it selects the container with this ID.
func (f *Filter) Has(id string) bool { return !f.on || f.ids[id] }

// HasName is Has for the name of a container that no discovery lists: of a service, its
// name begins as Compose makes it.
func (f *Filter) HasName(name string) bool {
	return !f.on || f.names[name] || f.service != "" && (name == f.service || f.project != "" && strings.HasPrefix(name, f.project+"-"+f.service+"-"))
}

// On reports whether it selects less than all.
func (f *Filter) On() bool { return f.on }

// text is what it selects.
func (f *Filter) text() string {
	switch {
	case f.service != "" && (f.inAny || f.project == ""):
		return "service " + f.service
	case f.service != "":
		return "service " + f.service + " of project " + f.project
	case f.project == "":
		return "containers outside Compose"
	}
	return "project " + f.project
}

// Notes says so if it matches no container that is known.
func (f *Filter) Notes() []string {
	if !f.on || len(f.ids) > 0 {
		return nil
	}
	return []string{"No running container belongs to the " + page.Cut(f.text(), 200) + "."}
}

// Node says what is selected, with a link to everything, and keeps it in the form
// that it is a part of.
func (f *Filter) Node(site *page.Site, r *http.Request) g.Node {
	if !f.on {
		return nil
	}
	values := r.URL.Query()
	values.Del(projectParameter)
	values.Del(serviceParameter)
	values.Del("page")
	return h.P(g.Text("Only: "), h.A(h.Class("label"), h.Href(site.Href(r.URL.Path+"?"+values.Encode())),
		g.Attr("aria-label", "Remove the filter "+f.text()), g.Text(page.Cut(f.text(), 200)+" ✕")))
}

// Fields keep the filter when a form is submitted.
func (f *Filter) Fields() g.Node {
	if !f.on {
		return nil
	}
	return g.Group{
		g.If(!f.inAny, h.Input(h.Type("hidden"), h.Name(projectParameter), h.Value(f.project))),
		g.If(f.service != "", h.Input(h.Type("hidden"), h.Name(serviceParameter), h.Value(f.service))),
	}
}
