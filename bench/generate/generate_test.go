package generate

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"collector-bench/wire"
)

func TestAPageCountsWhenItIsServed(t *testing.T) {
	target := &target{page: wire.NewPage(0, 50)}
	get := func() *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		target.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		return w
	}
	for _, number := range []string{"1", "2", "3"} {
		if body := get().Body.String(); !strings.Contains(body, "\nbench_pages_total "+number+"\n") {
			t.Errorf("page %s: %.200s", number, body)
		}
	}
	want := Total{Items: 150, Sum: 6}
	if got := target.end(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if w := get(); w.Code != http.StatusOK || strings.Contains(w.Body.String(), "bench_") {
		t.Errorf("after the end: status %d, %.200s", w.Code, w.Body)
	}
	if got := target.end(); got != want {
		t.Errorf("%+v after the end, want %+v", got, want)
	}
}

func TestThePaceIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		var mu sync.Mutex
		seen := make(map[uint64]int)
		due := pace(ctx, 200, 4, func(n uint64) {
			mu.Lock()
			defer mu.Unlock()
			seen[n]++
		})
		if due < 1990 || due > 2000 || uint64(len(seen)) != due {
			t.Errorf("%d were due in 10 s and %d made, want 2000", due, len(seen))
		}
		for n := range due {
			if seen[n] != 1 {
				t.Errorf("%d was made %d times", n, seen[n])
			}
		}
	})
}

func TestASlowReceiverFallsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		made := 0
		due := pace(ctx, 100, 1, func(uint64) { made++; time.Sleep(time.Second) })
		if due < 100 || made > 11 {
			t.Errorf("%d were due and %d made", due, made)
		}
	})
}

func TestWhatIsNotAcknowledgedIsSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSender(1, 10)
		attempts := 0
		s.until(4, func(_ context.Context, n uint64) (uint64, error) {
			if attempts++; attempts < 3 || n != 4 {
				return 99, errors.New("no")
			}
			return 7, nil
		})
		if want := (Total{Items: 10, Sum: 7, Failures: 2}); s.total != want {
			t.Errorf("%+v, want %+v", s.total, want)
		}
	})
}

func TestAScheduleKnowsItsTotal(t *testing.T) {
	s := Schedule{Count: 4, Rate: 2}
	if got := s.Total(); got != (Total{Items: 4, Sum: 10}) || s.Lasting() != 2*time.Second {
		t.Errorf("%+v in %v", got, s.Lasting())
	}
}

func TestContainersWaitForTheSignal(t *testing.T) {
	file := filepath.Join(t.TempDir(), "begin")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := await(ctx, file); !errors.Is(err, context.Canceled) {
		t.Errorf("without a signal: %v", err)
	}
	want := time.Unix(1700000000, 5)
	if err := Signal(file, want); err != nil {
		t.Fatal(err)
	}
	if got, err := await(t.Context(), file); err != nil || !got.Equal(want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
}
