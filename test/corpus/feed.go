package corpus

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// feed is what one source is fed with, and where it has to arrive.
type feed struct {
	source string // as the table names it
	name   string // the same for all forms of lines
	at     *block // where its way begins
	signal string
	paths  map[string][]path // by the writer
	lost   string            // why the source can't be fed

	// put feeds it once more; nil if the collector fetches by itself.
	put func(n int) error
	// has reports whether an arrival is of this feed.
	has func(arrival) bool
	// labels are known to be on what is fed; loose may be there, with any value.
	labels map[string]string
	loose  []string
	before []*block // relabelings before the way
	form   string   // of a line: "", json or logfmt
	// marked says that has recognizes data of this feed, and of no other.
	marked  bool
	strayed bool
}

// newFeed is a feed of a source. Its token is nowhere else in the run.
func (r *run) newFeed(at *block, detail, signal string) *feed {
	name := strings.TrimSpace(at.id + " " + detail)
	f := &feed{source: name, name: name, at: at, signal: signal, paths: r.c.paths(at, signal), marked: true}
	r.feeds = append(r.feeds, f)
	token := f.token(len(r.feeds))
	f.has = func(a arrival) bool { return contains(a, token) }
	return f
}

// token is the text that the data of a numbered feed contains.
func (f *feed) token(number int) string { return fmt.Sprintf("feed%03dx", number) }

// number is the place of a feed among the others, from 1.
func (r *run) number(f *feed) int {
	for i := range r.feeds {
		if r.feeds[i] == f {
			return i + 1
		}
	}
	return 0
}

// tokenOf is the token of a feed.
func (r *run) tokenOf(f *feed) string { return f.token(r.number(f)) }

// valueOf is the value of a feed's samples: no other feed's.
func (r *run) valueOf(f *feed) float64 { return float64(7_000_003 + 10*r.number(f)) }

func contains(a arrival, token string) bool {
	if strings.Contains(a.text, token) || strings.Contains(a.name, token) {
		return true
	}
	for _, value := range a.labels {
		if strings.Contains(value, token) {
			return true
		}
	}
	return false
}

// unfed are sources that no test can feed, and why.
var unfed = map[string]string{
	"loki.source.windowsevent":       "there is no event log outside Windows",
	"prometheus.exporter.windows":    "there is nothing to read outside Windows",
	"pyroscope.ebpf":                 "profiles that the kernel makes are for its own test",
	"pyroscope.java":                 "there is no Java",
	"otelcol.receiver.opencensus":    "there is no client",
	"prometheus.exporter.cloudwatch": "there is no cloud",
	"prometheus.exporter.kafka":      "there is no Kafka",
	"prometheus.exporter.snmp":       "there is no SNMP agent",
}

// passing are components that are not sources, or that find them for others.
var passing = []string{
	"discovery.", "loki.process", "loki.relabel", "loki.enrich", "loki.secretfilter", "local.", "remote.", "prometheus.relabel",
	"prometheus.exporter.", "prometheus.enrich", "otelcol.processor.", "otelcol.connector.", "otelcol.exporter.", "otelcol.auth.",
	"otelcol.receiver.loki", "otelcol.receiver.prometheus", "otelcol.storage.", "pyroscope.relabel", "pyroscope.enrich", "livedebugging",
	"http", "remotecfg",
}

// feedAll makes the feeds of all sources.
func (r *run) feedAll() {
	for _, b := range r.c.blocks {
		switch b.kind {
		case "loki.source.file":
			r.feedFiles(b)
		case "loki.source.docker":
			r.feedContainers(b)
		case "loki.source.journal":
			r.feedJournal(b)
		case "loki.source.syslog":
			r.feedSyslog(b)
		case "loki.source.api":
			r.feedPush(b)
		case "faro.receiver":
			r.feedFaro(b)
		case "otelcol.receiver.otlp":
			r.feedOTLP(b)
		case "prometheus.scrape":
			r.feedScrape(b)
		case "pyroscope.scrape":
			r.feedProfiles(b)
		case "pyroscope.receive_http":
			r.feedIngest(b)
		case "logging", "tracing":
			r.feedOwn(b)
		default:
			r.feedOther(b)
		}
	}
}

