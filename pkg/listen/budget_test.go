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
	f("another does not come in", second.Take(1), false)
	f("nothing is no more than nothing", second.Take(0), true)
	f("the first one goes on", first.Take(50), true)
	if b.Used() != 200 {
		t.Errorf("%d bytes are taken", b.Used())
	}
	first.Release()
	first.Release() // changes nothing
	f("there is room again", second.Take(60), true)
	f("for what fits", first.Take(40), true)
	f("and no more", second.Take(1), false)
	first.Release()
	second.Release()
	if b.Used() != 0 {
		t.Errorf("%d bytes are still taken", b.Used())
	}
}
