package why

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"collector/pkg/admin/ui/page"
	"collector/pkg/admin/ui/redact"
	"collector/pkg/admin/ui/service"
	"collector/pkg/inspect"
	"collector/pkg/suggest"
)

// minID is how much of a container's id names it.
const minID = 6

// contained is a container, as far as it is known.
type contained struct {
	id, name, project, service string
	life                       *inspect.Life
	unlisted                   string // why no discovery makes a target of it
	running                    bool
}

// all are all containers that are known, by name.
func (s *situation) all() []contained {
	found := map[string]*contained{}
	get := func(id, name string) *contained {
		key := cmp.Or(id, name)
		if found[key] == nil {
			found[key] = &contained{id: id, name: name}
		}
		return found[key]
	}
	listed := map[string]bool{}
	for _, c := range s.containers {
		k := get(c.ID, c.Name)
		k.project, k.service, k.running = c.Project, c.Service, !c.Ended
		listed[c.Name] = true
	}
	for i := range s.lives {
		l := &s.lives[i]
		k := get(l.ID, l.Name)
		k.project, k.service, k.life = l.Project, l.Service, l
	}
	for i := range s.tails {
		if t := &s.tails[i]; t.Container != "" && t.ID != "" {
			get(t.ID, t.Container)
		}
	}
	names := map[string]*contained{}
	for _, c := range found {
		if before := names[c.name]; before == nil || c.running {
			names[c.name] = c
		}
	}
	for name, why := range s.unlisted {
		switch c := names[name]; {
		case c == nil:
			get("", name).unlisted = why
		case !listed[name]:
			c.unlisted = why
		}
	}
	return slices.SortedFunc(maps.Values(byValue(found)), func(a, b contained) int { return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.id, b.id)) })
}

func byValue(found map[string]*contained) map[string]contained {
	out := map[string]contained{}
	for key, c := range found {
		out[key] = *c
	}
	return out
}

// is reports whether a query names the container, or its service.
func (c *contained) is(query string) bool {
	query = strings.TrimPrefix(query, "/")
	switch query {
	case c.name, c.service, service.Name(c.project, c.service):
		return query != ""
	}
	return len(query) >= minID && strings.HasPrefix(c.id, query)
}

// find finds what a query names: containers, or else targets, destinations and
// components. Each makes its answers when it is called.
func (s *situation) find(query string) []func() Subject {
	var out []func() Subject
	for _, c := range s.all() {
		if c.is(query) {
			out = append(out, func() Subject { return s.container(c) })
		}
	}
	if len(out) > 0 {
		return out
	}
	for i := range s.targets {
		if s.isTarget(&s.targets[i], query) {
			out = append(out, func() Subject { return s.target(&s.targets[i]) })
		}
	}
	for i := range s.destinations {
		if isDestination(&s.destinations[i], query) {
			out = append(out, func() Subject { return s.destination(&s.destinations[i]) })
		}
	}
	for i := range s.receivers {
		if isReceiver(&s.receivers[i], query) {
			out = append(out, func() Subject { return s.receiver(&s.receivers[i]) })
		}
	}
	if len(out) > 0 {
		return out
	}
	if c, ok := s.components[query]; ok {
		out = append(out, func() Subject { return s.component(c) })
	}
	return out
}

// isTarget reports whether a query names a target: by its URL, address, instance,
// name or id, or the job, or the component that scrapes it and its id.
func (s *situation) isTarget(t *inspect.ScrapeTarget, query string) bool {
	address := ""
	if u, err := url.Parse(t.URL); err == nil {
		address = u.Host
	}
	return slices.Contains([]string{s.redaction.URL(t.URL), t.ID, address, t.Labels.Get("instance"), t.Job, s.redaction.NameOf(t.Discovered), t.Component + "/" + t.ID}, query)
}

// isDestination reports whether a query names a destination: by its component, URL, id,
// host or signal.
func isDestination(d *destination, query string) bool {
	host, name := "", ""
	if u, err := url.Parse(d.URL); err == nil {
		host, name = u.Host, u.Hostname()
	}
	return slices.Contains([]string{d.Component, d.URL, d.ID, host, name, d.Signal}, query)
}

// names is what one may ask for: containers, destinations and targets that belong to no
// container.
func (s *situation) names() []string {
	found := map[string]bool{}
	for _, c := range s.all() {
		found[c.name] = true
		if c.service != "" {
			found[service.Name(c.project, c.service)] = true
		}
	}
	for i := range s.destinations {
		found[s.destinations[i].Component] = true
	}
	for i := range s.receivers {
		found[s.receivers[i].Component] = true
	}
	for i := range s.targets {
		if s.targets[i].Discovered.Get(redact.ContainerID) == "" {
			found[s.redaction.URL(s.targets[i].URL)] = true
		}
	}
	delete(found, "")
	return slices.Sorted(maps.Keys(found))
}

// maxSuggested is how many names an error lists.
const maxSuggested = 8

// unknown is the error for a name that matches nothing.
func (s *situation) unknown(query string) error {
	names := s.names()
	text := fmt.Sprintf("No container, service, target, receiver, destination or component is called %q", page.Cut(query, 200))
	if near := suggest.Nearest(query, append(names, slices.Sorted(maps.Keys(s.components))...)); near != "" {
		return page.NotFound(text + fmt.Sprintf("; did you mean %q?", near))
	}
	var part []string
	for _, name := range names {
		if strings.Contains(strings.ToLower(name), strings.ToLower(query)) && len(part) < maxSuggested {
			part = append(part, name)
		}
	}
	if len(part) > 0 {
		return page.NotFound(text + "; these contain it: " + strings.Join(part, ", ") + ".")
	}
	return page.NotFound(text + ". A container is known if it exists now, or was started while the collector was running.")
}
