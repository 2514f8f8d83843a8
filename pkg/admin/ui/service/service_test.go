package service

import (
	"net/http/httptest"
	"strings"
	"testing"

	"collector/pkg/admin/ui/page"
	"collector/pkg/inspect"
)

func TestAFilterSelectsByService(t *testing.T) {
	containers := func() []inspect.Container {
		return []inspect.Container{
			{ID: "1", Name: "shop-api-1", Project: "shop", Service: "api"}, {ID: "2", Name: "shop-api-2", Project: "shop", Service: "api"},
			{ID: "3", Name: "shop-api-gateway-1", Project: "shop", Service: "api-gateway"}, {ID: "4", Name: "blog-api-1", Project: "blog", Service: "api"},
			{ID: "5", Name: "api"},
		}
	}
	for query, want := range map[string]string{
		"":                      "12345",
		Query("shop", "api"):    "12",
		Query("shop", ""):       "123",
		Query("", "api"):        "5",
		Query("", ""):           "5",
		"service=api":           "1245",
		Query("shop", "nobody"): "",
		Query("nobody", ""):     "",
	} {
		f := Parse(httptest.NewRequest("GET", "/targets?"+query, nil), containers)
		got := ""
		for _, c := range containers() {
			if f.Has(c.ID) {
				got += c.ID
			}
		}
		if got != want || f.On() != (query != "") || (len(f.Notes()) > 0) != (want == "") {
			t.Errorf("%s: %q, want %q; %v", query, got, want, f.Notes())
		}
	}
}

func TestAFilterIsShownAndKept(t *testing.T) {
	r := httptest.NewRequest("GET", "/targets?state=down&page=3&"+Query("shop", "api"), nil)
	f := Parse(r, func() []inspect.Container { return nil })
	var b strings.Builder
	if err := f.Node(&page.Site{Prefix: "/a"}, r).Render(&b); err != nil {
		t.Fatal(err)
	}
	if err := f.Fields().Render(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`href="/a/targets?state=down"`, "service api of project shop ✕", `name="project" value="shop"`, `name="service" value="api"`} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %s in %s", want, b.String())
		}
	}
	if !f.HasName("shop-api-1") || !f.HasName("api") || f.HasName("shop-web-1") || f.HasName("shop-api") {
		t.Error("names that Compose gives are not distinguished")
	}
}
