package overview

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"collector/pkg/admin/ui/redact"
	"collector/pkg/explore"
	"collector/pkg/inspect"
)

// Service is what is collected from one service of a Compose project, or from a
// container outside Compose.
type Service struct {
	Project    string `json:"project"` // "" for a container outside Compose
	Service    string `json:"service"` // or the container's name
	Containers int    `json:"containers"`
	Targets    int    `json:"targets"`
	TargetsUp  int    `json:"targetsUp"`
	Tails      int    `json:"tails"`
	Reading    int    `json:"tailsReading"`
	// Traces and Profiles are known only while Explore is on, by service name: if
	// Ambiguous, they may belong to another project.
	Traces    bool `json:"traces"`
	Profiles  bool `json:"profiles"`
	Ambiguous bool `json:"ambiguous,omitempty"` // another project has a service of this name
	// Looping is how many of its containers restart again and again.
	Looping int `json:"looping,omitempty"`
	// Ended is how its last container ended, if none runs any more.
	Ended *inspect.Life `json:"ended,omitempty"`

	loop *inspect.Life // the one of its containers that restarts most often
}

// failing reports whether something about the service needs attention.
func (s *Service) failing() bool {
	return s.TargetsUp < s.Targets || s.Reading < s.Tails || s.Looping > 0 || s.Ended != nil && s.Ended.ExitCode != 0 && !stopped(s.Ended.ExitCode)
}

// tailReading is the state of a healthy tail.
const tailReading = "reading"

// services groups the containers by project and service.
func (p *Page) services(ctx context.Context, s *situation) []Service {
	found, of := map[serviceKey]*Service{}, map[string]*Service{}
	get := func(project, service, name string) *Service {
		k := serviceKey{project, cmp.Or(service, name)}
		if found[k] == nil {
			found[k] = &Service{Project: k.project, Service: k.service}
		}
		return found[k]
	}
	for _, c := range s.containers {
		if !c.Ended {
			of[c.ID] = get(c.Project, c.Service, c.Name)
			of[c.ID].Containers++
		}
	}
	for i := range s.targets {
		if info := of[s.targets[i].Discovered.Get(redact.ContainerID)]; info != nil {
			info.Targets++
			info.TargetsUp += count(s.targets[i].State == "up")
		}
	}
	for i := range s.tails {
		if info := of[s.tails[i].ID]; info != nil {
			info.Tails++
			info.Reading += count(s.tails[i].State == tailReading && s.tails[i].Error == "")
		}
	}
	for i := range s.lives {
		get(s.lives[i].Project, s.lives[i].Service, s.lives[i].Name).live(&s.lives[i])
	}
	named := map[string]int{}
	for k := range found {
		named[k.service]++
	}
	traces, profiles := p.seenServices(ctx)
	out := make([]Service, 0, len(found))
	for _, info := range found {
		info.Traces, info.Profiles, info.Ambiguous = traces[info.Service], profiles[info.Service], named[info.Service] > 1
		out = append(out, *info)
	}
	slices.SortFunc(out, func(a, b Service) int {
		return cmp.Or(cmp.Compare(count(a.Project == ""), count(b.Project == "")), strings.Compare(a.Project, b.Project), strings.Compare(a.Service, b.Service))
	})
	return out
}

type serviceKey struct{ project, service string }

// live adds the restarts or the end of one of the service's containers.
func (s *Service) live(l *inspect.Life) {
	switch {
	case l.Looping:
		s.Looping++
		if s.loop == nil || l.Ends > s.loop.Ends {
			s.loop = l
		}
	case s.Containers == 0 && (s.Ended == nil || s.Ended.EndedAt.Before(l.EndedAt)):
		s.Ended = l
	}
}

// seenServices are the services with traces and profiles in the Explore window.
func (p *Page) seenServices(ctx context.Context) (traces, profiles map[string]bool) {
	traces, profiles = map[string]bool{}, map[string]bool{}
	if p.Window == nil {
		return traces, profiles
	}
	ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond) // else the page does without
	defer cancel()
	found, _ := p.Window.Traces(ctx, explore.TraceQuery{Limit: 500})
	for _, t := range found {
		traces[t.Service] = true
	}
	services, _ := p.Window.ProfileServices(ctx)
	for name := range maps.Keys(services) {
		profiles[name] = true
	}
	return traces, profiles
}

// count is 1 for true and 0 for false.
func count(yes bool) int {
	if yes {
		return 1
	}
	return 0
}
