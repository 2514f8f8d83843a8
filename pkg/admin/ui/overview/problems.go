package overview

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
	"collector/pkg/admin/ui/redact"
	"collector/pkg/cause"
	"collector/pkg/graph"
	"collector/pkg/inspect"
	"collector/pkg/mask"
)

// problem is something that is wrong, and how to fix it.
type problem struct {
	Kind      string    `json:"kind"` // bad; or warn if nothing is lost yet
	Component string    `json:"component,omitempty"`
	Message   string    `json:"message"`
	Fix       string    `json:"mend"`
	Link      string    `json:"link,omitempty"` // a page with details, without the prefix
	Since     time.Time `json:"since,omitzero"`
	// everywhere: every page shows it at the top already, see loadFailure.
	everywhere bool
}

// situation is a snapshot of everything that can be wrong.
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
	containers   []inspect.Container
	lives        []inspect.Life
	onDisk       bool // the configuration on disk differs from what runs
	relabelings  []inspect.Relabeling
	nowhere      bool // nothing that runs has a destination
}

// problems lists what is wrong, worst first. Each cause is listed once: a
// component's own error is omitted if the cause is listed already.
func (s *situation) problems() []problem {
	out := []problem{}
	if s.loadError != "" {
		out = append(out, problem{
			Kind: "bad", Message: "The last reload failed; the previous configuration is still running: " + mask.WithoutPasswords(firstLine(s.loadError)),
			Fix: "Fix the lines marked on the Configuration page, then reload.", Link: "/configuration",
			everywhere: true,
		})
	}
	if s.nowhere {
		out = append(out, problem{
			Kind: "warn", Message: "Nothing is collected: no destination is set.",
			Fix:  "Set one of the environment variables COLLECTOR_METRICS_URL, COLLECTOR_LOGS_URL, COLLECTOR_TRACES_ENDPOINT and COLLECTOR_PROFILES_URL, or write a configuration (collector default-config prints one to start from).",
			Link: "/configuration",
		})
	}
	out = append(out, s.onDiskProblems()...)
	out = append(out, s.engineProblems()...)
	out = append(out, s.lifeProblems()...)
	for i := range s.destinations {
		out = append(out, destinationProblems(&s.destinations[i], s.now)...)
	}
	out = append(out, s.offProblems()...)
	out = append(out, s.queueProblems()...)
	for i := range s.orphans {
		out = append(out, orphanProblems(&s.orphans[i], s.now)...)
	}
	out = append(out, s.targetProblems()...)
	out = append(out, s.hintProblems()...)
	out = append(out, s.typoProblems()...)
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

// engineProblems lists the Docker Engines that are unreachable or deny requests,
// each once.
func (s *situation) engineProblems() (out []problem) {
	seen := map[string]bool{}
	for _, e := range s.engines {
		if e.Connected && e.Error == "" && len(e.Refused) > 0 && !seen[e.Host] {
			seen[e.Host] = true
			out = append(out, problem{Kind: "warn", Component: e.Component, Since: e.Since,
				Message: fmt.Sprintf("Docker at %s, or a proxy in front of it, does not allow %s.", e.Host, strings.Join(e.Refused, ", ")),
				Fix:     "Allow these requests in the proxy. deploy/README.md lists what each of them is needed for."})
		}
		if e.Connected && e.Error == "" || e.Error == "" || seen[e.Host] {
			continue
		}
		seen[e.Host] = true
		p := problem{Kind: "bad", Component: e.Component, Since: e.Since, Fix: engineFix(e.Error),
			Message: fmt.Sprintf("Cannot reach Docker at %s: %s. The container list is frozen until Docker answers.", e.Host, mask.WithoutPasswords(cause.Words(e.Error)))}
		if e.Connected {
			p.Kind, p.Message = "warn", fmt.Sprintf("Docker at %s rejects the filters of %s: %s. Its targets stay as they were.", e.Host, e.Component, mask.WithoutPasswords(e.Error))
			p.Fix = "Fix the component's filter blocks."
		}
		out = append(out, p)
	}
	return out
}

func engineFix(err string) string {
	switch {
	case strings.Contains(err, "--group-add"):
		return "Add the collector to the group that owns the socket, as the message says."
	case strings.Contains(err, "permission denied"):
		return "Give the collector access to the socket: add the group that owns it (docker run --group-add; group_add in Compose), or run it as root."
	case strings.Contains(err, "no such file"), strings.Contains(err, "no such socket"):
		return "Mount the socket into the collector's container (-v /var/run/docker.sock:/var/run/docker.sock:ro), or fix the host in the configuration."
	}
	return "Check that Docker is running and that its address in the configuration is right. The collector keeps retrying."
}

// longWait is how long data may wait before it is reported.
const longWait = 5 * time.Minute

// destinationProblems lists the problems of one destination.
func destinationProblems(d *flow.Destination, now time.Time) (out []problem) {
	if d.Off {
		return nil
	}
	link := "/component/" + url.PathEscape(d.Component)
	name := fmt.Sprintf("%s (%s to %s)", d.Component, d.Signal, d.URL)
	waiting := fmt.Sprintf("%s waiting on disk (%s)", flow.Amount(d.Queued, d.Signal), page.Size(float64(d.QueuedBytes)))
	switch {
	case !d.Healthy:
		last := "Nothing delivered yet"
		if !d.LastSuccess.IsZero() {
			last = "Last delivery " + page.Since(now.Sub(d.LastSuccess))
		}
		why, fix := d.Why()
		out = append(out, problem{
			Kind: "bad", Component: d.Component, Link: link, Since: d.LastFailure, Fix: fix,
			Message: fmt.Sprintf("The destination %s is failing. %s %s; %s.", name, why, last, waiting+rejected(d)),
		})
	case d.WaitingTenants > 0:
		why, _ := d.Why()
		out = append(out, problem{
			Kind: "warn", Component: d.Component, Link: link, Since: d.LastFailure,
			Message: fmt.Sprintf("The destination %s is throttling %d tenants. %s", name, d.WaitingTenants, why),
			Fix:     "Raise the limits of these tenants at the destination, or send less.",
		})
	case !d.OldestQueued.IsZero() && now.Sub(d.OldestQueued) > longWait:
		out = append(out, problem{
			Kind: "warn", Component: d.Component, Link: link, Since: d.OldestQueued,
			Message: fmt.Sprintf("The destination %s is behind: %s, the oldest for %s.", name, waiting, page.Duration(now.Sub(d.OldestQueued))),
			Fix:     "Data arrives faster than the destination accepts it. Give it more capacity, or send less; waiting data is safe until the queue is full.",
		})
	}
	return append(out, losses(d, name, link)...)
}

// offProblems lists the components that have no endpoint for a signal.
func (s *situation) offProblems() (out []problem) {
	of := map[string]*problem{}
	signals, dropped := map[string][]string{}, map[string]uint64{}
	for i := range s.destinations {
		d := &s.destinations[i]
		if !d.Off {
			continue
		}
		signals[d.Component] = append(signals[d.Component], d.Signal)
		dropped[d.Component] += d.Received
		if of[d.Component] == nil {
			why, fix := d.Why()
			of[d.Component] = &problem{Kind: "bad", Component: d.Component, Link: "/component/" + url.PathEscape(d.Component), Message: why, Fix: fix}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(of)) {
		p := of[id]
		becomes := "what is sent to it is dropped"
		if n := dropped[id]; n > 0 {
			amount := page.Many(int(n), "item")
			if len(signals[id]) == 1 {
				amount = flow.Amount(n, signals[id][0])
			}
			becomes += ", " + amount + " so far"
		}
		p.Message = fmt.Sprintf("%s has no endpoint for %s: %s. %s", id, strings.Join(signals[id], ", "), becomes, p.Message)
		out = append(out, *p)
	}
	return out
}

// losses lists why the destination's data was dropped, if any was in the last
// minutes.
func losses(d *flow.Destination, name, link string) (out []problem) {
	recent := d.Recent.Dropped == nil // no history: assume it is recent
	for _, v := range d.Recent.Dropped {
		recent = recent || v > 0
	}
	for _, reason := range slices.Sorted(maps.Keys(d.Dropped)) {
		told := reason == "queue_full" && d.FullQueue != ""
		if n := d.Dropped[reason]; n > 0 && recent && !intended(reason) && !told && (d.Healthy || !byDestination(reason)) {
			fix := dropFix(reason)
			if _, known := d.Why(); byDestination(reason) && known != "" {
				fix = known
			}
			out = append(out, problem{
				Kind: "bad", Component: d.Component, Link: link, Fix: fix,
				Message: fmt.Sprintf("The destination %s is losing data: %s dropped since the start (reason: %s).", name, flow.Amount(n, d.Signal), reason),
			})
		}
	}
	if d.DamagedBlocks > 0 {
		out = append(out, problem{
			Kind: "warn", Component: d.Component, Link: link, Fix: dropFix("damaged"),
			Message: fmt.Sprintf("The queue of %s had %s damaged blocks on disk.", name, page.Count(float64(d.DamagedBlocks))),
		})
	}
	return out
}

// rejected is how much a destination has rejected; "" if nothing.
func rejected(d *flow.Destination) string {
	n := uint64(0)
	for reason, items := range d.Dropped {
		if byDestination(reason) && !intended(reason) {
			n += items
		}
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("; %s rejected and dropped since the start", page.Count(float64(n)))
}

// byDestination reports whether a reason is the destination's doing, so that its last
// error says why.
func byDestination(reason string) bool {
	switch reason {
	case "queue_full", "too_old", "damaged", "no_destination", "retry_disabled", "custom_buckets_unsupported":
		return false
	}
	return true
}

// intended reports whether the configuration asks for data to be dropped.
func intended(reason string) bool { return reason == "relabelled" || reason == "native_histograms_off" }

func dropFix(reason string) string {
	switch reason {
	case "queue_full":
		return "The queue on disk is full: fix the destination, or give it more capacity."
	case "too_old":
		return "The data waited longer than the component's maximum age: fix the destination, or raise the maximum age."
	case "too_large", "line_too_long":
		return "The destination rejects data of this size: raise its limit, or reduce the size at the source."
	case "rate_limited", "stream_limited":
		return "The data exceeds the destination's rate or stream limits: raise them, or send less."
	case "damaged":
		return "The disk returned different bytes than were written: check the disk."
	case "no_destination":
		return "No destination is set: set the endpoint's URL (is an environment variable empty?)."
	case "retry_disabled":
		return "Retries are disabled in the component's block, so a single failure loses the data: enable them."
	case "custom_buckets_unsupported":
		return "The protocol does not support histograms with custom buckets: do not convert classic histograms to them."
	}
	return "The destination rejects this data permanently. Its last error says why: see the component's page, or the log."
}

// orphanProblems lists data waiting for a destination that no longer exists.
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
		Message: fmt.Sprintf("%s %s are waiting for a destination that is no longer in the configuration: %s (%s in %s, oldest waiting %s). They are kept for another %s.",
			page.Count(float64(q.Items)), flow.UnitOf(q.Signal), place, page.Size(float64(q.Bytes)), q.Folder, page.Duration(now.Sub(q.Oldest)), page.Duration(max(0, q.KeptUntil.Sub(now)))),
		Fix: "To deliver them, define a writer of the same kind for the same destination, or run collector queue drain. To delete them, run collector queue drop.",
	}}
}

