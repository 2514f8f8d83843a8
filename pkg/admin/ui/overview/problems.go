package overview

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"collector/pkg/admin/ui/flow"
	"collector/pkg/admin/ui/page"
	"collector/pkg/admin/ui/redact"
	"collector/pkg/graph"
	"collector/pkg/inspect"
	"collector/pkg/mask"
)

// problem is something that is wrong, and how to mend it.
type problem struct {
	Kind      string    `json:"kind"` // bad, or warn where nothing is lost yet
	Component string    `json:"component,omitempty"`
	Message   string    `json:"message"`
	Mend      string    `json:"mend"`
	Link      string    `json:"link,omitempty"` // a page that says more, without the prefix
	Since     time.Time `json:"since,omitzero"`
	// everywhere tells that every page says so on top, see loadFailure.
	everywhere bool
}

// situation is how everything is at one moment.
type situation struct {
	now          time.Time
	redaction    *redact.Redaction
	loadError    string
	components   []graph.ComponentInfo
	destinations []flow.Destination
	targets      []inspect.ScrapeTarget
	tails        []inspect.LogTail
	engines      []inspect.Engine
	orphans      []flow.OrphanedQueue
	nowhere      bool // nothing that runs has a destination
}

// problems are what is wrong, the worst first. Each cause stands there once:
// what a component says of itself is left out where the cause has been named.
func (s *situation) problems() []problem {
	out := []problem{}
	if s.loadError != "" {
		out = append(out, problem{
			Kind: "bad", Message: "The last reload failed, so the configuration before it runs on: " + mask.WithoutPasswords(firstLine(s.loadError)),
			Mend: "Mend the configuration at the lines that the page Configuration shows, and reload.", Link: "/configuration",
			everywhere: true,
		})
	}
	if s.nowhere {
		out = append(out, problem{
			Kind: "warn", Message: "Nothing is collected: no destination is set.",
			Mend: "Set one of the environment variables COLLECTOR_METRICS_URL, COLLECTOR_LOGS_URL, COLLECTOR_TRACES_ENDPOINT and COLLECTOR_PROFILES_URL, or write a configuration (collector default-config prints one to start from).",
			Link: "/configuration",
		})
	}
	out = append(out, s.engineProblems()...)
	for i := range s.destinations {
		out = append(out, destinationProblems(&s.destinations[i], s.now)...)
	}
	for i := range s.orphans {
		out = append(out, orphanProblems(&s.orphans[i], s.now)...)
	}
	out = append(out, s.targetProblems()...)
	out = append(out, s.tailProblems()...)
	out = append(out, s.componentProblems(out)...)
	slices.SortStableFunc(out, func(a, b problem) int { return cmp.Compare(a.rank(), b.rank()) })
	return out
}

func (p *problem) rank() int {
	if p.Kind == "bad" {
		return 0
	}
	return 1
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}

// engineProblems are the Docker Engines that cannot be reached or refuse
// requests, each once.
func (s *situation) engineProblems() (out []problem) {
	seen := map[string]bool{}
	for _, e := range s.engines {
		if e.Connected && e.Error == "" && len(e.Refused) > 0 && !seen[e.Host] {
			seen[e.Host] = true
			out = append(out, problem{Kind: "warn", Component: e.Component, Since: e.Since,
				Message: fmt.Sprintf("Docker at %s, or a proxy in front of it, does not allow %s.", e.Host, strings.Join(e.Refused, ", ")),
				Mend:    "Allow these requests in the proxy. The documentation of the stack lists what is missing without each."})
		}
		if e.Connected && e.Error == "" || e.Error == "" || seen[e.Host] {
			continue
		}
		seen[e.Host] = true
		p := problem{Kind: "bad", Component: e.Component, Since: e.Since, Mend: engineMend(e.Error),
			Message: fmt.Sprintf("Docker at %s cannot be reached: %s. No container is found or lost meanwhile.", e.Host, mask.WithoutPasswords(e.Error))}
		if e.Connected {
			p.Kind, p.Message = "warn", fmt.Sprintf("Docker at %s does not take the filters of %s: %s. The targets stay as they were.", e.Host, e.Component, mask.WithoutPasswords(e.Error))
			p.Mend = "Correct the filter blocks of the component."
		}
		out = append(out, p)
	}
	return out
}

