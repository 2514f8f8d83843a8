package scrape

import (
	"net/http"
	"testing"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/listen"
	"collector/pkg/profiles/delta"
)

// However little memory there is, what a scrape that fails would have forwarded is in
// the difference of the next one.
func TestAScrapeWithoutMemoryLosesNoIncrease(t *testing.T) {
	to := &sink{}
	c := config(discovery.NewSet(), to)
	only(&c, "memory")
	endpoints, err := c.endpoints(at("__address__", "a:1"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(c, component.Options{})
	if err != nil {
		t.Fatal(err)
	}
	body := memory(t, 10)
	s.client = &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
		return answer(http.StatusOK, "application/octet-stream", body), nil
	})}
	target := &target{ctx: t.Context(), delta: delta.New(endpoints[0].compared...)}
	s.budget = listen.NewBudget(1 << 20)
	s.scrape(target, &endpoints[0])
	body = memory(t, 15)
	failed := 0
	for room := int64(8 << 10); ; room += 16 {
		s.budget = listen.NewBudget(room)
		s.scrape(target, &endpoints[0])
		if got := to.of("memory"); len(got) > 0 {
			if n := objects(t, got[0].profile); n != 5 || failed == 0 {
				t.Errorf("%d objects of 5 are forwarded after %d scrapes that failed", n, failed)
			}
			return
		}
		if failed++; room > 1<<20 {
			t.Fatal("nothing is forwarded")
		}
	}
}
