package why

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"collector/pkg/admin/ui/flow"
	"collector/pkg/admin/ui/page"
	"collector/pkg/graph"
	"collector/pkg/inspect"
)

// say adds a text and makes the answer at least as bad as the text.
func (a *Answer) say(kind, format string, args ...any) {
	a.Texts = append(a.Texts, Text{kind, fmt.Sprintf(format, args...)})
	if a.Kind == "" || rank(kind) < rank(a.Kind) {
		a.Kind = kind
	}
}

// advise sets what to do, unless something more urgent comes first.
func (a *Answer) advise(fix string) { a.Fix = cmp.Or(a.Fix, fix) }

func (a *Answer) link(path, text string) { a.Links = append(a.Links, Link{path, text}) }

// maxTexts is how many of many things an answer says.
const maxTexts = 20

func (k *collection) isFlowing() Answer {
	a := Answer{Question: flowing}
	k.scrapesFlow(&a, "Metrics", func(t *target) bool { return t.Profile == "" })
	k.logsFlow(&a)
	k.scrapesFlow(&a, "Profiles", func(t *target) bool { return t.Profile != "" })
	k.pushes(&a)
	for i := range k.ends {
		d := &k.ends[i]
		if i == maxTexts {
			a.say("info", "And %d more destinations.", len(k.ends)-i)
			break
		}
		k.deliveryOf(&a, d)
	}
	if len(k.tails) > 0 && k.page.Logs {
		a.link("/explore/logs?q="+url.QueryEscape(k.name), "Log lines")
	}
	return a
}

// signal is what is scraped, as the beginning of a text.
func (t *target) signal() string {
	if t.Profile != "" {
		return "Profiles"
	}
	return "Metrics"
}

// scraped is what the last scrape gave.
func (t *target) scraped() string {
	if t.Profile != "" {
		return "a profile " + t.Profile
	}
	return page.Count(float64(t.Samples)) + " samples"
}

// scrapesFlow says how the targets of one signal are doing.
func (k *collection) scrapesFlow(a *Answer, signal string, of func(*target) bool) {
	all, up, down := 0, 0, 0
	for i := range k.targets {
		if !of(&k.targets[i]) {
			continue
		}
		all++
		switch k.targets[i].State {
		case "up":
			up++
		case "down":
			down++
		}
	}
	switch {
	case all == 0 && signal == "Profiles": // most containers have none
	case all == 0:
		a.say("info", "%s: none are scraped.", signal)
	case up+down < all:
		a.say("info", "%s: %d of %s up, %d not scraped yet.", signal, up, page.Many(all, "target"), all-up-down)
	case down > 0:
		a.say("bad", "%s: %d of %s up.", signal, up, page.Many(all, "target"))
	default:
		a.say("good", "%s: yes, %d of %s up.", signal, up, page.Many(all, "target"))
	}
}

func (k *collection) logsFlow(a *Answer) {
	reading, lines := 0, uint64(0)
	for i := range k.tails {
		if k.tails[i].Error == "" {
			reading++
		}
		lines += k.tails[i].Lines
	}
	switch {
	case !k.logs:
	case len(k.tails) == 0:
		a.say("info", "Logs: none are read.")
	case reading < len(k.tails):
		a.say("bad", "Logs: %d of %s read, %s so far.", reading, page.Many(len(k.tails), "tail"), flow.Amount(lines, "logs"))
	default:
		a.say("good", "Logs: yes, %s read.", flow.Amount(lines, "logs"))
	}
}

// deliveryOf says how a delivery goes.
func (k *collection) deliveryOf(a *Answer, d *destination) {
	switch {
	case !d.Healthy:
		a.say("bad", "%s", k.deliveryText(d))
		a.advise(k.fixOf(d))
	case stumbles(d):
		a.say("warn", "%s", k.deliveryText(d))
	case d.Stores && d.LastSuccess.IsZero():
		a.say("info", "%s", k.deliveryText(d))
	default:
		a.say("good", "%s", k.deliveryText(d))
	}
}

// stumbles reports whether the last request failed, but the destination has not failed
// for long enough to count as down.
func stumbles(d *destination) bool {
	return d.Healthy && d.Stores && d.LastError != "" && d.LastFailure.After(d.LastSuccess)
}