func engineMend(err string) string {
	switch {
	case strings.Contains(err, "--group-add"):
		return "Do as the message says: the socket belongs to a group that the collector has to be in."
	case strings.Contains(err, "permission denied"):
		return "Let the collector read the socket: add the group that owns it (docker run --group-add, in Compose group_add), or run it as root."
	case strings.Contains(err, "no such file"):
		return "Mount the socket into the collector's container (-v /var/run/docker.sock:/var/run/docker.sock:ro), or correct the host in the configuration."
	}
	return "See that Docker runs and that its address in the configuration is right. The collector goes on trying."
}

// longWait is how long data waits before that is worth a word.
const longWait = 5 * time.Minute

// destinationProblems are those of one destination.
func destinationProblems(d *flow.Destination, now time.Time) (out []problem) {
	link := "/component/" + url.PathEscape(d.Component)
	name := fmt.Sprintf("%s (%s to %s)", d.Component, d.Signal, d.URL)
	waiting := fmt.Sprintf("%s %s wait on disk (%s)", page.Count(float64(d.Queued)), flow.UnitOf(d.Signal), page.Size(float64(d.QueuedBytes)))
	switch {
	case !d.Healthy:
		last := "never took anything"
		if !d.LastSuccess.IsZero() {
			last = "took something last " + page.Since(now.Sub(d.LastSuccess))
		}
		out = append(out, problem{
			Kind: "bad", Component: d.Component, Link: link, Since: d.LastFailure, Mend: destinationMend(d.LastError),
			Message: fmt.Sprintf("The destination %s fails: %s. It %s; %s.", name, firstLine(mask.WithoutPasswords(d.LastError)), last, waiting),
		})
	case d.WaitingTenants > 0:
		out = append(out, problem{
			Kind: "warn", Component: d.Component, Link: link, Since: d.LastFailure,
			Message: fmt.Sprintf("The destination %s makes %d tenants wait: %s.", name, d.WaitingTenants, firstLine(mask.WithoutPasswords(d.LastError))),
			Mend:    "Raise the limits of these tenants at the destination, or send less.",
		})
	case !d.OldestQueued.IsZero() && now.Sub(d.OldestQueued) > longWait:
		out = append(out, problem{
			Kind: "warn", Component: d.Component, Link: link, Since: d.OldestQueued,
			Message: fmt.Sprintf("The destination %s is behind: %s, the oldest since %s.", name, waiting, page.Duration(now.Sub(d.OldestQueued))),
			Mend:    "It takes less than comes. Give the destination more capacity, or send less; what waits is safe until the queue is full.",
		})
	}
	return append(out, losses(d, name, link)...)
}

// losses are the reasons for which the destination's data has been dropped, if
// any was within the last minutes.
func losses(d *flow.Destination, name, link string) (out []problem) {
	recent := d.Recent.Dropped == nil // then it is not known when
	for _, v := range d.Recent.Dropped {
		recent = recent || v > 0
	}
	for _, reason := range slices.Sorted(maps.Keys(d.Dropped)) {
		if n := d.Dropped[reason]; n > 0 && recent && !intended(reason) {
			out = append(out, problem{
				Kind: "bad", Component: d.Component, Link: link, Mend: dropMend(reason),
				Message: fmt.Sprintf("The destination %s loses data: %s %s have been dropped since the start, reason %s.", name, page.Count(float64(n)), flow.UnitOf(d.Signal), reason),
			})
		}
	}
	if d.DamagedBlocks > 0 {
		out = append(out, problem{
			Kind: "warn", Component: d.Component, Link: link, Mend: dropMend("damaged"),
			Message: fmt.Sprintf("The queue of %s had %s damaged blocks on disk.", name, page.Count(float64(d.DamagedBlocks))),
		})
	}
	return out
}

// intended tells whether items are dropped because the configuration says so.
func intended(reason string) bool { return reason == "relabelled" || reason == "native_histograms_off" }

// mend is what to do about an error that holds some text.
type mend struct{ text, advice string }

// fits looks for the text, and for a number as a word of its own: port 4040 is
// no 404.
func (m mend) fits(err string) bool {
	if _, notNumber := strconv.Atoi(m.text); notNumber != nil {
		return strings.Contains(strings.ToLower(err), m.text)
	}
	words := strings.FieldsFunc(err, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != ':' })
	return slices.ContainsFunc(words, func(word string) bool { return strings.Trim(word, ":") == m.text })
}

