package docker

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/events"
)

// EndsWindow is how long the exits of a container are remembered, and GoneWindow how long
// a removed container is.
const (
	EndsWindow = 5 * time.Minute
	GoneWindow = 15 * time.Minute
)

const (
	maxEnds = 100 // of one container
	maxGone = 200 // containers
)

// withEnd is ends with one more, without those that are too old.
func withEnd(ends []time.Time, at time.Time) []time.Time {
	first := slices.IndexFunc(ends, func(t time.Time) bool { return at.Sub(t) < EndsWindow })
	if first < 0 {
		first = len(ends)
	}
	first = max(first, len(ends)-maxEnds+1)
	return append(slices.Clone(ends[first:]), at)
}

// EndsSince is how many of the ends are not before t.
func (c *Container) EndsSince(t time.Time) int {
	n := 0
	for _, end := range c.Ends {
		if !end.Before(t) {
			n++
		}
	}
	return n
}

// noteGone remembers a container that was removed, if it has run.
func (s *state) noteGone(c *Container, now time.Time) {
	if !c.Running && c.FinishedAt.IsZero() {
		return
	}
	small := &Container{
		ID: c.ID, Name: c.Name, State: c.State, ExitCode: c.ExitCode, RestartPolicy: c.RestartPolicy,
		StartedAt: c.StartedAt, FinishedAt: c.FinishedAt, Labels: map[string]string{},
	}
	for name, value := range c.Labels {
		if strings.HasPrefix(name, "com.docker.compose.") && len(value) <= 256 {
			small.Labels[name] = value
		}
	}
	if c.Running {
		small.State, small.FinishedAt = "exited", now
	}
	var kept []*Container
	for _, g := range s.past {
		if now.Sub(g.FinishedAt) < GoneWindow && g.ID != c.ID {
			kept = append(kept, g)
		}
	}
	if len(kept) >= maxGone {
		kept = kept[len(kept)-maxGone+1:]
	}
	s.past, s.changed = append(kept, small), true
}

// eventCode is the exit code in an event, or else the previous one.
func eventCode(m *events.Message, before int) int {
	for _, name := range []string{"exitCode", "containerExitCode"} { // Docker's, Podman's
		if code, err := strconv.Atoi(m.Actor.Attributes[name]); err == nil {
			return code
		}
	}
	return before
}

// codeIn is the exit code in a status text, such as "Exited (137) 5 minutes ago" or
// "Restarting (1) 2 seconds ago".
func codeIn(status string) (code int, ok bool) {
	_, rest, opened := strings.Cut(status, " (")
	text, _, closed := strings.Cut(rest, ")")
	if !opened || !closed || !strings.HasPrefix(status, "Exited") && !strings.HasPrefix(status, "Restarting") {
		return 0, false
	}
	code, err := strconv.Atoi(text)
	return code, err == nil
}
