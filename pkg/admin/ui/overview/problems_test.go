package overview

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/admin/ui/flow"
	"collector/pkg/admin/ui/page"
	"collector/pkg/cause"
	"collector/pkg/graph"
	"collector/pkg/inspect"
)

func destination(change func(*flow.Destination)) []flow.Destination {
	d := flow.Destination{Component: "loki.write.default", ID: "1", URL: "http://loki/push", Signal: "logs", Healthy: true, Stores: true, Dropped: map[string]uint64{}, Received: 10, Delivered: 10}
	change(&d)
	return []flow.Destination{d}
}

func down(name string, kind cause.Kind, text string) inspect.ScrapeTarget {
	return inspect.ScrapeTarget{
		Component: "p", State: "down", URL: "http://" + name, Discovered: labels.FromStrings("__meta_docker_container_name", "/"+name),
		Cause: cause.Cause{Kind: kind, Text: text, Fix: "Fix " + string(kind)},
	}
}

// misspelt are rules that keep containers with a label that two of three have
// misspelt.
func misspelt() inspect.Relabeling {
	const wanted, has = "__meta_docker_container_label_metrics_scrape", "__meta_docker_container_label_metric_scrape"
	inputs := []labels.Labels{
		labels.FromStrings("__meta_docker_container_name", "/shop-typo-1", has, "true"), labels.FromStrings("__meta_docker_container_name", "/shop-typo-2", has, "true"),
		labels.FromStrings("__meta_docker_container_name", "/shop-good-1", wanted, "true"),
	}
	return inspect.Relabeling{
		Component: "discovery.relabel.scrape", Targets: true, Rules: []inspect.Rule{{Action: "keep", SourceLabels: []string{wanted}, Regex: "true"}},
		Inputs: func() []labels.Labels { return inputs },
		Dropper: func(input labels.Labels, _ string) (int, bool) {
			if input.Get(wanted) == "true" {
				return -1, true
			}
			return 0, false
		},
	}
}

