package listen

import "testing"

func TestBudget(t *testing.T) {
	b := NewBudget(100)
	first, second := b.Claim(), b.Claim()
	f := func(name string, got, want bool) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %t, want %t", name, got, want)
		}
	}
	f("a request that is alone exceeds the budget", first.Take(150), true)
	f("another does not come in", second.Take(7), false)
	f("nothing is no more than nothing", second.Take(0), true)
	f("the first one goes on", first.Take(50), true)
	if b.Used() != 200 {
		t.Errorf("%d bytes are taken", b.Used())
	}
	first.Release()
	first.Release() // changes nothing
	f("there is room again", second.Take(60), true)
	f("for what fits", first.Take(40), true)
	f("and no more", second.Take(7), false)
	first.Release()
	second.Release()
	if b.Used() != 0 {
		t.Errorf("%d bytes are still taken", b.Used())
	}
}

func TestLargeRequestsLeaveRoomForSmallOnes(t *testing.T) {
	b := NewBudget(1600)
	large := b.Claim()
	large.Take(2000) // alone
	second := b.Claim()
	if second.Take(101) {
		t.Error("a second large request is taken beyond the budget")
	}
	first, third := b.Claim(), b.Claim()
	if !first.Take(60) || !first.Take(40) || !third.Take(100) {
		t.Error("small requests find no room beside a large one")
	}
	if fourth := b.Claim(); fourth.Take(1) {
		t.Error("small requests take more than an eighth beyond the budget")
	}
	if first.Take(1) {
		t.Error("a small request grows large beyond the budget")
	}
	large.Release()
	if !first.Take(1) || !second.Take(101) {
		t.Error("what a large request gave back is not there for others")
	}
	for _, c := range []*Claim{&first, &second, &third} {
		c.Release()
	}
	if n := b.Used(); n != 0 {
		t.Errorf("%d bytes are held by nobody", n)
	}
	if fourth := b.Claim(); !fourth.Take(1600) {
		t.Error("the whole budget is not there again")
	}
}
