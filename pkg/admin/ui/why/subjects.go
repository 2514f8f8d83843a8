package why

import (
	"cmp"
	"net/url"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/admin/ui/page"
	"collector/pkg/admin/ui/redact"
	"collector/pkg/admin/ui/service"
	"collector/pkg/graph"
	"collector/pkg/inspect"
	"collector/pkg/listen"
)

// collection is what the answers about a container or a target are based on.
type collection struct {
	*situation
	name    string
	logs    bool // it may have log lines, too
	life    *inspect.Life
	running bool
	missing string // why no discovery makes a target of it
	rules   []Rules
	targets []target
	tails   []inspect.LogTail
	// receivers are those on the way, or before it.
	receivers []listen.Received
	onWay     []string // the components that handle what is collected of it
	ends      []destination
}

// container is the answers about a container.
func (s *situation) container(c contained) Subject {
	k := &collection{situation: s, name: c.name, logs: true, life: c.life, running: c.running, missing: c.unlisted}
	mine := func(l labels.Labels) bool {
		if c.id != "" && l.Get(redact.ContainerID) != "" {
			return l.Get(redact.ContainerID) == c.id
		}
		return strings.TrimPrefix(l.Get(redact.ContainerName), "/") == c.name
	}
	k.rules = s.page.Explain(mine)
	for i := range s.targets {
		if mine(s.targets[i].Discovered) {
			k.addTarget(&s.targets[i])
		}
	}
	for i := range s.tails {
		if t := &s.tails[i]; t.ID != "" && t.ID == c.id || t.ID == "" && t.Container == c.name {
			k.tails = append(k.tails, s.page.Tail(t))
			k.handledBy(t.Component)
		}
	}
	subject := Subject{What: "container", Name: c.name, Kind: "info", Answers: k.answers()}
	if c.service != "" {
		subject.Of = "service " + service.Name(c.project, c.service)
	}
	return subject
}

// target is the answers about one target.
func (s *situation) target(t *inspect.ScrapeTarget) Subject {
	k := &collection{situation: s, name: s.redaction.NameOf(t.Discovered), running: true}
	id, address := t.Discovered.Get(redact.ContainerID), t.Discovered.Get("__address__")
	k.rules = slices.DeleteFunc(s.page.Explain(func(l labels.Labels) bool {
		if id != "" {
			return l.Get(redact.ContainerID) == id
		}
		return l.Get("__address__") == address && l.Get(redact.ContainerID) == ""
	}), func(r Rules) bool { return !r.Targets })
	k.addTarget(t)
	return Subject{
		What: "target", Name: s.redaction.URL(t.URL), Of: t.Component, Kind: "info", Answers: k.answers(),
		path: "/targets/" + url.PathEscape(t.Component) + "/" + url.PathEscape(t.ID),
	}
}

func (k *collection) addTarget(t *inspect.ScrapeTarget) {
	shown, err := as[target](k.page.Target(t))
	if err != nil {
		return
	}
	k.targets = append(k.targets, shown)
	k.handledBy(t.Component)
}

// handledBy adds a component, and those that data flows to from there.
func (k *collection) handledBy(id string) {
	if slices.Contains(k.onWay, id) {
		return
	}
	k.onWay = append(k.onWay, id)
	for i := range k.destinations {
		if k.destinations[i].Component == id {
			k.ends = append(k.ends, k.destinations[i])
		}
	}
	for _, r := range k.situation.receivers {
		if r.Component == id {
			k.receivers = append(k.receivers, r)
		}
	}
	for _, to := range k.components[id].FlowsTo {
		k.handledBy(to)
	}
}

func (k *collection) answers() []Answer {
	return []Answer{k.isFlowing(), k.howFarBehind(), k.whereItStops(), k.whyNotCollected(), k.whichLabels(), k.whyDropped(), k.whatChanged()}
}

// destination is the answers about a destination.
func (s *situation) destination(d *destination) Subject {
	k := &collection{situation: s, name: d.Component, running: true, ends: []destination{*d}, onWay: []string{d.Component}, receivers: s.receiversOf(d.Component, d.Signal)}
	out := Answer{Question: flowing}
	k.arrivals(&out)
	k.deliveryOf(&out, d)
	name := cmp.Or(d.URL, d.ID, d.Component)
	return Subject{
		What: "destination", Name: name, Of: d.Component + ", " + d.Signal, Kind: "info", path: "/component/" + url.PathEscape(d.Component),
		Answers: []Answer{out, k.howFarBehind(), k.whereItStops(), k.whyDropped(), k.whatChanged()},
	}
}

// component is the answers about any other component.
func (s *situation) component(c graph.ComponentInfo) Subject {
	k := &collection{situation: s, name: c.ID, running: true}
	k.handledBy(c.ID)
	for i := range s.targets {
		if s.targets[i].Component == c.ID {
			k.addTarget(&s.targets[i])
		}
	}
	health := Answer{Question: flowing}
	if c.Health.State == graph.Healthy {
		health.say("good", "%s is healthy.", c.ID)
	} else {
		health.say(page.HealthKind(c.Health.State), "%s is %s: %s.", c.ID, c.Health.State, strings.TrimRight(c.Health.Message, "."))
		health.advise(k.fixFor(c.ID))
	}
	k.arrivals(&health)
	if up, down := k.states(); len(k.targets) > 0 {
		kind := "good"
		if down > 0 {
			kind = "bad"
		}
		health.say(kind, "%d of %s up, %d down.", up, page.Many(len(k.targets), "target"), down)
	}
	for i := range k.ends {
		k.deliveryOf(&health, &k.ends[i])
	}
	return Subject{
		What: "component", Name: c.ID, Kind: "info", path: "/component/" + url.PathEscape(c.ID),
		Answers: []Answer{health, k.howFarBehind(), k.whereItStops(), k.whyDropped(), k.whatChanged()},
	}
}

// states counts the targets that are up and down.
func (k *collection) states() (up, down int) {
	for i := range k.targets {
		switch k.targets[i].State {
		case "up":
			up++
		case "down":
			down++
		}
	}
	return up, down
}

// fixOf is what to do about a destination.
func (s *situation) fixOf(d *destination) string { return cmp.Or(d.Fix, s.fixFor(d.Component)) }

// fixFor is what to do about the worst problem of a component.
func (s *situation) fixFor(component string) string {
	for _, p := range s.problems {
		if p.Component == component {
			return p.Fix
		}
	}
	return ""
}
