package relabel_test

import (
	"encoding/json"
	"strings"
	"testing"

	"collector/pkg/admin/ui/relabel"
	"collector/pkg/admin/ui/uitest"
	"collector/pkg/inspect"
)

func TestRelabelSaysWhyAContainerIsNoTarget(t *testing.T) {
	s := uitest.NewStock(20, 0)
	s.Rules = []inspect.Relabeling{uitest.RelabelToy(s)}
	u := uitest.New(t, uitest.Small, uitest.Having(s))
	if all := uitest.Listed[relabel.Input](t, u, "/api/v1/relabel"); all.Total != 20 {
		t.Errorf("%d", all.Total)
	}
	dropped := uitest.Listed[relabel.Input](t, u, "/api/v1/relabel?state=dropped")
	if dropped.Total != 2 || dropped.Items[0].Kept || dropped.Items[0].DroppedBy != 2 || dropped.Items[0].Name != "shop-service-0003-1" {
		t.Fatalf("%+v", dropped)
	}
	path := "/relabel/discovery.relabel.toy/" + dropped.Items[0].ID
	page := uitest.Get(t, u, path)
	uitest.CheckPage(t, path, page)
	for _, want := range []string{`href="#rule-2"`, "Rule 2", "drops it. __meta_docker_container_name is “/shop-service-0003-1”, which matches", "&lt;b&gt;", "(secret)", `id="rule-1"`, "dropped here"} {
		if !strings.Contains(page, want) {
			t.Errorf("%s: no %s", path, want)
		}
	}
	kept := uitest.Listed[relabel.Input](t, u, "/api/v1/relabel?q=0004")
	path = "/relabel/discovery.relabel.toy/" + kept.Items[0].ID
	page = uitest.Get(t, u, path)
	uitest.CheckPage(t, path, page)
	for _, want := range []string{"It is kept.", "/targets/prometheus.scrape.containers/0000000000000001", "does not use it: it has no __address__"} {
		if !strings.Contains(page, want) {
			t.Errorf("%s: no %s", path, want)
		}
	}
	var trace relabel.Trace
	if err := json.Unmarshal([]byte(uitest.Get(t, u, "/api/v1"+path)), &trace); err != nil || len(trace.Steps) != 2 || !trace.Kept || trace.Steps[0].Changes[0].After != "(secret)" {
		t.Errorf("%v %+v", err, trace)
	}
	if page := uitest.Get(t, u, "/relabel?q=stopped"); !strings.Contains(page, "it is not running (exited)") {
		t.Error("a container that does not run is not told of")
	}
	for _, path := range []string{"/relabel/discovery.relabel.toy/0", "/relabel/nobody/" + kept.Items[0].ID} {
		if w := u.Ask("GET", path); w.Code != 404 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}