func TestProblemsSayWhatIsWrongAndHowToFixIt(t *testing.T) {
	now := time.Now()
	sick := []graph.ComponentInfo{{ID: "loki.write.default", Health: graph.Health{State: graph.Unhealthy, Message: "listen :80: address already in use"}}}
	for name, c := range map[string]struct {
		situation situation
		want      []string // one for each problem: its kind and parts of its texts
	}{
		"nothing":         {situation{}, nil},
		"a failed reload": {situation{loadError: "c.alloy:3: no such component\nmore"}, []string{"bad|c.alloy:3: no such component|Fix the lines marked"}},
		"a dead destination": {situation{destinations: destination(func(d *flow.Destination) {
			d.Healthy, d.LastError, d.Queued, d.Delivered, d.LastSuccess = false, "dial tcp: connect: connection refused", 7, 3, now.Add(-time.Hour)
		})}, []string{"bad|loki.write.default (logs to http://loki/push) is failing. Nothing listens at loki. Last delivery 1 h 0 min ago|7 lines waiting|Start the backend"}},
		"a destination whose cause is known": {situation{destinations: destination(func(d *flow.Destination) {
			d.Healthy, d.LastError, d.Cause, d.Fix = false, "POST: 401", "It rejects the credentials.", "Set them."
		})}, []string{"bad|is failing. It rejects the credentials. Nothing delivered yet|Set them."}},
		"a destination that rejects everything": {situation{destinations: destination(func(d *flow.Destination) {
			d.Healthy, d.LastError, d.Cause, d.Fix = false, "POST: 400", "loki rejects the data.", "Fix it. Until then, this data is dropped."
			d.Dropped["rejected"], d.Recent.Dropped = 3, []float64{1}
		})}, []string{"bad|is failing. loki rejects the data.|; 3 rejected and dropped since the start|this data is dropped"}},
		"a destination that rejects some": {situation{destinations: destination(func(d *flow.Destination) {
			d.LastError, d.Cause, d.Fix = "POST: 400", "loki rejects the data.", "Fix it. Until then, this data is dropped."
			d.Dropped["rejected"], d.Recent.Dropped = 3, []float64{1}
		})}, []string{"bad|is losing data: 3 lines dropped|Fix it."}},
		"a rule that finds nothing": {situation{relabelings: []inspect.Relabeling{misspelt()}}, []string{"warn|discovery.relabel.scrape drops shop-typo-1 and 1 more: metrics.scrape is missing; this container has metric.scrape.|Rename"}},
		"a label that is no port": {situation{targets: []inspect.ScrapeTarget{
			{Component: "p", State: "up", Hint: "Its label metrics.port is “http”, which is not a port number.", Mistaken: true, Discovered: labels.FromStrings("__meta_docker_container_name", "/web")},
			{Component: "p", State: "up", Hint: "So port 80, the default, is scraped."},
		}}, []string{"warn|web: Its label metrics.port is “http”|Set the label"}},
		"targets that fail in several ways": {situation{targets: []inspect.ScrapeTarget{
			down("a", cause.WebPage, "a answers with a web page."), down("b", cause.WebPage, "b answers with a web page."), down("c", cause.NotFound, "c has no page."),
			down("d", cause.WebPage, "d."), down("e", cause.WebPage, "e."), {Component: "p", State: "up"},
		}}, []string{"bad|p: 4 of 6 targets down, a web page answers: a, b, d and 1 more. For example: a answers with a web page.|Fix web_page", "bad|p: 1 of 6 targets down. c has no page.|Fix not_found"}},
		"rules that drop, as they are to": {situation{destinations: destination(func(d *flow.Destination) { d.Dropped["relabelled"], d.Recent.Dropped = 3, []float64{1} })}, nil},
		"no destination":                  {situation{nowhere: true}, []string{"warn|no destination is set|COLLECTOR_LOGS_URL"}},
		"a slow destination":              {situation{destinations: destination(func(d *flow.Destination) { d.OldestQueued = now.Add(-10 * time.Minute); d.Queued = 5 })}, []string{"warn|behind: 5 lines|10 min|more capacity"}},
		"a destination that redirects": {situation{destinations: destination(func(d *flow.Destination) {
			d.Healthy, d.LastError = false, "http://loki redirects to https://loki/ (301 Moved Permanently), which is not followed"
		})}, []string{"bad|redirects to https://loki/|own log"}},
		"tenants that wait": {situation{destinations: destination(func(d *flow.Destination) { d.WaitingTenants, d.LastError = 2, "429" })}, []string{"warn|is throttling 2 tenants|Raise the limits"}},
		"a full queue": {situation{destinations: destination(func(d *flow.Destination) {
			d.Dropped["queue_full"], d.Dropped["relabelled"], d.Recent.Dropped = 4, 3, []float64{0, 0.8}
		})}, []string{"bad|is losing data: 4 lines|queue_full|fix the destination"}},
		"what was dropped long ago": {situation{destinations: destination(func(d *flow.Destination) { d.Dropped["queue_full"], d.Recent.Dropped = 4, []float64{0, 0} })}, nil},
		"a damaged queue":           {situation{destinations: destination(func(d *flow.Destination) { d.DamagedBlocks = 1 })}, []string{"warn|1 damaged blocks|check the disk"}},
		"failing targets": {situation{targets: []inspect.ScrapeTarget{
			{Component: "prometheus.scrape.a", URL: "http://b:1/", State: "down", Error: "server returned HTTP status 404 Not Found"}, {Component: "prometheus.scrape.a", URL: "http://a:1/", State: "up"},
		}}, []string{"bad|prometheus.scrape.a: 1 of 2 targets down. server returned HTTP status 404"}},
		"a tail that cannot be read": {situation{tails: []inspect.LogTail{{Component: "loki.source.docker.a", Container: "web", State: "driver does not support reading", Error: "configured log driver does not support reading"}}}, []string{"warn|1 of 1 containers|web|json-file"}},
		"Docker without rights":      {situation{engines: []inspect.Engine{{Component: "discovery.docker.a", Host: "unix:///s", Error: "permission denied: it belongs to group 998: add this group to the process (docker run --group-add 998)"}, {Component: "discovery.docker.b", Host: "unix:///s", Error: "the same"}}}, []string{"bad|Cannot reach Docker at unix:///s|--group-add 998|Add the collector to the group"}},
		"Docker that is not mounted": {situation{engines: []inspect.Engine{{Host: "unix:///s", Error: "connect: no such file or directory"}}}, []string{"bad|no such file|Mount the socket"}},
		"a sick component":           {situation{components: sick}, []string{"bad|loki.write.default is unhealthy: listen :80|Another program uses the port"}},
		"a component whose cause is named": {situation{components: sick, destinations: destination(func(d *flow.Destination) {
			d.Healthy, d.LastError = false, "tls: failed to verify certificate: x509: certificate signed by unknown authority"
		})}, []string{"bad|authority that the collector does not know|ca_file"}},
		"a queue that no writer has": {situation{orphans: []flow.OrphanedQueue{
			{Folder: "/data/loki.write.old", Component: "loki.write.old", Signal: "logs", URL: "http://loki:3100/push", Items: 5, Bytes: 2048, Oldest: now.Add(-2 * time.Hour), KeptUntil: now},
			{Folder: "/data/orphaned/loki.write.x-logs-1", Component: "loki.write.x", Signal: "logs", Items: 7, Delivering: true},
		}}, []string{"warn|5 lines are waiting|no longer in the configuration|loki.write.old to http://loki:3100/push|2.0 KiB in /data/loki.write.old|2 h|collector queue drain|collector queue drop"}},
		"the worst comes first": {situation{destinations: destination(func(d *flow.Destination) { d.DamagedBlocks = 1 }), targets: []inspect.ScrapeTarget{{Component: "p", State: "down", Error: "connection refused"}}}, []string{
			"bad|1 of 1 targets|connection refused", "warn|damaged"}},
	} {
		c.situation.now = now
		got := c.situation.problems()
		if len(got) != len(c.want) {
			t.Errorf("%s: %d problems: %+v", name, len(got), got)
			continue
		}
		for i, want := range c.want {
			text := got[i].Kind + "|" + got[i].Message + "|" + got[i].Fix
			for part := range strings.SplitSeq(want, "|") {
				if !strings.Contains(text, part) {
					t.Errorf("%s: no %q in %s", name, part, text)
				}
			}
		}
	}
}

