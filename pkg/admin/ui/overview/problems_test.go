package overview

import (
	"strings"
	"testing"
	"time"

	"collector/pkg/admin/ui/flow"
	"collector/pkg/graph"
	"collector/pkg/inspect"
)

func destination(change func(*flow.Destination)) []flow.Destination {
	d := flow.Destination{Component: "loki.write.default", ID: "1", URL: "http://loki/push", Signal: "logs", Healthy: true, Stores: true, Dropped: map[string]uint64{}, Received: 10, Delivered: 10}
	change(&d)
	return []flow.Destination{d}
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
		})}, []string{"bad|loki.write.default (logs to http://loki/push) is failing: dial tcp: connect: connection refused|Last delivery 1 h 0 min ago|7 lines waiting|start the backend"}},
		"a destination that refuses the password": {situation{destinations: destination(func(d *flow.Destination) { d.Healthy, d.LastError = false, "server returned 401" })}, []string{"bad|Nothing delivered yet|credentials are rejected"}},
		"a destination without a name":            {situation{destinations: destination(func(d *flow.Destination) { d.Healthy, d.LastError = false, "lookup loki: no such host" })}, []string{"bad|no such host|one network"}},
		"a destination at port 4040 that hangs": {situation{destinations: destination(func(d *flow.Destination) {
			d.Healthy, d.LastError = false, "Post http://p:4040/ingest: context deadline exceeded"
		})}, []string{"bad|4040|does not answer in time"}},
		"a destination without the path":   {situation{destinations: destination(func(d *flow.Destination) { d.Healthy, d.LastError = false, "server returned HTTP status 404 Not Found" })}, []string{"bad|404|fix the path"}},
		"a target at port 4040 that hangs": {situation{targets: []inspect.ScrapeTarget{{Component: "p", State: "down", Error: "Get http://a:4040/404s: refused"}}}, []string{"bad|1 of 1|Fetch now"}},
		"rules that drop, as they are to":  {situation{destinations: destination(func(d *flow.Destination) { d.Dropped["relabelled"], d.Recent.Dropped = 3, []float64{1} })}, nil},
		"no destination":                   {situation{nowhere: true}, []string{"warn|no destination is set|COLLECTOR_LOGS_URL"}},
		"a slow destination":               {situation{destinations: destination(func(d *flow.Destination) { d.OldestQueued = now.Add(-10 * time.Minute); d.Queued = 5 })}, []string{"warn|behind: 5 lines|10 min|more capacity"}},
		"a destination that redirects": {situation{destinations: destination(func(d *flow.Destination) {
			d.Healthy, d.LastError = false, "http://loki redirects to https://loki/ (301 Moved Permanently), which is not followed"
		})}, []string{"bad|redirects to https://loki/|Set the URL"}},
		"a login page in front": {situation{destinations: destination(func(d *flow.Destination) {
			d.Healthy, d.LastError = false, `http://loki returned a web page ("404") instead of an acknowledgement`
		})}, []string{"bad|web page|credentials"}},
		"tenants that wait": {situation{destinations: destination(func(d *flow.Destination) { d.WaitingTenants, d.LastError = 2, "429" })}, []string{"warn|is throttling 2 tenants|Raise the limits"}},
		"a full queue": {situation{destinations: destination(func(d *flow.Destination) {
			d.Dropped["queue_full"], d.Dropped["relabelled"], d.Recent.Dropped = 4, 3, []float64{0, 0.8}
		})}, []string{"bad|is losing data: 4 lines|queue_full|fix the destination"}},
		"what was dropped long ago": {situation{destinations: destination(func(d *flow.Destination) { d.Dropped["queue_full"], d.Recent.Dropped = 4, []float64{0, 0} })}, nil},
		"a damaged queue":           {situation{destinations: destination(func(d *flow.Destination) { d.DamagedBlocks = 1 })}, []string{"warn|1 damaged blocks|check the disk"}},
		"failing targets": {situation{targets: []inspect.ScrapeTarget{
			{Component: "prometheus.scrape.a", URL: "http://b:1/", State: "down", Error: "server returned HTTP status 404 Not Found"}, {Component: "prometheus.scrape.a", URL: "http://a:1/", State: "up"},
		}}, []string{"bad|prometheus.scrape.a: 1 of 2 targets down|http://b:1/|404|metrics_path"}},
		"a tail that cannot be read":       {situation{tails: []inspect.LogTail{{Component: "loki.source.docker.a", Container: "web", State: "driver does not support reading", Error: "configured log driver does not support reading"}}}, []string{"warn|1 of 1 containers|web|json-file"}},
		"Docker without rights":            {situation{engines: []inspect.Engine{{Component: "discovery.docker.a", Host: "unix:///s", Error: "permission denied: it belongs to group 998: add this group to the process (docker run --group-add 998)"}, {Component: "discovery.docker.b", Host: "unix:///s", Error: "the same"}}}, []string{"bad|Cannot reach Docker at unix:///s|--group-add 998|Add the collector to the group"}},
		"Docker that is not mounted":       {situation{engines: []inspect.Engine{{Host: "unix:///s", Error: "connect: no such file or directory"}}}, []string{"bad|no such file|Mount the socket"}},
		"a sick component":                 {situation{components: sick}, []string{"bad|loki.write.default is unhealthy: listen :80|Another program uses the port"}},
		"a component whose cause is named": {situation{components: sick, destinations: destination(func(d *flow.Destination) { d.Healthy, d.LastError = false, "x509: unknown authority" })}, []string{"bad|x509|ca_file"}},
		"a queue that no writer has": {situation{orphans: []flow.OrphanedQueue{
			{Folder: "/data/loki.write.old", Component: "loki.write.old", Signal: "logs", URL: "http://loki:3100/push", Items: 5, Bytes: 2048, Oldest: now.Add(-2 * time.Hour), KeptUntil: now},
			{Folder: "/data/orphaned/loki.write.x-logs-1", Component: "loki.write.x", Signal: "logs", Items: 7, Delivering: true},
		}}, []string{"warn|5 lines are waiting|no longer in the configuration|loki.write.old to http://loki:3100/push|2.0 KiB in /data/loki.write.old|2 h|collector queue drain|collector queue drop"}},
		"the worst comes first": {situation{destinations: destination(func(d *flow.Destination) { d.DamagedBlocks = 1 }), targets: []inspect.ScrapeTarget{{Component: "p", State: "down", Error: "connection refused"}}}, []string{
			"bad|1 of 1 targets|Nothing listens", "warn|damaged"}},
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

func TestWhatIsDroppedAsConfiguredIsNoLoss(t *testing.T) {
	for dropped, want := range map[string]string{
		"relabelled":            `badge info`,
		"native_histograms_off": `badge info`,
		"queue_full":            `badge bad`,
	} {
		f := signalFlow{Signal: "metrics", Destinations: 1, Received: 9, Dropped: map[string]uint64{dropped: 3, "relabelled": 2}}
		var b strings.Builder
		if err := (&Page{}).signalCard(f).Render(&b); err != nil {
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
	if len(found) != 1 || !strings.Contains(found[0].Message, "no answer for 16s") || !strings.Contains(found[0].Fix, "does not answer in time") {
		t.Errorf("%+v", found)
	}
}
