package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// Two components have the same target before and after their rules, which change
// nothing; only one of them is referred to, and a third one by way of a module.
const equalTargets = `
discovery.relabel "used" { targets = [{"__address__" = "$address"}] }
discovery.relabel "unused" { targets = [{"__address__" = "$address"}] }
discovery.relabel "nested" { targets = [{"__address__" = "$address", "nested" = "yes"}] }
prometheus.scrape "s" {
	targets    = discovery.relabel.used.output
	forward_to = [explore.sink.e.metrics]
}
declare "inside" {
	argument "given" { }
	argument "to" { }
	prometheus.scrape "m" {
		targets    = argument.given.value
		forward_to = argument.to.value
	}
}
inside "a" {
	given = concat(discovery.relabel.nested.output, [])
	to    = [explore.sink.e.metrics]
}
explore.sink "e" { }
`

// What becomes of a target follows the references, not equal labels.
func TestRelabelListsTheComponentsThatRefer(t *testing.T) {
	target := httptest.NewServer(http.NotFoundHandler())
	defer target.Close()
	_, url := runProgram(t, strings.ReplaceAll(equalTargets, "$address", target.Listener.Addr().String()))
	type inputs struct {
		Items []struct{ Component, ID string }
	}
	type trace struct {
		Kept   bool
		Onward []struct {
			Component string
			Taken     bool
		}
	}
	var all inputs
	wait(t, "the targets", func() bool {
		all = fetchJSON[inputs](t, url+"/api/v1/relabel")
		return len(all.Items) == 3
	})
	for component, want := range map[string][]string{
		"discovery.relabel.used": {"prometheus.scrape.s"}, "discovery.relabel.unused": nil, "discovery.relabel.nested": {"inside.a/prometheus.scrape.m"},
	} {
		i := slices.IndexFunc(all.Items, func(in struct{ Component, ID string }) bool { return in.Component == component })
		if i < 0 {
			t.Fatalf("%s has no input", component)
		}
		var got []string
		for _, o := range fetchJSON[trace](t, fmt.Sprintf("%s/api/v1/relabel/%s/%s", url, component, all.Items[i].ID)).Onward {
			got = append(got, o.Component)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", component, got, want)
		}
	}
}

// A target that fails has a cause and a fix in the API, and so has a destination.
func TestTheAPIHasCausesAndFixes(t *testing.T) {
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/metrics" {
			fmt.Fprint(w, "a 1\nb many\n")
		}
	}))
	defer target.Close()
	store := httptest.NewServer(http.NotFoundHandler())
	defer store.Close()
	text := strings.NewReplacer("$address", target.Listener.Addr().String(), "$store", store.Listener.Addr().String()).Replace(scraped)
	_, url := runProgram(t, text)
	type failure struct{ ID, Cause, Fix, CauseKind, Error, LastError string }
	var down []failure
	wait(t, "the target to fail", func() bool {
		down = fetchJSON[struct{ Items []failure }](t, url+"/api/v1/targets?state=down").Items
		return len(down) == 1
	})
	if f := down[0]; f.CauseKind != "not_a_number" || !strings.Contains(f.Cause, "Line 2 of the page") || f.Fix == "" || !strings.Contains(f.Error, "ParseFloat") {
		t.Errorf("%+v", f)
	}
	response, err := http.Post(url+"/api/v1/targets/prometheus.scrape.s/"+down[0].ID+"/response", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var asked failure
	if err := json.NewDecoder(response.Body).Decode(&asked); err != nil || asked.CauseKind != "not_a_number" || asked.Cause != down[0].Cause {
		t.Errorf("%+v, %v", asked, err)
	}
	var failing []failure
	wait(t, "the destination to fail", func() bool {
		failing = fetchJSON[struct{ Destinations []failure }](t, url+"/api/v1/overview").Destinations
		return slices.ContainsFunc(failing, func(f failure) bool { return f.LastError != "" })
	})
	i := slices.IndexFunc(failing, func(f failure) bool { return f.LastError != "" })
	if f := failing[i]; f.CauseKind != "not_found" || !strings.Contains(f.Cause, "does not accept data at /api/v1/write (404)") || !strings.Contains(f.Fix, "waits on disk") {
		t.Errorf("%+v", f)
	}
}
