package otlp

import (
	"testing"

	"collector/pkg/listen"
)

func TestRoomIsHeldForRequestsThatAreToCome(t *testing.T) {
	a := newAdmission(listen.NewBudget(64 << 20))
	a.arrived(32 << 20)
	first, ok := a.enter()
	if !ok {
		t.Fatal("the first was refused")
	}
	second, ok := a.enter()
	if !ok {
		t.Fatal("the second was refused, although half was free")
	}
	if _, ok := a.enter(); ok {
		t.Error("a third was let in, although nothing was free")
	}
	first()
	if _, ok := a.enter(); !ok {
		t.Error("one was refused, although another had left")
	}
	second()
}
