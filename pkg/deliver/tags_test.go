package deliver

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"collector/pkg/queue"
)

func (r *rig) appendTo(tag string, items ...string) {
	r.t.Helper()
	b := queue.Block{Data: []byte(strings.Join(items, " ")), Items: len(items), Tag: tag}
	if err := r.Append(r.t.Context(), b); err != nil {
		r.t.Fatal(err)
	}
}

// limited tells the tenants whose items begin with the prefix to wait.
func limited(prefix string, after time.Duration) func([]string) error {
	return func(items []string) error {
		if strings.HasPrefix(items[0], prefix) {
			return &Error{Err: errors.New("429"), RetryAfter: after, OfTag: true}
		}
		return nil
	}
}

func starting(prefix string, items []string) []string {
	return slices.DeleteFunc(slices.Clone(items), func(s string) bool { return !strings.HasPrefix(s, prefix) })
}

func TestATenantThatHasToWaitDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		f := &fake{fault: limited("slow", time.Minute)}
		o := Options{Dir: dir, Destinations: []Destination{{ID: "a", Sender: f, Batch: queue.BatchLimits{MaxItems: 10}}}}
		r := start(t, o)
		var slow []string
		for i := range 1200 {
			slow = append(slow, fmt.Sprint("slow", i))
			r.appendTo("slow", slow[i])
			r.appendTo("quick", fmt.Sprint("quick", i))
			time.Sleep(time.Second)
			synctest.Wait()
			if n := len(starting("quick", f.got())); n != i+1 {
				t.Fatalf("%d of %d items of the other tenant have arrived", n, i+1)
			}
			if i == 600 {
				r.stop()
				r = start(t, o)
			}
		}
		f.mu.Lock()
		last := time.Time{}
		asked := 0
		for i, at := range f.at {
			if strings.HasPrefix(f.requests[i], "slow") {
				// After the restart the queue knows nothing of the wait.
				if asked++; !last.IsZero() && at.Sub(last) < time.Minute && asked != 12 {
					t.Errorf("request %d, the %d. of the tenant, came after %s", i, asked, at.Sub(last))
				}
				last = at
			}
		}
		f.mu.Unlock()
		if asked < 15 || asked > 22 {
			t.Errorf("the tenant was tried %d times in 20 min", asked)
		}
		if s := r.Status()[0]; s.Waiting != 1 || s.Queued != 1200 || !s.Healthy {
			t.Errorf("%+v", s)
		}
		f.setFault(nil)
		time.Sleep(2 * time.Minute)
		if got := starting("slow", f.got()); !slices.Equal(got, slow) {
			t.Errorf("%d items of the tenant arrived, or in another order", len(got))
		}
		if got := f.got(); len(got) != 2400 {
			t.Errorf("%d items arrived", len(got))
		}
		if s := r.Status()[0]; s.Waiting != 0 || s.Queued != 0 || len(s.Dropped) != 0 {
			t.Errorf("%+v", s)
		}
		r.stop()
	})
}

func TestTheWaitsOfATenantGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{fault: limited("slow", 0)}
		r := start(t, Options{Destinations: []Destination{{
			ID: "a", Sender: f, Backoff: Backoff{Min: time.Second, Max: 8 * time.Second, Jitter: 0.01},
		}}})
		r.appendTo("slow", "slow")
		time.Sleep(time.Minute)
		if s := r.Status()[0]; s.Healthy {
			t.Error("nothing has been taken for a minute, and the destination counts as well")
		}
		r.stop()
		for i, want := range []time.Duration{1, 2, 4, 8, 8} {
			if got := f.at[i+1].Sub(f.at[i]).Round(time.Second); got != want*time.Second {
				t.Errorf("wait %d is %s, want %d s", i, got, want)
			}
		}
	})
}

func TestMoreTenantsThanCanBeHeldWaitTogetherAndLoseNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{fault: limited("slow", time.Minute)}
		r := start(t, Options{Destinations: []Destination{{ID: "a", Sender: f}}})
		for i := range 300 {
			r.appendTo(fmt.Sprint(i), fmt.Sprint("slow", i))
		}
		r.appendTo("quick", "quick")
		time.Sleep(10 * time.Minute)
		if n := r.Status()[0].Waiting; n > 64 {
			t.Errorf("%d tenants are tracked", n)
		}
		f.setFault(nil)
		time.Sleep(10 * time.Minute)
		if got := f.got(); len(got) != 301 {
			t.Errorf("%d items arrived", len(got))
		}
		r.stop()
	})
}

func TestABlockThatIsBeingCutIsNotGivenBackWhenItsTenantHasToWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		waited := false
		f.fault = func(items []string) error {
			switch {
			case slices.Contains(items, "bad"):
				return &Error{Err: errors.New("400"), Rejected: true}
			case items[0] == "c" && !waited:
				waited = true
				return &Error{Err: errors.New("429"), RetryAfter: time.Second, OfTag: true}
			}
			return nil
		}
		r := start(t, Options{Destinations: []Destination{{ID: "a", Sender: f}}})
		r.appendTo("x", "a", "bad", "c", "d")
		time.Sleep(time.Minute)
		if got := f.got(); !slices.Equal(got, []string{"a", "c", "d"}) {
			t.Errorf("got %q", got)
		}
		r.stop()
	})
}
