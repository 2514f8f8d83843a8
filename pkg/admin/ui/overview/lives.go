package overview

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"collector/pkg/admin/ui/page"
	"collector/pkg/inspect"
)

// onDiskProblems says that a restart would run another configuration. After a failed
// reload, another notice says so already.
func (s *situation) onDiskProblems() []problem {
	if !s.onDisk || s.loadError != "" {
		return nil
	}
	return []problem{{
		Kind: "warn", Message: "The configuration on disk differs from the running one.",
		Fix: "Reload to apply the changes, or undo them.", Link: "/configuration",
	}}
}

// maxExamples is how many containers a problem names.
const maxExamples = 5

// lifeProblems lists the containers in a crash loop, and those that failed and are no
// longer there.
func (s *situation) lifeProblems() (out []problem) {
	var loops, failed []inspect.Life
	for _, l := range s.lives {
		switch {
		case l.Looping:
			loops = append(loops, l)
		case l.ExitCode != 0 && !stopped(l.ExitCode) && !s.replaced(&l):
			failed = append(failed, l)
		}
	}
	if len(loops) > 0 {
		out = append(out, lifeProblem("bad", loops, "is in a crash loop", "are in a crash loop", loopText))
	}
	if len(failed) > 0 {
		p := lifeProblem("warn", failed, "failed and no longer runs", "failed and no longer run", func(l *inspect.Life) string { return goneText(l, s.now) })
		p.Since = failed[0].EndedAt
		out = append(out, p)
	}
	return out
}

// lifeProblem is one problem of all containers in lives.
func lifeProblem(kind string, lives []inspect.Life, one, many string, text func(*inspect.Life) string) problem {
	first := &lives[0]
	p := problem{
		Kind: kind, Link: "/why?q=" + url.QueryEscape(first.Name),
		Message: fmt.Sprintf("%s %s: %s.", first.Name, one, text(first)),
		Fix:     fmt.Sprintf("Its last log lines say why: docker logs --tail 50 %s.", first.Name),
	}
	if first.Removed {
		p.Fix = "It was removed: its last log lines are at the destination of its logs."
	}
	if len(lives) == 1 {
		return p
	}
	var named []string
	for i := range lives[:min(len(lives), maxExamples)] {
		named = append(named, lives[i].Name+" ("+text(&lives[i])+")")
	}
	if more := len(lives) - maxExamples; more > 0 {
		named = append(named, fmt.Sprintf("and %d more", more))
	}
	p.Message = fmt.Sprintf("%d containers %s: %s.", len(lives), many, strings.Join(named, ", "))
	p.Fix = "Their last log lines say why, for example docker logs --tail 50 " + first.Name + "."
	return p
}

// stopped reports whether an exit code means that the program was asked to stop.
func stopped(code int) bool { return code == 143 || code == 130 }

// loopText is how a container restarts.
func loopText(l *inspect.Life) string {
	if l.Ends == 0 {
		return "restarting, " + exitText(l.ExitCode)
	}
	return fmt.Sprintf("restarting, %s, %s in 5 min", exitText(l.ExitCode), page.Many(l.Ends, "time"))
}

// goneText is how a container ended.
func goneText(l *inspect.Life, now time.Time) string {
	text := exitText(l.ExitCode)
	if !l.EndedAt.IsZero() {
		text += ", " + page.Since(now.Sub(l.EndedAt))
	}
	if l.Removed {
		text += ", removed"
	}
	return text
}

// exitText is an exit code, and what it usually means.
func exitText(code int) string {
	text := fmt.Sprintf("exit code %d", code)
	switch code {
	case 126:
		return text + " (the command is not executable)"
	case 127:
		return text + " (command not found)"
	case 137:
		return text + " (killed; often out of memory)"
	case 139:
		return text + " (segmentation fault)"
	}
	return text
}

// replaced reports whether a container of the same service, or name, has replaced one
// that ended.
func (s *situation) replaced(l *inspect.Life) bool {
	return slices.ContainsFunc(s.containers, func(c inspect.Container) bool {
		return !c.Ended && (c.Name == l.Name || l.Service != "" && c.Project == l.Project && c.Service == l.Service)
	})
}