// A component without an endpoint is one problem, however many signals it drops.
func TestAComponentWithoutAnEndpointIsAProblem(t *testing.T) {
	all := situation{now: time.Now(), destinations: []flow.Destination{
		{Component: "loki.write.x", Signal: "logs", Off: true, Received: 1234, Dropped: map[string]uint64{"no_destination": 1234}, Cause: "Its endpoint is switched off: it has no host.", Fix: "Set the URL."},
		{Component: "otelcol.exporter.otlp.y", Signal: "traces", Off: true, Cause: "Off.", Fix: "Set it."},
		{Component: "otelcol.exporter.otlp.y", Signal: "logs", Off: true, Cause: "Off.", Fix: "Set it."},
	}}
	got := all.problems()
	want := []problem{
		{Kind: "bad", Component: "loki.write.x", Link: "/component/loki.write.x", Fix: "Set the URL.", Message: "loki.write.x has no endpoint for logs: what is sent to it is dropped, 1,234 lines so far. Its endpoint is switched off: it has no host."},
		{Kind: "bad", Component: "otelcol.exporter.otlp.y", Link: "/component/otelcol.exporter.otlp.y", Fix: "Set it.", Message: "otelcol.exporter.otlp.y has no endpoint for traces, logs: what is sent to it is dropped. Off."},
	}
	if !slices.Equal(got, want) {
		t.Errorf("%+v\nnot\n%+v", got, want)
	}
}

func TestWhatIsDroppedAsConfiguredIsNoLoss(t *testing.T) {
	for dropped, want := range map[string]string{
		"relabelled":            `badge info`,
		"native_histograms_off": `badge info`,
		"queue_full":            `badge bad`,
	} {
		f := signalFlow{Signal: "metrics", Destinations: 1, Received: 9, Dropped: map[string]uint64{dropped: 3, "relabelled": 2}}
		var b strings.Builder
		if err := (&Page{Site: &page.Site{}}).signalCard(f).Render(&b); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(b.String(), want) {
			t.Errorf("%s: no %q in %s", dropped, want, b.String())
		}
	}
}

func TestADestinationThatDoesNotAnswerSaysSoWhenItIsDown(t *testing.T) {
	silent := flow.Destination{Component: "prometheus.remote_write.a", URL: "http://a", Signal: "metrics", Stores: true, LastError: "no answer for 16s; the request is still under way", Queued: 3}
	found := destinationProblems(&silent, time.Now())
	if len(found) != 1 || !strings.Contains(found[0].Message, "does not answer") || !strings.Contains(found[0].Fix, "the backend's load") {
		t.Errorf("%+v", found)
	}
}
