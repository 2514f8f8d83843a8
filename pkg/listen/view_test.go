package listen

import (
	"strings"
	"testing"
)

func TestTwoViewsThatListenOnOneAddressAreAConflict(t *testing.T) {
	pool := NewPool()
	a, b := pool.View(), pool.View()
	free, err := pool.Listen("tcp", "127.0.0.1:0", "free")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()

	first, err := a.Listen("tcp", address, "component a")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if err := Conflict(pool, a, b); err != nil {
		t.Errorf("one holder: %v", err)
	}
	second, err := b.Listen("tcp", address, "component b")
	if err != nil {
		t.Fatalf("at a reload, both may hold it for a moment: %v", err)
	}
	err = Conflict(a, b)
	if err == nil || !strings.Contains(err.Error(), address) || !strings.Contains(err.Error(), "component a") || !strings.Contains(err.Error(), "component b") {
		t.Errorf("two holders: %v", err)
	}
	second.Close()
	if err := Conflict(a, b); err != nil {
		t.Errorf("after one has closed: %v", err)
	}
}

func TestOneViewListensOnAnAddressOnce(t *testing.T) {
	view := NewPool().View()
	first, err := view.Listen("tcp", "127.0.0.1:0", "http")
	if err != nil {
		t.Fatal(err)
	}
	address := first.Addr().String()
	first.Close()
	for i := range 2 {
		l, err := view.Listen("tcp", address, "grpc")
		if i == 0 && err == nil {
			defer l.Close()
		}
		if (err != nil) != (i == 1) {
			t.Errorf("listener %d: %v", i, err)
		}
	}
	for range 2 {
		l, err := view.Listen("tcp", "127.0.0.1:0", "any")
		if err != nil {
			t.Errorf("port 0 is a new port each time: %v", err)
			continue
		}
		defer l.Close()
	}
}