// advise gives the advice for the first text that err holds.
func advise(err string, all []mend, otherwise string) string {
	for _, m := range all {
		if m.fits(err) {
			return m.advice
		}
	}
	return otherwise
}

func destinationMend(err string) string {
	return advise(err, []mend{
		{"redirects to", "Set the URL to the address that it redirects to, if that takes the data. If it is a login page, give the endpoint its credentials, or go past the proxy."},
		{"web page", "Something other than the backend answers, such as a login page: give the endpoint its credentials, or correct the URL."},
		{"no such host", "The name cannot be resolved: correct the host in the URL, or put both containers into one network."},
		{"server misbehaving", "The name cannot be resolved: see that DNS works here, or put both containers into one network."},
		{"connection refused", "Nothing listens there: start the backend, or correct the port in the URL."},
		{"x509", "The certificate is not accepted: set tls_config > ca_file, or server_name, or renew the certificate."},
		{"certificate", "The certificate is not accepted: set tls_config > ca_file, or server_name, or renew the certificate."},
		{"no answer for", "The backend does not answer in time: see how it does, and the network on the way."},
		{"timeout", "The backend does not answer in time: see how it does, and the network on the way."},
		{"deadline exceeded", "The backend does not answer in time: see how it does, and the network on the way."},
		{"401", "The credentials are refused: correct basic_auth, authorization or bearer_token of the endpoint."},
		{"403", "The credentials may not write there: correct them, or their rights at the backend."},
		{"404", "There is no such path at the backend: correct the path in the URL."},
		{"429", "The backend limits the rate: raise its limits, or send less. What waits is sent later."},
		{"unauthenticated", "The credentials are refused: correct the auth settings of the exporter."},
		{"no route", "There is no way to the host: see that both are in one network, and the firewall."},
		{"unreachable", "There is no way to the host: see that both are in one network, and the firewall."},
		{"no space left", "The disk of the backend, or of this host, is full: make room."},
	}, "See the backend's own log. What comes meanwhile waits on disk and is sent when it takes data again.")
}

func dropMend(reason string) string {
	switch reason {
	case "queue_full":
		return "The queue on disk is full: mend the destination, or give the queue more room in the component's block."
	case "too_old":
		return "The data waited longer than the component's maximum age: mend the destination, or raise the age."
	case "too_large", "line_too_long":
		return "The destination refuses items of this size: raise its limit, or make them smaller at the source."
	case "rate_limited", "stream_limited":
		return "The destination's limits refuse it: raise them, or send less."
	case "damaged":
		return "The disk has returned other bytes than were written: check the disk."
	case "no_destination":
		return "There is nowhere to send to: set the endpoint's URL (is an environment variable empty?)."
	case "retry_disabled":
		return "Retries are switched off in the component's block, so one failure loses the data: switch them on."
	case "custom_buckets_unsupported":
		return "The protocol has no histograms with custom buckets: do not convert classic histograms to them."
	}
	return "The destination refuses these items for good. Its last error says why; the component's page and log show it."
}

// orphanProblems tells of what waits for nobody.
func orphanProblems(q *flow.OrphanedQueue, now time.Time) []problem {
	if q.Delivering || q.Items == 0 {
		return nil
	}
	place := q.Component
	if q.URL != "" {
		place += " to " + mask.WithoutPasswords(q.URL)
	}
	return []problem{{
		Kind: "warn", Since: q.Oldest,
		Message: fmt.Sprintf("%s %s wait for a destination that is no longer in the configuration: %s (%s in %s, oldest waiting %s). They are kept until %s.",
			page.Count(float64(q.Items)), flow.UnitOf(q.Signal), place, page.Size(float64(q.Bytes)), q.Folder, page.Duration(now.Sub(q.Oldest)), q.KeptUntil.UTC().Format(time.DateOnly)),
		Mend: "Define a writer of the same kind for the same destination, which delivers them; or send them elsewhere with collector queue drain, or delete them with collector queue drop.",
	}}
}

