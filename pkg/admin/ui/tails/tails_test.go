package tails_test

import (
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/admin/ui/uitest"
	"collector/pkg/inspect"
)

func TestTailsAreFilteredSortedAndPaged(t *testing.T) {
	u := uitest.New(t, uitest.Small, uitest.Having(uitest.NewStock(0, 300)))
	all := uitest.Listed[inspect.LogTail](t, u, "/api/v1/targets/logs")
	if all.Total != 300 || all.Items[0].Error == "" {
		t.Errorf("%d, first %+v", all.Total, all.Items[0])
	}
	if lag := uitest.Listed[inspect.LogTail](t, u, "/api/v1/targets/logs?sort=-lag"); lag.Items[0].LagSeconds != 29.9 {
		t.Errorf("%+v", lag.Items[0])
	}
	if failing := uitest.Listed[inspect.LogTail](t, u, "/api/v1/targets/logs?state=failing"); failing.Total != 3 {
		t.Errorf("%d fail", failing.Total)
	}
	if one := uitest.Listed[inspect.LogTail](t, u, "/api/v1/targets/logs?q=0042"); one.Total != 1 || one.Items[0].Labels["stdout"]["password"] != "(secret)" {
		t.Errorf("%+v", one)
	}
}

// A stream without labels goes on; one that a rule drops isn't there.
func TestAStreamWithoutLabelsIsNotShownAsDropped(t *testing.T) {
	for want, streams := range map[string]map[string]map[string]string{
		"no labels": {"stdout": {}, "stderr": {}}, "dropped by a rule": {}, "web": {"stdout": {"app": "web"}, "stderr": {}},
	} {
		s := &uitest.Stock{Tails: []inspect.LogTail{{Component: "loki.source.docker.a", Kind: inspect.TailContainer, Container: "c", State: "reading", Labels: streams}}}
		page := uitest.Get(t, uitest.New(t, uitest.Small, uitest.Having(s)), "/targets/logs")
		uitest.CheckPage(t, "/targets/logs", page)
		if !strings.Contains(page, want) {
			t.Errorf("no %s", want)
		}
		if strings.Contains(page, "dropped by a rule") != (want == "dropped by a rule") || strings.Contains(page, "Loki rejects lines without labels") != (want == "no labels") {
			t.Errorf("where %s is wanted, the page has something else", want)
		}
	}
}

func TestEachKindOfTailShowsWhatItHas(t *testing.T) {
	s := &uitest.Stock{Tails: []inspect.LogTail{
		{Component: "loki.source.file.a", Kind: inspect.TailFile, Container: "/var/log/a.log", State: "reading", Position: 1 << 20, Size: 3 << 20, Rotated: 2, LagSeconds: 7},
		{Component: "loki.source.file.a", Kind: inspect.TailFile, Container: "/var/log/b.log", State: "can't be read", Error: "open /var/log/b.log: permission denied", Cause: "The collector may not read <it>.", Fix: "Add it to group 4."},
		{Component: "loki.source.journal.j", Kind: inspect.TailJournal, Container: "/var/log/journal/m", State: "reading", ReadTo: "s=1;i=2", About: "PRIORITY=6", Lost: 3, Units: map[string]uint64{"docker.service": 7, "ssh.service": 1}},
		{Component: "loki.source.syslog.s", Kind: inspect.TailListener, Container: "tcp 0.0.0.0:514", State: "reading", About: "rfc5424, TLS", Connections: 1, Received: 1234, Invalid: 5, Dropped: 6, Problem: "10.0.0.1: no " + uitest.Planted},
	}}
	s.Rules = []inspect.Relabeling{uitest.Copying(labels.FromStrings("password", uitest.Planted))}
	u := uitest.New(t, uitest.Small, uitest.Having(s))
	page := uitest.Get(t, u, "/targets/logs")
	uitest.CheckPage(t, "/targets/logs", page)
	for _, want := range []string{
		"read to 1.0 MiB of 3.0 MiB", "2 rotated files still read", "The collector may not read &lt;it&gt;. ", "<strong>Add it to group 4.</strong>", "Error message", "2 units", "docker.service: 7, ssh.service: 1",
		"s=1;i=2", "PRIORITY=6", "3 lost", "rfc5424, TLS", "1 connection, 1,234 received", "5 not valid", "6 dropped", "last problem", "10.0.0.1: no (secret)",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s", want)
		}
	}
	if one := uitest.Listed[inspect.LogTail](t, u, "/api/v1/targets/logs?q=listener"); one.Total != 1 || one.Items[0].Received != 1234 || one.Items[0].Invalid != 5 {
		t.Errorf("%+v", one)
	}
}
