package docker

import (
	"testing"
	"time"

	"collector/pkg/docker/dockertest"
)

// A container writes nothing for a week, during which Docker is asked again and again
// whether it still exists.
func TestContainerSilentForAWeekRepeatsNothing(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.start()
		id := b.container(dockertest.Container{})
		b.daemon.Print(id, "stdout", "one\ntwo\n")
		b.settle(2 * time.Second)
		b.daemon.Print(id, "stderr", "three\n")
		before := b.daemon.Count("/containers/" + id + "/logs")
		for day := range 7 {
			b.settle(24 * time.Hour)
			b.wantLines("one", "two", "three")
			switch day {
			case 2:
				b.start() // as by a reload
			case 4:
				b.daemon.CutConnections()
			}
		}
		asked := b.daemon.Count("/containers/"+id+"/logs") - before
		if asked < 50 || asked > 200 { // every hour
			t.Errorf("the log was opened %d times in a week", asked)
		}
		b.daemon.Print(id, "stdout", "four\n")
		b.settle(2 * time.Second)
		b.wantLines("one", "two", "three", "four")
	})
}

// The streams happen to have been read up to one time, which does not say that
// nothing older will be written: the daemon takes the time first.
func TestStreamsOfEqualTimesLoseNothing(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.start()
		id := b.container(dockertest.Container{})
		at := time.Now()
		b.daemon.Log(id,
			dockertest.Entry{Time: at, Text: "one\n"}, dockertest.Entry{Time: at, Text: "two\n"},
			dockertest.Entry{Stream: "stderr", Time: at, Text: "three\n"})
		b.settle(time.Second)
		b.daemon.CutConnections()
		b.daemon.Log(id, dockertest.Entry{Stream: "stderr", Time: at.Add(-time.Millisecond), Text: "four\n"})
		b.settle(10 * time.Second)
		b.wantLines("one", "two", "three", "four")
	})
}
