package graph

import (
	"errors"
	"testing"

	"collector/pkg/config"
)

func TestTheRunningAndTheFailedConfigurationAreReported(t *testing.T) {
	c := New(Options{StoragePath: t.TempDir(), Kinds: toyKinds(), Definitions: newToys().definitions()})
	defer c.Stop(0)
	load := func(text string) error {
		return c.Load(t.Context(), []config.Source{{Name: "c.alloy", Text: []byte(text)}})
	}
	const good = "toy.targets \"a\" { }\n"
	if err := load(good); err != nil {
		t.Fatal(err)
	}
	if err := load("toy.nothing \"a\" { }\n"); err == nil {
		t.Fatal("no error")
	}
	inForce, failed := c.Configuration()
	if string(inForce.Sources[0].Text) != good || inForce.Error != "" || inForce.At.IsZero() {
		t.Errorf("in force: %+v", inForce)
	}
	if failed == nil || failed.Error == "" || len(failed.Diagnostics) != 1 || failed.Diagnostics[0].At.Line != 1 || len(failed.Sources) != 1 {
		t.Errorf("failed: %+v", failed)
	}
	c.LoadFailed(t.Context(), errors.New("no such file"))
	if _, failed := c.Configuration(); failed.Error != "no such file" || failed.Sources != nil {
		t.Errorf("unread: %+v", failed)
	}
	if err := load(good); err != nil {
		t.Fatal(err)
	}
	if _, failed := c.Configuration(); failed != nil {
		t.Errorf("after a load that succeeded: %+v", failed)
	}
}

func TestHealthHistoryKeepsTheChangesOnly(t *testing.T) {
	n := &node{}
	for i := range 3 * maxHistory {
		n.remember(Health{State: Healthy})
		n.remember(Health{State: Unhealthy, Message: "first"})
		n.remember(Health{State: Unhealthy, Message: "last"})
		if want := min(2*(i+1), maxHistory); len(n.history) != want {
			t.Fatalf("%d entries, want %d", len(n.history), want)
		}
	}
	if last := n.history[maxHistory-1]; last.State != Unhealthy || last.Message != "last" {
		t.Errorf("the last is %+v", last)
	}
}
