package docker

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"collector/pkg/docker/dockertest"
)

func TestOutputIsReadWhereInspectionsAreRefused(t *testing.T) {
	for _, status := range []int{http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed, dockertest.Hang} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			inBubble(t, func(b *bench) {
				b.daemon.Refuse("/containers/{id}/json", status)
				b.start()
				stop := b.discover()
				defer stop()
				pipes, tty := b.container(dockertest.Container{}), b.container(dockertest.Container{TTY: true})
				b.settle(time.Minute)
				b.daemon.Print(pipes, "stdout", "one\n")
				b.settle(time.Second)
				b.daemon.Print(tty, "stdout", "two\n")
				b.settle(time.Second)
				b.wantLines("one", "two")
				// What was printed by the end is read, and what comes after.
				b.daemon.Print(pipes, "stdout", "three\n")
				b.daemon.RestartContainer(pipes)
				b.settle(time.Minute)
				b.daemon.Print(pipes, "stdout", "four\n")
				b.settle(time.Minute)
				b.wantLines("one", "two", "three", "four")
				if s := b.log.String(); strings.Contains(s, "level=ERROR") || strings.Contains(s, "level=WARN") {
					t.Errorf("the source complains:\n%s", s)
				}
			})
		})
	}
}

func TestOutputThatMayNotBeReadIsAskedForOnceAMinute(t *testing.T) {
	for _, status := range []int{http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			inBubble(t, func(b *bench) {
				b.daemon.Refuse("/containers/{id}/logs", status)
				b.start()
				id := b.container(dockertest.Container{})
				b.daemon.Print(id, "stdout", "line\n")
				b.settle(10*time.Minute + time.Second)
				if n := b.daemon.Count("/containers/" + id + "/logs"); n > 11 {
					t.Errorf("%d requests in ten minutes", n)
				}
				if s := b.log.String(); strings.Contains(s, "level=") {
					t.Errorf("the source complains beside the Engine:\n%s", s)
				}
				if s := b.source.snapshot()[0].status.state; s != stateRefused {
					t.Errorf("the container is said to be in the state %q", s)
				}
				b.daemon.Refuse("/containers/{id}/logs", 0)
				b.settle(unreadablePause + time.Second)
				b.wantLines("line")
			})
		})
	}
}
