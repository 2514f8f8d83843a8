package lastgood

import (
	"errors"
	"testing"
)

func TestWhatCannotBeReadIsKeptAsItWas(t *testing.T) {
	v := New("a", func(a, b string) bool { return a == b })
	read := func(value string, err error, want string, changed, failed bool) {
		t.Helper()
		if c, f := v.Read(value, err); c != changed || f != failed || v.Get() != want {
			t.Errorf("%q, %v: it is %q, changed: %t, failed: %t", value, err, v.Get(), c, f)
		}
		if health := v.Health("the last one"); (health != nil) != (err != nil) || !errors.Is(health, err) {
			t.Errorf("%v: %v", err, health)
		}
	}
	gone := errors.New("it is not there")
	read("a", nil, "a", false, false)
	read("", gone, "a", false, true)
	read("", gone, "a", false, false)
	read("a", nil, "a", false, false)
	read("b", nil, "b", true, false)
	read("", gone, "b", false, true)
	read("c", nil, "c", true, false)
	if v.Read("", gone); v.Health("the last one").Error() != "the last one is kept: it is not there" {
		t.Error(v.Health("the last one"))
	}
}
