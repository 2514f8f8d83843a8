package why

import (
	"fmt"
	"maps"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"

	"collector/pkg/admin/ui/flow"
	"collector/pkg/admin/ui/page"
	"collector/pkg/inspect"
	"collector/pkg/listen"
)

// recent is how long a refusal explains why nothing flows, and how long a receiver's
// clients may be silent before an answer mentions it.
const recent = 5 * time.Minute

// isReceiver reports whether a query names a receiver: by its component, a signal that it
// accepts, or an address or port that it listens on.
func isReceiver(r *listen.Received, query string) bool {
	if r.Component == query || slices.ContainsFunc(r.Signals, func(s listen.ReceivedSignal) bool { return s.Signal == query }) {
		return true
	}
	return slices.ContainsFunc(r.Listens, func(text string) bool {
		address := text[strings.LastIndexByte(text, ' ')+1:]
		_, port, err := net.SplitHostPort(address)
		return address == query || err == nil && strings.TrimPrefix(query, ":") == port
	})
}

// receiver is the answers about what clients push to a component.
func (s *situation) receiver(r *listen.Received) Subject {
	subject := s.component(s.components[r.Component])
	subject.What, subject.Of = "receiver", strings.Join(r.Listens, ", ")
	return subject
}

// receiversOf are the receivers from which data flows to a component.
func (s *situation) receiversOf(component, signal string) (out []listen.Received) {
	for _, r := range s.receivers {
		sends := slices.ContainsFunc(r.Signals, func(r listen.ReceivedSignal) bool { return r.Signal == signal })
		if sends && s.leads(r.Component, component, map[string]bool{}) {
			r.Signals = slices.DeleteFunc(slices.Clone(r.Signals), func(r listen.ReceivedSignal) bool { return r.Signal != signal })
			out = append(out, r)
		}
	}
	return out
}

// leads reports whether data flows from one component to another.
func (s *situation) leads(from, to string, seen map[string]bool) bool {
	if from == to {
		return true
	}
	if seen[from] {
		return false
	}
	seen[from] = true
	return slices.ContainsFunc(s.components[from].FlowsTo, func(next string) bool { return s.leads(next, to, seen) })
}

// arrivals says what clients have pushed.
func (k *collection) arrivals(a *Answer) {
	for i := range k.receivers {
		r := &k.receivers[i]
		nothing := "info"
		if k.silent(r) {
			nothing = "warn"
		}
		for _, s := range r.Signals {
			name := title(s.Signal)
			if s.Last.IsZero() {
				a.say(nothing, "%s: no client has sent any to %s (%s).", name, r.Component, strings.Join(r.Listens, ", "))
				continue
			}
			kind, since := "good", k.now.Sub(s.Last)
			if since > recent {
				kind = nothing
			}
			a.say(kind, "%s: %s has received %s, the last %s.", name, r.Component, flow.Amount(s.Items, s.Signal), page.Since(since))
		}
		k.refusals(a, r)
	}
}

// silent reports whether nothing has come to a receiver lately.
func (k *collection) silent(r *listen.Received) bool {
	return !slices.ContainsFunc(r.Signals, func(s listen.ReceivedSignal) bool { return !s.Last.IsZero() && k.now.Sub(s.Last) <= recent })
}

func title(signal string) string { return strings.ToUpper(signal[:1]) + signal[1:] }

// refusals says whether a receiver has refused requests lately.
func (k *collection) refusals(a *Answer, r *listen.Received) {
	if r.Last.At.IsZero() || k.now.Sub(r.Last.At) > recent {
		return
	}
	a.say("bad", "%s refuses requests: %s since the start. %s.", r.Component, page.Count(float64(refusedRequests(r))), k.lastRefusal(r))
	a.advise(refusalFix(r.Last.Reason))
}

func refusedRequests(r *listen.Received) (n uint64) {
	for _, m := range r.Refused {
		n += m
	}
	return n
}

