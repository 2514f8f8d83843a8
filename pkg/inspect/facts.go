package inspect

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/cause"
	"collector/pkg/suggest"
)

// Labels of a target that is a container.
const (
	containerID    = "__meta_docker_container_id"
	containerLabel = "__meta_docker_container_label_"
	exposedPort    = "__meta_docker_port_private"
)

// Facts are what is known of all containers and of the rules that make targets of
// them: by that, causes name ports, networks and labels. They are for use by one
// goroutine.
type Facts struct {
	containers map[string]*Container
	names      map[string]string // the labels of all containers, as Docker has them, by the names that rules read
	read       []string          // the container labels that rules read, without containerLabel, in their order
	near       map[[2]string]bool
}

// NewFacts makes Facts.
func NewFacts(containers []Container, all []Relabeling) *Facts {
	f := &Facts{containers: make(map[string]*Container, len(containers)), names: map[string]string{}, near: map[[2]string]bool{}}
	for i := range containers {
		f.containers[containers[i].ID] = &containers[i]
	}
	for _, c := range all {
		if c.Targets {
			f.read = append(f.read, readBy(c.Rules)...)
		}
	}
	seen := map[string]bool{}
	for i := range containers {
		for name := range containers[i].Labels {
			if seen[name] {
				continue
			}
			seen[name] = true
			if made := sanitized(name); slices.Contains(f.read, made) {
				f.names[made] = name
			}
		}
	}
	return f
}

// readBy are the container labels that rules read.
func readBy(rules []Rule) []string {
	var read []string
	for _, rule := range rules {
		for _, name := range rule.SourceLabels {
			if name, is := strings.CutPrefix(name, containerLabel); is {
				read = append(read, name)
			}
		}
	}
	return read
}

// sanitized is the name of a container label as a part of a target's label.
func sanitized(name string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			return c
		}
		return '_'
	}, name)
}

// LabelName is how a container's label is written that rules read by a name: as a
// container has it, or in the way that Docker's labels usually have.
func (f *Facts) LabelName(name string) string {
	name = strings.TrimPrefix(name, containerLabel)
	if known := f.names[name]; known != "" {
		return known
	}
	return strings.ReplaceAll(name, "_", ".")
}

// Explain sets the cause of a target's error, and the hint about its address.
func (f *Facts) Explain(t *ScrapeTarget) {
	known := f.target(t)
	t.Hint, t.Mistaken = f.hint(t)
	t.Cause = cause.OfTarget(t.Err, known)
}

// ExplainTo is the cause of another error of a target.
func (f *Facts) ExplainTo(t *ScrapeTarget, err error) cause.Cause {
	return cause.OfTarget(err, f.target(t))
}

func (f *Facts) target(t *ScrapeTarget) cause.Target {
	known := cause.Target{URL: t.URL, Profile: t.Profile}
	c := f.containers[t.Discovered.Get(containerID)]
	if c == nil {
		return known
	}
	known.Name = c.Name
	known.Container, known.Networks = &cause.Container{Ports: c.Ports, Networks: c.Networks}, c.Here
	known.PortLabel, known.PathLabel = f.setting(t, "port"), f.setting(t, "path")
	if t.Profile != "" {
		known.PathLabel = "" // these labels set the path of metrics
	}
	known.Hint, _ = f.hint(t)
	return known
}

// setting is the container label by which the rules set something: one that the
// container has, or else one that goes together with a label that it has.
func (f *Facts) setting(t *ScrapeTarget, what string) string {
	best, rank := "", 0
	for _, name := range f.read {
		family, is := strings.CutSuffix(name, what)
		if !is {
			continue
		}
		now := 1
		switch {
		case t.Discovered.Get(containerLabel+name) != "":
			now = 3
		case family != "" && has(t.Discovered, containerLabel+family):
			now = 2
		}
		if now >= rank { // of several, the last rule decides
			best, rank = name, now
		}
	}
	if best == "" {
		return ""
	}
	return f.LabelName(best)
}