// tailProblems lists the components with failing tails.
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
			Message: fmt.Sprintf("%s cannot read the logs of %d of %d containers, for example %s: %s.", id, len(failing[id]), all[id],
				first.Container, page.Cut(firstLine(s.redaction.URL(first.Error)), 300)),
			Fix: tailFix(first),
		})
	}
	return out
}

func tailFix(t *inspect.LogTail) string {
	if strings.Contains(t.State, "driver") || strings.Contains(t.Error, "log driver") {
		return "The container's log driver does not support reading: use json-file, local or journald, or drop the container with a rule."
	}
	return "The collector keeps retrying from where it stopped. Check that docker logs works for this container."
}

// componentProblems lists the components with a problem of their own, unless they are
// in named: what follows from destinations, targets and so on is listed with these.
func (s *situation) componentProblems(named []problem) (out []problem) {
	known := map[string]bool{}
	for _, p := range named {
		known[p.Component] = true
	}
	for _, c := range s.components {
		if c.Health.State != graph.Unhealthy && c.Health.State != graph.Degraded || c.Health.Derived || known[c.ID] {
			continue
		}
		p := problem{
			Kind: "bad", Component: c.ID, Since: c.Health.UpdatedTime, Link: "/component/" + url.PathEscape(c.ID),
			Message: fmt.Sprintf("%s is %s: %s.", c.ID, c.Health.State, strings.TrimRight(firstLine(c.Health.Message), ".")),
			Fix:     "Its page shows its state and where it is defined.",
		}
		if c.Health.State == graph.Degraded {
			p.Kind = "warn"
		}
		if strings.Contains(c.Health.Message, "address already in use") {
			p.Fix = "Another program uses the port: stop it, or choose another port in the component's block."
		}
		out = append(out, p)
	}
	return out
}