// lastRefusal is the last refusal in words, without a full stop.
func (k *collection) lastRefusal(r *listen.Received) string {
	from := ""
	if r.Last.Client != "" {
		from = ", from " + r.Last.Client
	}
	why := strings.TrimRight(firstLine(k.redaction.URL(r.Last.Error)), ".")
	return fmt.Sprintf("The last one %s%s (%s): %s", page.Since(k.now.Sub(r.Last.At)), from, r.Last.Reason, why)
}

// refusalFix is what to do about requests that are refused for a reason.
func refusalFix(reason string) string {
	switch reason {
	case "malformed", "bad_request", "encoding", "content_type", "method", "body_unreadable":
		return "Fix the client's settings: what it sends is not what this receiver reads."
	case "unknown_path":
		return "Fix the path in the client's settings."
	case "wrong_protocol":
		return "Set the client's protocol to that of the port, or use the receiver's other port."
	case "unwired":
		return "Add the signal to the receiver's output block, or stop sending it."
	case "unauthenticated", "api_key":
		return "Give the client the credentials that the receiver asks for."
	case "other_site":
		return "List the page's origin in the receiver's block, if the page may send."
	case "too_large":
		return "Send smaller batches, or raise the receiver's limit."
	case "overload":
		return "Send less at once, or give the collector more memory."
	case "rate_limit":
		return "Send less, or raise the receiver's rate limit."
	case "too_slow", "client_gone":
		return "Check the network between the client and the collector, and the client's timeout."
	case "rejected":
		return "Clients do not retry, so the data is lost. Fix the data, or the component that rejects it: see where it stops."
	case "queue_full", "queue_failed", "sink", "stopped":
		return "Clients retry. Fix the component that does not accept the data: see where it stops."
	}
	return "The collector's log names the client and the reason."
}

// pushes says of a container that it may send to receivers, too.
func (k *collection) pushes(a *Answer) {
	if !k.logs {
		return
	}
	for i := range k.situation.receivers {
		r := &k.situation.receivers[i]
		if len(r.Signals) > 0 {
			a.say("info", "Pushed %s: clients send them to %s; from which container they come is not recorded.", strings.Join(signalsOf(r), ", "), r.Component)
			a.link("/why?q="+url.QueryEscape(r.Component), "Why "+r.Component)
		}
	}
}

// latestArrivals says when clients have last pushed something: what they still hold is
// not known.
func (k *collection) latestArrivals(a *Answer) {
	for i := range k.receivers {
		for _, s := range k.receivers[i].Signals {
			if !s.Last.IsZero() {
				a.say("info", "%s: the last %s reached %s %s. What clients still hold is not known.", title(s.Signal), flow.UnitOf(s.Signal), k.receivers[i].Component, page.Since(k.now.Sub(s.Last)))
			}
		}
	}
}

// stopsAtReceivers says what gets no further than a receiver.
func (k *collection) stopsAtReceivers(a *Answer) {
	for i := range k.receivers {
		r := &k.receivers[i]
		if !r.Last.At.IsZero() && k.now.Sub(r.Last.At) <= recent {
			a.say("bad", "At %s, which refuses requests: %s.", r.Component, lowerFirst(k.lastRefusal(r)))
			a.advise(refusalFix(r.Last.Reason))
		}
		if len(r.Signals) > 0 && k.silent(r) {
			a.say("warn", "Before %s: no %s have come in the last %s.", r.Component, strings.Join(signalsOf(r), " or "), page.Duration(recent))
			a.advise("Check that the clients send to " + strings.Join(r.Listens, " or ") + ".")
		}
	}
}

func signalsOf(r *listen.Received) (signals []string) {
	for _, s := range r.Signals {
		signals = append(signals, s.Signal)
	}
	return signals
}

func lowerFirst(text string) string { return strings.ToLower(text[:1]) + text[1:] }