// has reports whether there is a label whose name begins with prefix.
func has(l labels.Labels, prefix string) bool {
	found := false
	l.Range(func(l labels.Label) { found = found || strings.HasPrefix(l.Name, prefix) })
	return found
}

// hint says what is odd about how the port of a container was determined. mistaken means
// that a label is wrong.
func (f *Facts) hint(t *ScrapeTarget) (text string, mistaken bool) {
	u, err := url.Parse(t.URL)
	if err != nil || f.containers[t.Discovered.Get(containerID)] == nil {
		return "", false
	}
	port := u.Port()
	exposed := t.Discovered.Get(exposedPort)
	whence := ""
	switch {
	case exposed == port:
		whence = ", which the container exposes,"
	case exposed == "" && port == "80":
		whence = ", the default,"
	}
	set := false
	for _, name := range f.read {
		value := t.Discovered.Get(containerLabel + name)
		if !strings.HasSuffix(name, "port") || value == "" {
			continue
		}
		if _, err := strconv.ParseUint(value, 10, 16); err != nil {
			return fmt.Sprintf("Its label %s is “%.40s”, which is not a port number, so port %s%s is scraped.", f.LabelName(name), value, port, whence), true
		}
		set = set || value == port
	}
	if exposed == "" && port == "80" && !set {
		return "The container exposes no port and no label sets one, so port 80, the default, is scraped.", false
	}
	return "", false
}

// Typo is a label of a container that was probably meant to be another, for lack of
// which a rule drops the container.
type Typo struct {
	Missing string // as it would be written
	Has     string // as the container has it
}

func (t Typo) String() string {
	return t.Missing + " is missing; this container has " + t.Has + "."
}

// closeBy is how many letters of a label's name may differ.
const closeBy = 2

// Typo finds a label in a list of targets' labels that is nearly one that a rule
// looks for and that is missing.
func (f *Facts) Typo(rule Rule, input labels.Labels) (Typo, bool) {
	if rule.Action != "keep" {
		return Typo{}, false
	}
	var own []string // labels that no rule reads
	input.Range(func(l labels.Label) {
		if name, is := strings.CutPrefix(l.Name, containerLabel); is && !slices.Contains(f.read, name) {
			own = append(own, name)
		}
	})
	for _, wanted := range readBy([]Rule{rule}) {
		if input.Get(containerLabel+wanted) != "" {
			continue
		}
		if i := slices.IndexFunc(own, func(name string) bool { return f.resembles(name, wanted) }); i >= 0 {
			has := f.raw(input, own[i])
			return Typo{Missing: f.like(wanted, has), Has: has}, true
		}
	}
	return Typo{}, false
}

// resembles reports whether name may have been meant to be wanted. Most containers
// have the same labels, which are compared once.
func (f *Facts) resembles(name, wanted string) bool {
	pair := [2]string{name, wanted}
	near, known := f.near[pair]
	if !known {
		near = suggest.Within(closeBy, wanted, []string{name}) != ""
		f.near[pair] = near
	}
	return near
}

// raw is a label of a container as Docker has it.
func (f *Facts) raw(input labels.Labels, name string) string {
	if c := f.containers[input.Get(containerID)]; c != nil {
		for own := range c.Labels {
			if sanitized(own) == name {
				return own
			}
		}
	}
	return strings.ReplaceAll(name, "_", ".")
}

// like is a label's name with the separators that a similar one has.
func (f *Facts) like(name, similar string) string {
	if known := f.names[name]; known != "" {
		return known
	}
	var separators []rune
	for _, c := range similar {
		if sanitized(string(c)) == "_" {
			separators = append(separators, c)
		}
	}
	if strings.Count(name, "_") != len(separators) {
		return f.LabelName(name)
	}
	n := 0
	return strings.Map(func(c rune) rune {
		if c == '_' {
			n++
			return separators[n-1]
		}
		return c
	}, name)
}
