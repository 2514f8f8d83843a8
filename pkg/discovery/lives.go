package discovery

import (
	"strings"
	"time"

	"collector/pkg/docker"
	"collector/pkg/inspect"
)

// minLoop is how often a container has to exit within a few minutes to count as
// restarting again and again.
const minLoop = 3

// Lives are the containers that restart again and again, and those that ended in the
// last minutes, of those that the component's filters let through.
func (d *Docker) Lives() []inspect.Life {
	snap, _ := d.engine.Snapshot()
	now := time.Now()
	listed := map[string]bool{}
	if !d.filters.local() { // whose answer is of containers that run
		targets, _ := d.set.Targets()
		for _, t := range targets {
			listed[t.Get(metaContainer+"id")] = true
		}
	}
	var out []inspect.Life
	add := func(c *docker.Container, removed bool) {
		if c.Name == "" || !d.filters.matchIdentity(c) || !d.filters.local() && !listed[c.ID] {
			return
		}
		if l := lifeOf(c, now); l.Looping || removed || !l.EndedAt.IsZero() {
			l.Removed = removed
			out = append(out, l)
		}
	}
	for _, c := range snap.Containers {
		add(c, false)
	}
	for _, c := range snap.Gone {
		if now.Sub(c.FinishedAt) < docker.GoneWindow {
			add(c, true)
		}
	}
	return out
}

// lifeOf is a container's recent history. It has an end only if that was in the last
// minutes.
func lifeOf(c *docker.Container, now time.Time) inspect.Life {
	const compose = "com.docker.compose."
	l := inspect.Life{
		ID: c.ID, Name: strings.TrimPrefix(c.Name, "/"), Project: c.Labels[compose+"project"], Service: c.Labels[compose+"service"],
		ExitCode: c.ExitCode, Ends: c.EndsSince(now.Add(-docker.EndsWindow)),
	}
	restarts := c.RestartPolicy != "" && c.RestartPolicy != "no"
	l.Looping = c.State == "restarting" || l.Ends >= minLoop && (restarts || c.ExitCode != 0)
	if !c.Running && !c.FinishedAt.Before(c.StartedAt) && now.Sub(c.FinishedAt) < docker.GoneWindow {
		l.EndedAt = c.FinishedAt
	}
	return l
}