// refusedByReceivers says what receivers have refused since the start.
func (k *collection) refusedByReceivers(a *Answer) {
	for i := range k.receivers {
		r := &k.receivers[i]
		for _, reason := range slices.Sorted(maps.Keys(r.Refused)) {
			if len(a.Texts) < maxTexts {
				a.say("warn", "%s: %s refused since the start (reason: %s); the clients got an error.", r.Component, page.Many(int(r.Refused[reason]), "request"), reason)
				a.advise(refusalFix(reason))
			}
		}
		for _, s := range r.Signals {
			if s.Refused > 0 {
				a.say("warn", "%s: %s of them could be read.", r.Component, flow.Amount(s.Refused, s.Signal))
			}
		}
	}
}

// losing matches the names of metrics that count lost data.
var losing = regexp.MustCompile(`_(dropped|lost)_.*total$|_dropped_total$`)

// droppedOnTheWay says what components between a source and a destination drop, by their
// own metrics.
func (k *collection) droppedOnTheWay(a *Answer) {
	for _, id := range k.onWay {
		if k.hasOwnCounts(id) {
			continue
		}
		for _, family := range k.page.Source.ComponentMetrics(id) {
			name := family.GetName()
			if family.GetType() != dto.MetricType_COUNTER || !losing.MatchString(name) {
				continue
			}
			for _, m := range family.GetMetric() {
				if n := m.GetCounter().GetValue(); n > 0 && len(a.Texts) < maxTexts && !k.isRefusal(id, m) {
					kind := "bad"
					if asked(name, m) {
						if k.hasTails(id) {
							continue // each of its tails says what its rules dropped
						}
						kind = "info"
					}
					a.say(kind, "%s: %s is %s%s.", id, name, page.Count(n), k.labelsOf(m))
					a.link("/component/"+url.PathEscape(id), id)
				}
			}
		}
	}
}

// asked reports whether a metric counts what rules or stages drop on purpose. The reasons
// of stages are whatever their configuration says.
func asked(name string, m *dto.Metric) bool {
	switch name {
	case "otelcol_processor_dropped_items_total", "loki_process_dropped_lines_by_label_total", "prometheus_relabel_dropped_exemplars_total":
		return true
	}
	if strings.Contains(name, "_lost_") {
		return false
	}
	i := slices.IndexFunc(m.GetLabel(), func(l *dto.LabelPair) bool { return l.GetName() == "reason" })
	if i < 0 {
		return false
	}
	reason := m.GetLabel()[i].GetValue()
	if name == "loki_process_dropped_lines_total" {
		return reason != "rejected" // by a receiver
	}
	return reason == "relabel" || reason == "relabeled"
}

// isRefusal reports whether a metric of a receiver counts what it has refused.
func (k *collection) isRefusal(id string, m *dto.Metric) bool {
	i := slices.IndexFunc(k.receivers, func(r listen.Received) bool { return r.Component == id })
	return i >= 0 && slices.ContainsFunc(m.GetLabel(), func(l *dto.LabelPair) bool {
		_, told := k.receivers[i].Refused[l.GetValue()]
		return l.GetName() == "reason" && told
	})
}

// hasOwnCounts reports whether all that a component drops is reported elsewhere.
func (k *collection) hasOwnCounts(id string) bool {
	return slices.ContainsFunc(k.ends, func(d destination) bool { return d.Component == id }) ||
		slices.ContainsFunc(k.targets, func(t target) bool { return t.Component == id })
}

// hasTails reports whether a component reads logs that the answers are about.
func (k *collection) hasTails(id string) bool {
	return slices.ContainsFunc(k.tails, func(t inspect.LogTail) bool { return t.Component == id })
}

// labelsOf is " (reason: x)", or nothing.
func (k *collection) labelsOf(m *dto.Metric) string {
	var parts []string
	for _, l := range m.GetLabel() {
		if !strings.HasPrefix(l.GetName(), "component_") && l.GetValue() != "" {
			parts = append(parts, l.GetName()+": "+page.Cut(k.redaction.Value(l.GetName(), l.GetValue()), 100))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}
