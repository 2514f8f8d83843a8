package listen

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// takes reports whether c may take n bytes more.
func takes(c *Claim, n int) bool { return c.Grow(n) == nil }

func TestBudget(t *testing.T) {
	b := NewBudget(100)
	first, second := b.Claim("", nil), b.Claim("", nil)
	f := func(name string, got, want bool) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %t, want %t", name, got, want)
		}
	}
	f("a request that is alone exceeds the budget", takes(first, 150), true)
	f("another does not come in", takes(second, 7), false)
	f("nothing is no more than nothing", takes(second, 0), true)
	f("the first one goes on", takes(first, 50), true)
	if b.Used() != 200 {
		t.Errorf("%d bytes are taken", b.Used())
	}
	first.Release()
	first.Release() // changes nothing
	third := b.Claim("", nil)
	f("there is room again", takes(second, 60), true)
	f("for what fits", takes(first, 40), true)
	f("one of them exceeds it", takes(second, 7), true)
	f("and no other", takes(first, 7), false)
	f("whoever it is", takes(third, 7), false)
	f("until the first has ended", takes(second, 193), true)
	f("which may not take all", takes(second, 1), false)
	second.Release()
	f("then another does", takes(first, 100), true)
	first.Release()
	third.Release()
	if b.Used() != 0 {
		t.Errorf("%d bytes are still taken", b.Used())
	}
}

func TestLargeRequestsLeaveRoomForSmallOnes(t *testing.T) {
	b := NewBudget(1600)
	large := b.Claim("", nil)
	takes(large, 2000) // alone
	second := b.Claim("", nil)
	if takes(second, 101) {
		t.Error("a second large request is taken beyond the budget")
	}
	first, third := b.Claim("", nil), b.Claim("", nil)
	if !takes(first, 60) || !takes(first, 40) || !takes(third, 100) {
		t.Error("small requests find no room beside a large one")
	}
	if fourth := b.Claim("", nil); takes(fourth, 1) {
		t.Error("small requests take more than an eighth beyond the budget")
	}
	if takes(first, 1) {
		t.Error("a small request grows large beyond the budget")
	}
	large.Release()
	if !takes(first, 1) || !takes(second, 101) {
		t.Error("what a large request gave back is not there for others")
	}
	for _, c := range []*Claim{first, second, third} {
		c.Release()
	}
	if n := b.Used(); n != 0 {
		t.Errorf("%d bytes are held by nobody", n)
	}
	if fourth := b.Claim("", nil); !takes(fourth, 1600) {
		t.Error("the whole budget is not there again")
	}
}

func TestNoRequestTakesAllTheMemoryThoughItIsAlone(t *testing.T) {
	b := NewBudget(100)
	c := b.Claim("a", nil)
	if err := c.Grow(300); err != nil {
		t.Fatalf("three times the budget, alone: %v", err)
	}
	if err := c.Grow(1); !errors.Is(err, ErrTooLarge) {
		t.Errorf("more than that: %v", err)
	}
	c.Release()
	if n := b.Used(); n != 0 {
		t.Errorf("%d bytes are held by nobody", n)
	}
}

// arriving is a request that is released when it is ended for another.
func arriving(b *Budget, client string, n int) (c *Claim, ended *atomic.Bool) {
	ended = new(atomic.Bool)
	c = b.Claim(client, func() {
		ended.Store(true)
		c.Release()
	})
	if err := c.Grow(n); err != nil {
		panic(err)
	}
	return c, ended
}

func TestARequestThatHasBeenArrivingForLongMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(100)
		_, old := arriving(b, "a", 60)
		time.Sleep(slowArrival / 2)
		_, young := arriving(b, "a", 40)
		c := b.Claim("a", nil)
		first := b.Claim("a", nil)
		takes(first, 10) // exceeds the budget
		if err := c.Grow(50); !errors.Is(err, ErrNoRoom) || old.Load() || young.Load() {
			t.Errorf("before that, none of the same client ends: %v", err)
		}
		first.Release()
		time.Sleep(slowArrival/2 + 1)
		if err := c.Grow(50); err != nil || !old.Load() || young.Load() {
			t.Errorf("the oldest makes room, and only that: %v, %t, %t", err, old.Load(), young.Load())
		}
	})
}

// A client that keeps restarting its requests, so that they are always the youngest, must
// not get a good one ended.
func TestASlowRequestWithinItsShareIsNotEndedForAGreedyClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(100)
		good, ended := arriving(b, "good", 30)
		time.Sleep(slowArrival + time.Second)
		_, young := arriving(b, "greedy", 60)
		first := b.Claim("greedy", nil)
		takes(first, 20) // exceeds the budget
		if err := b.Claim("greedy", nil).Grow(20); !errors.Is(err, ErrNoRoom) || ended.Load() {
			t.Errorf("the greedy client asks for more: %v, the good one's request ended: %t", err, ended.Load())
		}
		if err := b.Claim("other", nil).Grow(20); err != nil || ended.Load() || !young.Load() {
			t.Errorf("another client asks for its share: %v, the good one's request ended: %t, the greedy one's: %t", err, ended.Load(), young.Load())
		}
		first.Release()
		greedy, _ := arriving(b, "greedy", 40)
		greedy.Arrived()
		if err := good.Grow(20); err != nil {
			t.Errorf("the good request goes on: %v", err)
		}
	})
}