// deliveryText is how a delivery goes.
func (k *collection) deliveryText(d *destination) string {
	name := d.Component
	if d.URL != "" {
		name += " (" + d.Signal + " to " + d.URL + ")"
	}
	switch {
	case !d.Stores:
		return fmt.Sprintf("%s shows the %s here only; nothing is stored.", name, d.Signal)
	case d.Off:
		return fmt.Sprintf("%s has no endpoint for %s, and drops what is sent to it. %s", name, d.Signal, d.Cause)
	case d.Rejecting:
		return fmt.Sprintf("%s rejects all data: %s. %s.", name, causeOf(d), k.lastDelivery(d))
	case !d.Healthy:
		return fmt.Sprintf("%s is failing: %s. %s.", name, causeOf(d), k.lastDelivery(d))
	case stumbles(d):
		return fmt.Sprintf("The last request of %s failed: %s. %s.", name, causeOf(d), k.lastDelivery(d))
	case !d.UnansweredSince.IsZero():
		return fmt.Sprintf("%s has not answered a request for %s.", name, page.Duration(k.now.Sub(d.UnansweredSince)))
	case d.LastSuccess.IsZero():
		return name + " has delivered nothing yet."
	}
	return fmt.Sprintf("%s delivers: %s, the last %s.", name, flow.Amount(d.Delivered, d.Signal), page.Since(k.now.Sub(d.LastSuccess)))
}

// causeOf is why a destination fails.
func causeOf(d *destination) string {
	text := strings.TrimRight(cmp.Or(d.Cause, firstLine(d.LastError)), ".")
	return cmp.Or(text, "it does not answer")
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return page.Cut(line, 300)
}

func (k *collection) lastDelivery(d *destination) string {
	if d.LastSuccess.IsZero() {
		return "Nothing delivered yet"
	}
	return "Last delivery " + page.Since(k.now.Sub(d.LastSuccess))
}

// longWait is how long data may wait before that is a warning.
const longWait = 5 * time.Minute

func (k *collection) howFarBehind() Answer {
	a := Answer{Question: behind}
	k.latestArrivals(&a)
	for i := range k.tails {
		if t := &k.tails[i]; t.LagSeconds > 0 {
			a.say("warn", "Logs: %s reads %s behind.", t.Component, page.Lag(t.LagSeconds))
		} else {
			a.say("good", "Logs: %s has read everything.", t.Component)
		}
	}
	for i := range k.targets {
		if i == maxTexts {
			break
		}
		t := &k.targets[i]
		if t.LastScrape.IsZero() {
			a.say("info", "%s: %s has not been scraped yet.", t.signal(), t.URL)
			continue
		}
		a.say("good", "%s: %s was scraped %s, every %s.", t.signal(), t.URL, page.Since(k.now.Sub(t.LastScrape)), t.Interval)
	}
	for i := range k.ends {
		if i == maxTexts {
			break
		}
		d := &k.ends[i]
		if d.FullQueue != "" {
			a.say("bad", "%s: %s.", d.Component, strings.TrimRight(d.FullQueue, "."))
			a.advise(k.fixAbout(d, d.FullQueue[1:]))
		}
		if d.Queued == 0 {
			if d.Off {
				a.say("info", "%s: nothing waits, as everything is dropped.", d.Component)
				continue
			}
			a.say("good", "%s: nothing is waiting.", d.Component)
			continue
		}
		kind, oldest := "info", ""
		if !d.OldestQueued.IsZero() {
			wait := k.now.Sub(d.OldestQueued)
			if oldest = ", the oldest for " + page.Duration(wait); wait > longWait || !d.Healthy {
				kind = "warn"
			}
		}
		a.say(kind, "%s: %s waiting (%s)%s.", d.Component, flow.Amount(d.Queued, d.Signal), page.Size(float64(d.QueuedBytes)), oldest)
	}
	if a.Kind == "" {
		a.say("info", "Nothing is collected that could be behind.")
	}
	return a
}

