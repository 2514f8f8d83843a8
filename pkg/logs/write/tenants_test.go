package write

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/deliver"
	"collector/pkg/logs/lokitest"
)

// TestATenantThatGets429DelaysNoOtherOfItsEndpoint has Loki answer 429 with
// Retry-After to one of three tenants, while all go on writing.
func TestATenantThatGets429DelaysNoOtherOfItsEndpoint(t *testing.T) {
	const rounds = 100
	loki := lokitest.New(t)
	var mu sync.Mutex
	tooMuch, refused := true, 0 // guarded by mu
	loki.Respond(func(r lokitest.Request) *lokitest.Answer {
		mu.Lock()
		defer mu.Unlock()
		if !tooMuch || r.Header.Get("X-Scope-OrgID") != "noisy" {
			return nil
		}
		refused++
		return &lokitest.Answer{Status: http.StatusTooManyRequests, RetryAfter: "1", Body: "ingestion rate limit exceeded"}
	})
	w := startWrite(t, writeConfig(loki.URL()))
	for i := range rounds {
		for _, tenant := range []string{"noisy", "quiet", ""} {
			mustWrite(t, w, stream(labels.FromStrings("job", "of "+tenant, tenantLabel, tenant), entriesOf(i, i+1)...))
		}
	}
	of := func(entries []lokitest.Entry, tenant string) []lokitest.Entry {
		var out []lokitest.Entry
		for _, e := range entries {
			if e.Tenant == tenant {
				out = append(out, e)
			}
		}
		return out
	}
	entries := loki.AwaitEntries(t.Context(), 2*rounds)
	if q, d, n := len(of(entries, "quiet")), len(of(entries, "")), len(of(entries, "noisy")); q != rounds || d != rounds || n != 0 {
		t.Fatalf("%d, %d and %d entries of the three tenants have arrived", q, d, n)
	}
	s := w.Status().([]deliver.Status)[0]
	if s.Queued < rounds || len(s.Dropped) > 0 {
		t.Errorf("%+v", s)
	}
	mu.Lock()
	if refused == 0 {
		t.Error("the tenant was never tried")
	}
	tooMuch = false
	mu.Unlock()
	noisy := of(loki.AwaitEntries(t.Context(), 3*rounds), "noisy")
	for i, e := range noisy {
		if want := fmt.Sprintf("line %d", i); e.Line != want || !e.Time.Equal(at(i)) {
			t.Fatalf("entry %d is %q of %s", i, e.Line, e.Time.Format(time.RFC3339Nano))
		}
	}
	if len(noisy) != rounds || loki.Repeated() != 0 {
		t.Errorf("%d entries of the tenant arrived, %d came again", len(noisy), loki.Repeated())
	}
}