// Requests that take long for want of CPU time must not end each other
// again and again.
func TestTheRequestThatExceedsTheBudgetIsLeftItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(100)
		first, ended := arriving(b, "a", 60)
		_, _ = arriving(b, "a", 40)
		if !takes(first, 60) {
			t.Fatal("it does not exceed the budget")
		}
		time.Sleep(slowArrival + 1)
		_ = b.Claim("a", nil).Grow(50)
		if ended.Load() {
			t.Error("it was ended before its time")
		}
		time.Sleep(firstTime)
		_ = b.Claim("a", nil).Grow(50)
		if !ended.Load() {
			t.Error("it was not ended though it took too long")
		}
	})
}

// steady is a request of n bytes, of which a tenth comes every interval; done is
// how it ended.
func steady(b *Budget, client string, n int, interval time.Duration) (done <-chan error) {
	ended := make(chan error, 1)
	go func() {
		a := b.Arrive(client, func(time.Time) {})
		defer a.Release()
		if err := a.Grow(n); err != nil {
			ended <- err
			return
		}
		for range 10 {
			time.Sleep(interval)
			if err := a.Read(n/10, nil); err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	synctest.Wait()
	return ended
}

// Requests that share a connection take longer than others, which must not end
// them each time.
func TestARequestThatArrivesSteadilyIsNotEndedForOthers(t *testing.T) {
	for name, c := range map[string]struct {
		interval time.Duration
		want     error
	}{
		"steadily":      {600 * time.Millisecond, nil},
		"too slowly":    {1200 * time.Millisecond, ErrNoRoom},
		"with a pause":  {2100 * time.Millisecond, ErrNoRoom},
		"not by itself": {time.Hour, ErrNoRoom},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := NewBudget(100)
				done := steady(b, "a", 60, c.interval)
				for len(done) == 0 {
					for range 3 { // they ask again and again
						other := b.Claim("a", nil)
						if takes(other, 50) {
							time.Sleep(10 * time.Millisecond)
						}
						other.Release()
					}
					time.Sleep(10 * time.Millisecond)
				}
				if err := <-done; !errors.Is(err, c.want) {
					t.Errorf("it ended with %v, want %v", err, c.want)
				}
			})
		})
	}
}

// A client that has more than its share, and whose requests arrive slowly, gets one
// of them through however many others ask.
func TestTheLargestRequestOfAClientIsSpared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(100)
		large := steady(b, "slow", 60, 500*time.Millisecond)
		small := steady(b, "slow", 20, 500*time.Millisecond)
		for len(large) == 0 {
			quick := b.Claim("quick", nil)
			if !takes(quick, 40) {
				t.Error("the other client does not get its share")
			}
			quick.Release()
			time.Sleep(10 * time.Millisecond)
		}
		if err := <-large; err != nil {
			t.Errorf("the largest ended with %v", err)
		}
		if err := <-small; !errors.Is(err, ErrNoRoom) {
			t.Errorf("the other ended with %v", err)
		}
	})
}

func TestEachTransportOfAnAddressHasAShare(t *testing.T) {
	b := NewBudget(100)
	var ended []*atomic.Bool
	for range 4 {
		_, e := arriving(b, ClientBy("HTTP", "10.0.0.1:1"), 25)
		ended = append(ended, e)
	}
	if err := b.Claim(ClientBy("gRPC", "10.0.0.1:2"), nil).Grow(40); err != nil {
		t.Error(err)
	}
	for i, e := range ended {
		if want := i >= 2; e.Load() != want {
			t.Errorf("request %d ended: %t, want %t", i, e.Load(), want)
		}
	}
}

// waiting begins a request that waits for n bytes; done is how that ends.
func waiting(b *Budget, client string, n int) (done <-chan error) {
	ended := make(chan error, 1)
	go func() {
		c := b.Claim(client, nil)
		c.Wait(time.Second)
		ended <- c.Grow(n)
	}()
	synctest.Wait()
	return ended
}