// targetProblems are the components whose targets fail.
func (s *situation) targetProblems() (out []problem) {
	all, failing := map[string]int{}, map[string][]*inspect.ScrapeTarget{}
	for i := range s.targets {
		t := &s.targets[i]
		all[t.Component]++
		if t.State == "down" {
			failing[t.Component] = append(failing[t.Component], t)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(failing)) {
		first := slices.MinFunc(failing[id], func(a, b *inspect.ScrapeTarget) int { return strings.Compare(a.URL, b.URL) })
		out = append(out, problem{
			Kind: "bad", Component: id, Since: first.LastScrape, Mend: scrapeMend(first.Error),
			Link: "/targets?state=down&component=" + url.QueryEscape(id),
			Message: fmt.Sprintf("%d of the %d targets of %s fail, such as %s (%s): %s.", len(failing[id]), all[id], id,
				cmp.Or(s.redaction.NameOf(first.Discovered), "one"), s.redaction.URL(first.URL), page.Cut(firstLine(s.redaction.URL(first.Error)), 300)),
		})
	}
	return out
}

func scrapeMend(err string) string {
	return advise(err, []mend{
		{"no such host", "The name cannot be resolved: correct the target's address, or put both containers into one network."},
		{"connection refused", "Nothing listens at this port: correct the port that the rules or the container's labels choose, or start the service."},
		{"no route", "The collector is not in a network of the container: put both into one."},
		{"did not answer within", "The target is too slow, or in a network that the collector is not in: raise scrape_timeout, or put both into one network."},
		{"404", "There is no such page: set the path of the metrics (__metrics_path__, metrics_path)."},
		{"401", "The target asks for credentials: set basic_auth or authorization in the component."},
		{"403", "The target refuses the credentials: correct them in the component."},
		{"http response to https", "The target speaks plain HTTP: set scheme to http."},
		{"x509", "The certificate is not accepted: set tls_config > ca_file or server_name."},
		{"content-type", "The answer is no page of metrics: correct the path or the port, or set scrape_fallback_protocol."},
		{"limit", "The page is over a limit that the component sets: raise it, or make the page smaller."},
	}, "Ask the target on its page, and see what it answers. A container without metrics should be left out by a rule (see Relabel).")
}

// tailProblems are the components some of whose tails fail.
func (s *situation) tailProblems() (out []problem) {
	failing := map[string][]*inspect.LogTail{}
	all := map[string]int{}
	for i := range s.tails {
		t := &s.tails[i]
		all[t.Component]++
		if t.Error != "" {
			failing[t.Component] = append(failing[t.Component], t)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(failing)) {
		first := slices.MinFunc(failing[id], func(a, b *inspect.LogTail) int { return strings.Compare(a.Container, b.Container) })
		out = append(out, problem{
			Kind: "warn", Component: id, Since: first.ErrorAt, Link: "/targets/logs?state=failing&component=" + url.QueryEscape(id),
			Message: fmt.Sprintf("The output of %d of %d containers cannot be read by %s, such as that of %s: %s.", len(failing[id]), all[id], id,
				first.Container, page.Cut(firstLine(s.redaction.URL(first.Error)), 300)),
			Mend: tailMend(first),
		})
	}
	return out
}

func tailMend(t *inspect.LogTail) string {
	if strings.Contains(t.State, "driver") || strings.Contains(t.Error, "log driver") {
		return "The container's log driver keeps nothing that could be read: use json-file, local or journald, or leave the container out by a rule."
	}
	return "The collector goes on trying, from where it stopped. See that Docker answers for this container (docker logs)."
}

// componentProblems are the unhealthy components that named does not speak of.
func (s *situation) componentProblems(named []problem) (out []problem) {
	known := map[string]bool{}
	for _, p := range named {
		known[p.Component] = true
	}
	// One Engine may be down for several components.
	down := slices.ContainsFunc(s.engines, func(e inspect.Engine) bool { return !e.Connected && e.Error != "" })
	for _, c := range s.components {
		isDocker := slices.ContainsFunc(s.engines, func(e inspect.Engine) bool { return e.Component == c.ID })
		if c.Health.State != graph.Unhealthy || known[c.ID] || isDocker && down {
			continue
		}
		p := problem{
			Kind: "bad", Component: c.ID, Since: c.Health.UpdatedTime, Link: "/component/" + url.PathEscape(c.ID),
			Message: fmt.Sprintf("%s is unhealthy: %s.", c.ID, strings.TrimRight(firstLine(c.Health.Message), ".")),
			Mend:    "Its page shows what it does and the lines of the configuration that define it.",
		}
		if strings.Contains(c.Health.Message, "address already in use") {
			p.Mend = "Another program has the port: stop that one, or choose another port in the component's block."
		}
		out = append(out, p)
	}
	return out
}
