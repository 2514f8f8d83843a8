package listen

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// full is a budget of 100 bytes that are all taken; release gives them back.
func full(t *testing.T) (b *Budget, release func()) {
	t.Helper()
	b = NewBudget(100)
	all := b.Claim("quick", nil)
	if !takes(all, 110) { // exceeds the budget
		t.Fatal("there is no room")
	}
	return b, all.Release
}

// What its client has sent of a request counts nowhere until it is claimed.
func TestOnlyAFewWaitWhoseDataDoesNotCountYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, release := full(t)
		// grow begins a request that has claimed something, and now waits for more.
		grow := func(counted bool) <-chan error {
			c := b.Claim("slow", nil)
			c.Wait(time.Second)
			if err := c.Grow(1); err != nil {
				t.Fatal(err)
			}
			if counted {
				c.Counted()
			}
			done := make(chan error, 1)
			go func() { done <- c.Grow(20) }()
			synctest.Wait()
			return done
		}
		var waits []<-chan error
		for range mostUncounted / 2 {
			waits = append(waits, waiting(b, "slow", 20), grow(false))
		}
		if done := waiting(b, "slow", 20); len(done) == 0 || !errors.Is(<-done, ErrNoRoom) {
			t.Error("one more waits")
		}
		if done := grow(false); len(done) == 0 || !errors.Is(<-done, ErrNoRoom) {
			t.Error("one more waits that has claimed something, though not what its client has sent")
		}
		counted := grow(true)
		if len(counted) > 0 {
			t.Errorf("one that has claimed all does not wait: %v", <-counted)
		}
		release()
		got := 0
		for _, done := range append(waits, counted) {
			if <-done == nil {
				got++
			}
		}
		if got != 5 { // the last of them exceeds the budget
			t.Errorf("%d of those that waited got room, each for 20 of less than 100", got)
		}
	})
}

func TestAClientWhoseRequestsWaitLeavesOthersPlacesToWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := full(t)
		var waits []<-chan error
		for i := range allUncounted {
			done := waiting(b, fmt.Sprint(i/mostUncounted), 20)
			if len(done) > 0 {
				t.Errorf("a request of client %d finds no place", i/mostUncounted)
			}
			waits = append(waits, done)
		}
		if done := waiting(b, "another", 20); len(done) == 0 || !errors.Is(<-done, ErrNoRoom) {
			t.Error("more of them wait than may")
		}
		for _, done := range waits {
			<-done
		}
	})
}

func TestAClientThatDisconnectsWaitsNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, release := full(t)
		gone := make(chan struct{})
		c := b.Claim("slow", nil)
		c.Wait(time.Second)
		c.Until(gone)
		done := make(chan error, 1)
		go func() { done <- c.Grow(40) }()
		synctest.Wait()
		close(gone)
		if synctest.Wait(); len(done) == 0 || !errors.Is(<-done, ErrGone) {
			t.Error("it still waits")
		}
		release()
		if err := b.Claim("quick", nil).Grow(90); err != nil {
			t.Errorf("room is kept for it: %v", err)
		}
	})
}

func TestARequestThatIsEndedForAnotherWaitsNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(100)
		c := b.Claim("greedy", func() {})
		c.Wait(time.Minute)
		if !takes(b.Claim("greedy", nil), 60) || !takes(c, 30) || !takes(b.Claim("greedy", nil), 20) { // exceeds the budget
			t.Fatal("there is no room")
		}
		done := make(chan error, 1)
		go func() {
			err := c.Grow(40)
			c.Release()
			done <- err
		}()
		synctest.Wait()
		begun := time.Now()
		if err := b.Claim("slow", nil).Grow(10); err != nil || time.Since(begun) > 0 {
			t.Errorf("another gets room after %s: %v", time.Since(begun), err)
		}
		if err := <-done; !errors.Is(err, ErrNoRoom) || time.Since(begun) > 0 {
			t.Errorf("it ends after %s: %v", time.Since(begun), err)
		}
	})
}

func TestOneRequestAtATimeIsEndedForAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(100)
		ended := 0
		var claims []*Claim
		for range 8 { // each takes a moment to give back what it has
			c := b.Claim("greedy", func() { ended++ })
			if !takes(c, 12) {
				t.Fatal("there is no room")
			}
			claims = append(claims, c)
		}
		done := make(chan error, 1)
		go func() { done <- b.Claim("slow", nil).Grow(10) }()
		synctest.Wait()
		for range 3 { // others come and go
			c := b.Claim("greedy", nil)
			if !takes(c, 1) {
				t.Fatal("there is no room")
			}
			c.Release()
			synctest.Wait()
		}
		if ended != 1 {
			t.Errorf("%d requests are ended for one", ended)
		}
		claims[7].Release()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// Each of many that wait gets room in turn, although only those that may fit are woken.
func TestAllThatWaitGetTheirTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, release := full(t)
		var all sync.WaitGroup
		for i := range allUncounted {
			all.Go(func() {
				c := b.Claim(fmt.Sprint(i%5), nil)
				c.Wait(time.Minute)
				if err := c.Grow(1 + i%3*20); err != nil { // small ones, and others
					t.Errorf("request %d: %v", i, err)
				}
				time.Sleep(time.Millisecond)
				c.Release()
			})
		}
		synctest.Wait()
		begun := time.Now()
		release()
		all.Wait()
		if time.Since(begun) >= time.Second {
			t.Errorf("they take %s, though each holds room for a millisecond", time.Since(begun))
		}
		if len(b.blocked) > 0 || len(b.held) > 0 || b.Used() != 0 {
			t.Errorf("%d still wait, %v is held", len(b.blocked), b.held)
		}
	})
}

// Each of 500 requests, which hold a little, waits for room, takes it and gives it
// back.
func BenchmarkManyWait(b *testing.B) {
	const waiters, size = 500, 10_000
	for b.Loop() {
		budget := NewBudget(8 * size)
		var claims []*Claim
		for i := range waiters {
			c := budget.Claim(fmt.Sprint(i), nil)
			c.Wait(time.Hour)
			if err := c.Grow(1); err != nil {
				b.Fatal(err)
			}
			c.Counted()
			claims = append(claims, c)
		}
		all := budget.Claim("quick", nil)
		if !takes(all, 9*size) { // exceeds the budget
			b.Fatal("there is no room")
		}
		var done sync.WaitGroup
		for _, c := range claims {
			done.Go(func() {
				if err := c.Grow(size); err != nil {
					b.Error(err)
				}
				c.Release()
			})
		}
		for blocked(budget) < waiters {
			runtime.Gosched()
		}
		all.Release()
		done.Wait()
	}
}

// blocked is how many requests wait for room.
func blocked(b *Budget) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.blocked)
}

// A request that waits for room ends another that has become slow since, and does not
// only keep those that come later from it.
func TestARequestThatWaitsEndsOneThatBecomesSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(100)
		var stalled *Claim
		stalled = b.Claim("a", func() { go stalled.Release() })
		first := b.Claim("a", nil)
		if !takes(stalled, 60) || !takes(first, 50) { // exceeds the budget
			t.Fatal("there is no room")
		}
		begun, waits := time.Now(), b.Claim("a", nil)
		waits.Wait(time.Minute)
		if err := waits.Grow(20); err != nil || time.Since(begun) > 2*slowArrival {
			t.Errorf("after %s: %v", time.Since(begun), err)
		}
		first.Release()
	})
}
