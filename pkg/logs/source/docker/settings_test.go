package docker

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"collector/pkg/component"
	"collector/pkg/docker/dockertest"
)

func TestLinesAreCutAsLongAsConfigured(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.cfg.MaxLineSize = 2 * component.KiB
		b.start()
		id := b.container(dockertest.Container{})
		b.daemon.Print(id, "stdout", strings.Repeat("a", 2048)+"\n")
		b.daemon.Print(id, "stdout", strings.Repeat("b", 2049)+"\n")
		b.settle(time.Second)
		marker := fmt.Sprintf("… [cut by collector: %d bytes]", 2049)
		b.wantLines(strings.Repeat("a", 2048), strings.Repeat("b", 2048-len(marker))+marker)
	})
}

func TestAnEndedContainerIsLookedAtEachRefreshInterval(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.cfg.RefreshInterval = 10 * time.Second
		b.start()
		id := b.container(dockertest.Container{})
		b.daemon.Print(id, "stdout", "a\n")
		b.settle(time.Second)
		b.daemon.Stop(id)
		b.settle(time.Minute) // until pauses are as long as they get
		before := len(b.daemon.Requests())
		b.settle(time.Minute)
		if n := len(b.daemon.Requests()) - before; n < 5 {
			t.Errorf("%d requests in a minute, want one each 10 s at least", n)
		}
	})
}