func (k *collection) whereItStops() Answer {
	a := Answer{Question: stops}
	k.stopsAtReceivers(&a)
	if k.life != nil && k.life.Looping {
		a.say("bad", "At the container: %s is in a crash loop: %s.", k.name, loopText(k.life))
		a.advise("Its last log lines say why: docker logs --tail 50 " + k.name + ".")
	} else if !k.running {
		a.say("info", "At the container: %s is not running%s.", k.name, k.endText())
	}
	for i := range k.targets {
		if t := &k.targets[i]; t.State == "down" && i < maxTexts {
			a.say("bad", "At %s, which cannot scrape %s: %s.", t.Component, t.URL, targetCause(t))
			a.advise(cmp.Or(t.Fix, k.fixFor(t.Component)))
		}
	}
	for i := range k.tails {
		if t := &k.tails[i]; t.Error != "" {
			a.say("bad", "At %s, which cannot read the logs: %s.", t.Component, firstLine(t.Error))
			a.advise(k.fixFor(t.Component))
		}
	}
	if len(k.targets) == 0 && k.running {
		for i := range k.rules {
			if r := &k.rules[i]; r.Targets && !r.Kept {
				a.say("info", "Metrics: at %s: %s.", r.Component, r.Verdict)
			}
		}
	}
	for i := range k.ends {
		if d := &k.ends[i]; !d.Healthy && i < maxTexts {
			if d.Off {
				a.say("bad", "At %s, which has no endpoint for %s: %s.", d.Component, d.Signal, causeOf(d))
			} else {
				a.say("bad", "At %s, which cannot deliver to %s: %s.", d.Component, d.URL, causeOf(d))
			}
			a.advise(k.fixOf(d))
			a.link("/component/"+url.PathEscape(d.Component), d.Component)
		}
	}
	for i := range k.ends {
		if d := &k.ends[i]; stumbles(d) && i < maxTexts {
			a.say("warn", "At %s, whose last request to %s failed: %s.", d.Component, d.URL, causeOf(d))
		}
	}
	for _, id := range k.onWay {
		named := slices.ContainsFunc(a.Texts, func(t Text) bool { return strings.HasPrefix(t.Text, "At "+id+",") })
		c := k.components[id]
		if named || c.Health.Derived || c.Health.State != graph.Unhealthy && c.Health.State != graph.Degraded {
			continue // what is derived from destinations and targets has been said
		}
		kind := "bad"
		if c.Health.State == graph.Degraded {
			kind = "warn"
		}
		a.say(kind, "At %s, which is %s: %s.", id, c.Health.State, strings.TrimRight(firstLine(c.Health.Message), "."))
		a.advise(k.fixFor(id))
	}
	if a.Kind == "" {
		a.say("good", "Nowhere.")
	}
	return a
}

// endText is how a container that does not run ended.
func (k *collection) endText() string {
	if k.life == nil || k.life.EndedAt.IsZero() {
		return ""
	}
	text := fmt.Sprintf(": it ended %s with exit code %d", page.Since(k.now.Sub(k.life.EndedAt)), k.life.ExitCode)
	if k.life.Removed {
		text += ", and was removed"
	}
	return text
}

// loopText is how a container restarts.
func loopText(l *inspect.Life) string {
	if l.Ends == 0 {
		return fmt.Sprintf("restarting, exit code %d", l.ExitCode)
	}
	return fmt.Sprintf("restarting, exit code %d, %s in 5 min", l.ExitCode, page.Many(l.Ends, "time"))
}

// targetCause is why a target is down.
func targetCause(t *target) string {
	return strings.TrimRight(cmp.Or(t.Cause, firstLine(t.Error), "it has not answered"), ".")
}

func (k *collection) whyNotCollected() Answer {
	a := Answer{Question: scraped}
	for i := range k.targets {
		if i == maxTexts {
			break
		}
		t := &k.targets[i]
		switch t.State {
		case "up":
			a.say("good", "%s scrapes %s: up, %s.", t.Component, t.URL, t.scraped())
		case "down":
			a.say("bad", "%s scrapes %s, which is down: %s.", t.Component, t.URL, targetCause(t))
			a.advise(cmp.Or(t.Fix, k.fixFor(t.Component)))
		default:
			a.say("info", "%s scrapes %s, which has not been scraped yet.", t.Component, t.URL)
		}
		a.link("/targets/"+url.PathEscape(t.Component)+"/"+url.PathEscape(t.ID), "Target "+t.URL)
	}
	if len(k.targets) == 0 {
		k.whyNotScraped(&a)
	}
	k.whyNotRead(&a)
	return a
}

// whyNotScraped says why there is no target.
func (k *collection) whyNotScraped(a *Answer) {
	switch {
	case k.missing != "":
		a.say("info", "It is not a target of any component: %s.", k.missing)
		return
	case len(k.rules) == 0 && !k.running:
		a.say("info", "It is not scraped: it is not running%s.", k.endText())
		return
	case len(k.rules) == 0:
		a.say("info", "It is not scraped: no component with relabeling rules and no scrape component has it among its targets.")
		return
	}
	said := false
	for i := range k.rules {
		r := &k.rules[i]
		if !r.Targets {
			continue
		}
		if !r.Kept {
			said = true
			a.say("warn", "It is not scraped: in %s, %s.", r.Component, r.Verdict)
			a.link(r.Path, "Rules of "+r.Component)
		}
		for _, o := range r.Onward {
			if !o.Taken && o.Why != "one of its rules drops the target" {
				said = true
				a.say("warn", "%s keeps it, but %s does not use it: %s.", r.Component, o.Component, o.Why)
			}
		}
	}
	if said {
		a.advise("Change the rule, or the container's labels, if you want it scraped.")
		return
	}
	a.say("info", "It is not scraped: its rules keep it, but no scrape component uses the result.")
}