func (r *run) feedOther(b *block) {
	if why := unfed[b.kind]; why != "" {
		if !strings.HasPrefix(b.kind, "prometheus.exporter.") { // which is fed by what scrapes it
			r.newFeed(b, "", signalOf(b)).lost = why
		}
		return
	}
	for _, kind := range append(passing, writers...) {
		if b.kind == kind || strings.HasSuffix(kind, ".") && strings.HasPrefix(b.kind, kind) {
			return
		}
	}
	r.unknown = append(r.unknown, b.kind)
}

func signalOf(b *block) string {
	switch family, _, _ := strings.Cut(b.kind, "."); family {
	case "loki":
		return "logs"
	case "pyroscope":
		return "profiles"
	case "prometheus":
		return "metrics"
	}
	return "traces"
}

// feedOwn waits for the collector's own telemetry.
func (r *run) feedOwn(b *block) {
	if attribute(b.body, "write_to") == nil {
		return
	}
	signal := "logs"
	if b.kind == "tracing" {
		signal = "traces"
	}
	f := r.newFeed(b, "", signal)
	f.marked = false
	f.has = func(a arrival) bool {
		if strings.Contains(a.text, "feed") || strings.Contains(a.name, "feed") {
			return false
		}
		return signal == "traces" || strings.Contains(a.text, "msg")
	}
}

// known is what labels an arrival has for certain.
type known struct {
	labels    map[string]string
	loose     map[string]bool   // may have been set to anything
	all       bool              // nothing is known from here on
	extracted map[string]string // what is known of what stages have extracted
	token     string
	form      string
}

func (k *known) set(name, value string) {
	k.labels[name] = value
	delete(k.loose, name)
	if value == "" || strings.HasPrefix(name, "__") {
		delete(k.labels, name)
	}
}

func (k *known) loosen(name string) {
	delete(k.labels, name)
	k.loose[name] = true
}

// expected are labels that what a feed has put must have after a path.
func (r *run) expected(f *feed, p path) map[string]string {
	k := &known{labels: map[string]string{}, loose: map[string]bool{}, token: r.tokenOf(f), form: f.form}
	for _, name := range f.loose {
		k.loosen(name)
	}
	for name, value := range f.labels {
		k.set(name, value)
	}
	for _, b := range slices.Concat(f.before, p) {
		switch b.kind {
		case "loki.process":
			k.extracted = maps.Clone(k.labels)
			r.stages(k, b.body)
		case "loki.relabel", "prometheus.relabel", "pyroscope.relabel", "discovery.relabel":
			r.relabeled(k, b)
		case "loki.write", "prometheus.remote_write", "pyroscope.write":
			for name, value := range r.c.texts(attribute(b.body, "external_labels")) {
				if k.labels[name] == "" && !k.loose[name] && value != "" {
					k.labels[name] = value
				}
			}
		default:
			k.all = true
		}
	}
	if k.all {
		return nil
	}
	return k.labels
}

// relabeled follows the rules of a block.
func (r *run) relabeled(k *known, b *block) {
	for _, rule := range r.c.rules(b.body) {
		switch rule.Action {
		case "replace":
			if len(rule.SourceLabels) == 0 && !strings.Contains(rule.Replacement, "$") && rule.Regex.MatchString("") {
				k.set(rule.TargetLabel, rule.Replacement)
			} else {
				k.loosen(rule.TargetLabel)
			}
		case "keep", "drop", "keepequal", "dropequal":
		case "labeldrop":
			maps.DeleteFunc(k.labels, func(name, _ string) bool { return rule.Regex.MatchString(name) })
		case "labelkeep":
			maps.DeleteFunc(k.labels, func(name, _ string) bool { return !rule.Regex.MatchString(name) })
		case "labelmap":
			k.all = true
		default:
			k.loosen(rule.TargetLabel)
		}
	}
}
