package docker

import (
	"fmt"
	"testing"
	"time"
)

func TestTheExitCodeInAStatus(t *testing.T) {
	for status, want := range map[string]string{
		"Exited (137) 5 minutes ago": "137 true", "Restarting (1) 2 seconds ago": "1 true", "Exited (0) About an hour ago": "0 true",
		"Up 3 minutes (healthy)": "0 false", "Exited": "0 false", "Exited (": "0 false", "Exited (x) ago": "0 false", "": "0 false", "Created": "0 false",
	} {
		code, ok := codeIn(status)
		if got := fmt.Sprint(code, " ", ok); got != want {
			t.Errorf("%q: %s, want %s", status, got, want)
		}
	}
}

func TestEndsAreRememberedForAWhile(t *testing.T) {
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var ends []time.Time
	for i := range 20 {
		before := ends
		ends = withEnd(ends, begin.Add(time.Duration(i)*time.Minute))
		if len(before) > 0 && &before[0] == &ends[0] {
			t.Fatal("a slice that a snapshot has is modified")
		}
	}
	if len(ends) != 5 || !ends[4].Equal(begin.Add(19*time.Minute)) {
		t.Errorf("%v", ends)
	}
	for i := range 2 * maxEnds {
		ends = withEnd(ends, begin.Add(time.Hour+time.Duration(i)*time.Millisecond))
	}
	if len(ends) != maxEnds {
		t.Errorf("%d ends", len(ends))
	}
}

func TestRemovedContainersAreRememberedBriefly(t *testing.T) {
	s, now := newState(), time.Now()
	for i := range 2 * maxGone {
		labels := map[string]string{"com.docker.compose.service": "api", "secret": "x"}
		s.gone(s.add(&Container{ID: fmt.Sprint(i), Name: "/c", Running: true, Labels: labels}), now)
	}
	s.gone(s.add(&Container{ID: "created", Name: "/never-ran"}), now)
	got := s.snapshot().Gone
	if len(got) != maxGone || got[maxGone-1].ID != fmt.Sprint(2*maxGone-1) {
		t.Fatalf("%d gone", len(got))
	}
	if c := got[0]; len(c.Labels) != 1 || c.Labels["com.docker.compose.service"] != "api" || !c.FinishedAt.Equal(now) || c.State != "exited" {
		t.Errorf("%+v", c)
	}
	s.gone(s.add(&Container{ID: "late", Name: "/c", Running: true}), now.Add(GoneWindow))
	if got := s.snapshot().Gone; len(got) != 1 || got[0].ID != "late" {
		t.Errorf("%d gone, long after", len(got))
	}
}
