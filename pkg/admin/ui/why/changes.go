package why

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"collector/pkg/admin/ui/page"
	"collector/pkg/graph"
)

// maxChanges is how many loads and changes of health an answer lists.
const maxChanges = 3

// whatChanged lists what happened to the container, the loads of the configuration that
// affected components on its path, and the changes of these components' health.
func (k *collection) whatChanged() Answer {
	a := Answer{Question: changed}
	if l := k.life; l != nil && l.Ends > 0 {
		a.say("info", "The container ended %s in the last 5 min, the last time with exit code %d.", page.Many(l.Ends, "time"), l.ExitCode)
	}
	for _, id := range k.onWay {
		k.healthChanges(&a, id)
	}
	told := 0
	for i := range k.history {
		l := &k.history[i]
		text, affects := k.loadText(l)
		if !affects && (i > 0 || l.By == "start") {
			continue
		}
		if told++; told > maxChanges {
			break
		}
		kind := "info"
		if l.Error != "" {
			kind = "warn"
		}
		a.say(kind, "%s", text)
	}
	if len(k.history) > 0 {
		a.link("/configuration#history", "History of the configuration")
	}
	if a.Kind == "" {
		a.say("good", "Nothing since the start.")
	}
	return a
}

// healthChanges lists how the health of a component has changed.
func (k *collection) healthChanges(a *Answer, id string) {
	info, ok := k.page.Source.Component(id)
	if !ok || len(info.History) < 2 || len(a.Texts) >= maxTexts {
		return
	}
	last := info.History[len(info.History)-1]
	before := info.History[len(info.History)-2]
	if before.State == graph.Unknown && last.State == graph.Healthy {
		return // its start
	}
	text := fmt.Sprintf("%s has been %s for %s; before that, it was %s", id, last.State, page.Duration(k.now.Sub(last.UpdatedTime)), before.State)
	if before.State == graph.Unhealthy {
		text += " (" + strings.TrimRight(firstLine(before.Message), ".") + ")"
	}
	a.say("info", "%s.", text)
	a.link("/component/"+url.PathEscape(id), id)
}

// loadText describes a load, and says whether it affected a component on the path.
func (k *collection) loadText(l *graph.Loading) (text string, affects bool) {
	text = fmt.Sprintf("The configuration was loaded %s by %s", page.Since(k.now.Sub(l.At)), l.By)
	if l.Error != "" {
		return fmt.Sprintf("A load of the configuration %s by %s failed; the previous configuration keeps running", page.Since(k.now.Sub(l.At)), l.By) + ".", false
	}
	added, removed := 0, 0
	for _, f := range l.Files {
		added, removed = added+f.Added, removed+f.Removed
	}
	if added+removed > 0 {
		text += fmt.Sprintf(": %s, +%d −%d lines", page.Many(len(l.Files), "file"), added, removed)
	}
	mine := slices.DeleteFunc(slices.Concat(l.Rebuilt, l.Added), func(id string) bool { return !slices.Contains(k.onWay, id) })
	switch {
	case l.By == "start":
		return text + ".", false
	case len(mine) > 0:
		text += "; rebuilt: " + strings.Join(mine[:min(len(mine), 5)], ", ")
	default:
		text += "; no component that this data passes was rebuilt"
	}
	return text + ".", len(mine) > 0
}