// whyNotRead says how the logs are read, or why not.
func (k *collection) whyNotRead(a *Answer) {
	for i := range k.tails {
		t := &k.tails[i]
		if t.Error != "" {
			a.say("bad", "%s cannot read the logs: %s.", t.Component, firstLine(t.Error))
			a.advise(k.fixFor(t.Component))
			continue
		}
		a.say("good", "%s reads the logs: %s.", t.Component, flow.Amount(t.Lines, "logs"))
	}
	for i := range k.rules {
		if r := &k.rules[i]; r.Stream != "" && !r.Kept {
			a.say("info", "The logs of %s are not sent: in %s, %s.", r.Stream, r.Component, r.Verdict)
			a.link(r.Path, "Rules of "+r.Component+", "+r.Stream)
		}
	}
}

func (k *collection) whichLabels() Answer {
	a := Answer{Question: origins}
	final, of := map[string]string(nil), ""
	switch {
	case len(k.targets) > 0:
		final, of = k.targets[0].Labels, k.targets[0].Component
	case len(k.tails) > 0:
		for _, stream := range slices.Sorted(maps.Keys(k.tails[0].Labels)) {
			if final, of = k.tails[0].Labels[stream], k.tails[0].Component; len(final) > 0 {
				break
			}
		}
	}
	if len(final) == 0 {
		a.say("info", "Nothing is collected that could have labels.")
		return a
	}
	for _, name := range slices.Sorted(maps.Keys(final)) {
		a.Labels = append(a.Labels, Origin{name, final[name], k.originOf(name, final[name], of)})
	}
	a.say("info", "%s of what %s collects:", page.Many(len(a.Labels), "label"), of)
	for i := range k.rules {
		if r := &k.rules[i]; r.Kept && len(r.Origins) > 0 && i < maxTexts {
			title := "Rules of " + r.Component
			if r.Stream != "" {
				title += ", " + r.Stream
			}
			a.link(r.Path, title)
		}
	}
	return a
}

// originOf is where a label comes from: the last rule that set it to what it is.
func (k *collection) originOf(name, value, collector string) string {
	from := ""
	for i := range k.rules {
		r := &k.rules[i]
		if !r.Targets && r.Component != collector {
			continue
		}
		for _, o := range r.Origins {
			if o.Name == name && o.Value == value && (o.From != "" || from == "") {
				from = "discovery"
				if o.From != "" {
					from = o.From
				}
			}
		}
	}
	return cmp.Or(from, collector)
}

func (k *collection) whyDropped() Answer {
	a := Answer{Question: dropped}
	for i := range k.tails {
		if t := &k.tails[i]; t.Dropped > 0 {
			a.say("info", "%s: its rules dropped %s.", t.Component, flow.Amount(t.Dropped, "logs"))
		}
	}
	k.refusedByReceivers(&a)
	k.droppedOnTheWay(&a)
	for i := range k.ends {
		d := &k.ends[i]
		for _, reason := range slices.Sorted(maps.Keys(d.Dropped)) {
			n := d.Dropped[reason]
			if n == 0 || len(a.Texts) >= maxTexts {
				continue
			}
			kind := "bad"
			if reason == "relabelled" || reason == "native_histograms_off" {
				kind = "info" // as configured
			}
			a.say(kind, "%s: %s dropped since the start (reason: %s).", d.Component, flow.Amount(n, d.Signal), reason)
			if kind == "bad" {
				a.advise(k.fixAbout(d, "reason: "+reason))
			}
		}
	}
	if a.Kind == "" {
		a.say("good", "No: nothing was dropped on the way.")
	}
	return a
}

// fixAbout is what the overview says to do about a problem of a destination whose
// message contains a text.
func (k *collection) fixAbout(d *destination, text string) string {
	for _, p := range k.problems {
		if p.Component == d.Component && strings.Contains(p.Message, text) {
			return p.Fix
		}
	}
	return k.fixOf(d)
}