func TestTheNextRoomIsForTheWaitingClientThatHoldsLess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(100)
		first, second := b.Claim("quick", nil), b.Claim("quick", nil)
		if !takes(first, 50) || !takes(second, 60) { // exceeds the budget
			t.Fatal("there is no room")
		}
		done := waiting(b, "slow", 40)
		first.Release()
		if err := b.Claim("quick", nil).Grow(40); !errors.Is(err, ErrNoRoom) {
			t.Errorf("the quick one is asked first: %v", err)
		}
		if err := b.Claim("quick", nil).Grow(5); err != nil {
			t.Errorf("a small one: %v", err)
		}
		if err := b.Claim("other", nil).Grow(5); err != nil {
			t.Errorf("a client that holds nothing: %v", err)
		}
		if synctest.Wait(); len(done) == 0 {
			t.Fatal("the slow one still waits though there is room")
		} else if err := <-done; err != nil {
			t.Errorf("the slow one: %v", err)
		}
	})
}

func TestARequestWaitsNoLongerThanItsPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(100)
		first, second := b.Claim("a", nil), b.Claim("a", nil)
		if !takes(first, 50) || !takes(second, 60) {
			t.Fatal("there is no room")
		}
		begun := time.Now()
		done := waiting(b, "b", 40)
		if err := <-done; !errors.Is(err, ErrNoRoom) || time.Since(begun) != time.Second {
			t.Errorf("it ends after %s with %v", time.Since(begun), err)
		}
		first.Release()
		if err := b.Claim("a", nil).Grow(40); err != nil {
			t.Errorf("when nobody waits any more: %v", err)
		}
	})
}

func TestAClientHasItsShareWhileOthersHoldAllTheRest(t *testing.T) {
	b := NewBudget(90)
	var ended []*atomic.Bool
	for range 9 {
		_, e := arriving(b, "greedy", 10)
		ended = append(ended, e)
	}
	count := func() (n int) {
		for _, e := range ended {
			if e.Load() {
				n++
			}
		}
		return n
	}
	good := b.Claim("good", nil)
	if err := good.Grow(45); err != nil || count() != 5 {
		t.Errorf("half of it: %v, and %d of the other's requests ended, want 5", err, count())
	}
	first := b.Claim("first", nil)
	takes(first, 100) // exceeds the budget
	if err := good.Grow(10); !errors.Is(err, ErrNoRoom) || count() != 5 {
		t.Errorf("more than its share: %v, %d ended", err, count())
	}
	first.Release()
	third := b.Claim("third", nil)
	if err := third.Grow(15); err != nil || count() != 6 {
		t.Errorf("of a third client: %v, %d ended", err, count())
	}
	takes(first, 100)
	if err := third.Grow(15); !errors.Is(err, ErrNoRoom) || count() != 6 {
		t.Errorf("of one that has its share: %v, %d ended", err, count())
	}
}

// Requests that each hold a part of the budget, and need more than is left of it, must
// not block each other forever.
func TestOneRequestMakesProgressHoweverManyAskAtOnce(t *testing.T) {
	const size, first = 48, 10
	b := NewBudget(60)
	var waiting []*Claim
	done := 0
	for range 100 {
		c := b.Claim("a", nil)
		if !takes(c, first) {
			continue
		}
		waiting = append(waiting, c)
		if len(waiting) < 6 {
			continue
		}
		for _, c := range waiting[:3] { // the others are there all the time
			if takes(c, size-first) {
				done++
			}
			c.Release()
		}
		waiting = waiting[3:]
	}
	if done < 30 {
		t.Errorf("%d requests got on", done)
	}
	if n := b.Used(); n > 60 {
		t.Errorf("%d bytes are taken", n)
	}
}

func TestOneClientMayHaveAllWhileNobodyElseWaits(t *testing.T) {
	b := NewBudget(100)
	for range 10 {
		if err := b.Claim("proxy", nil).Grow(10); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWhatHasArrivedIsNotEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(100)
		takes(b.Claim("a", nil), 200) // exceeds the budget
		first, ended := arriving(b, "a", 6)
		first.Arrived()
		time.Sleep(time.Minute)
		if err := b.Claim("b", nil).Grow(50); !errors.Is(err, ErrNoRoom) || ended.Load() {
			t.Errorf("got %v, ended: %t", err, ended.Load())
		}
	})
}

// One that is ended and holds on to its memory keeps the other waiting, though not
// forever: only memory that was given back is room.
func TestRoomIsThereOnlyWhenItIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(100)
		if err := b.Claim("a", func() {}).Grow(100); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		if err := b.Claim("b", nil).Grow(250); !errors.Is(err, ErrNoRoom) || time.Since(begun) != endingTime {
			t.Errorf("got %v after %s", err, time.Since(begun))
		}
		if n := b.Used(); n != 100 {
			t.Errorf("%d bytes are taken", n)
		}
	})
}

func TestClientOf(t *testing.T) {
	for address, want := range map[string]string{
		"10.0.0.1:1234": "10.0.0.1", "[2001:db8:1:2:3:4:5:6]:80": "2001:db8:1:2::", "[::ffff:10.0.0.1]:1": "::ffff:10.0.0.1", "[fe80::1%eth0]:1": "fe80::", "@": "@", "": "",
	} {
		if got := ClientOf(address); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
}
