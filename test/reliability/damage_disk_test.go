//go:build integration

package reliability

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"collector/pkg/docker/dockertest"
	"collector/test/harness"
)

// diskSize is the size of the file system that is filled.
const diskSize = 64 << 20

// free is the space that is left on a file system.
func free(t *testing.T, dir string) int64 {
	t.Helper()
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		t.Fatal(err)
	}
	return int64(fs.Bavail) * fs.Bsize
}

// bigProfileSender pushes profiles of 64 KiB.
func bigProfileSender(address string) func(seq int) error {
	content := bytes.Repeat([]byte("profile "), 8<<10)
	return func(seq int) error {
		query := url.Values{"name": {fmt.Sprintf("big{seq=%d}", seq)}, "format": {"speedscope"}}.Encode()
		return post(http.DefaultClient, "http://"+address+"/ingest?"+query, "application/octet-stream", content)
	}
}

// diskFill is one way to fill the disk.
type diskFill struct {
	name       string
	begin, end func()
}

func (s *fourSignals) diskFills(t *testing.T) []diskFill {
	return []diskFill{strangersFile(t, s.Collector.Storage), {"an outage", func() {
		s.setAway(t, true)
	}, func() {
		s.setAway(t, false)
	}}}
}

// strangersFile fills the disk of a directory with the file of another program.
func strangersFile(t *testing.T, dir string) diskFill {
	path := filepath.Join(dir, "stranger")
	return diskFill{"another's file", func() {
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		block := make([]byte, 1<<20)
		for err == nil {
			_, err = f.Write(block)
		}
	}, func() {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}}
}

// fillOnce fills the disk, sees clients refused, makes room, and waits until everything
// works again.
func (s *fourSignals) fillOnce(t *testing.T, fill diskFill, profiles *harness.Attempts) {
	t.Helper()
	name := fill.name
	fill.begin()
	refusedBefore, _ := profiles.Refused()
	harness.Eventually(t, 60*time.Second, func() error {
		if n, _ := profiles.Refused(); n < refusedBefore+5 {
			return fmt.Errorf("%s: %d profiles were refused; %d bytes are free", name, n, free(t, s.Collector.Storage))
		}
		return nil
	})
	_, err := profiles.Refused()
	if err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("%s: a client got %v, want 503", name, err)
	}
	pages := s.Target.Scrapes()
	harness.Wait(harness.For(3*time.Second, 5*time.Minute))
	harness.Eventually(t, catchUp, func() error {
		if n := s.Target.Scrapes() - pages; n < 4 {
			return fmt.Errorf("%s: %d pages were scraped while the disk was full", name, n)
		}
		return nil
	})
	s.Collector.Accounts(t)
	fill.end()
	ackedBefore, requests := profiles.Acked(), s.Journals["logs"].Count()
	begin := time.Now()
	harness.Eventually(t, 60*time.Second, func() error {
		if n := profiles.Acked() - ackedBefore; n < 50 {
			return fmt.Errorf("%s: %d profiles were acknowledged afterwards", name, n)
		}
		if s.Journals["logs"].Count() < requests+3 {
			return fmt.Errorf("%s: no more lines arrive", name)
		}
		return nil
	})
	t.Logf("%s: all goes on after %s", name, time.Since(begin).Round(time.Millisecond))
}

// TestM3_AFullDiskHeals fills a small disk in an outage, and by a stranger's
// file while the destinations answer.
func TestM3_AFullDiskHeals(t *testing.T) {
	t.Parallel()
	daemon := dockertest.New(t)
	s := startFourSignals(t, daemon.Host(), 0)
	s.Collector.Storage = harness.SmallDisk(t, diskSize)
	id := daemon.Run(dockertest.Container{Name: "writer"})
	s.Collector.Start(t)
	written := 0
	lines := harness.StartSender(t, 5*time.Millisecond, func(seq int) error {
		daemon.Print(id, "stdout", fmt.Sprintf("line %d\n", seq))
		written = seq
		return nil
	})
	spans := harness.StartAttempts(t, 5*time.Millisecond, harness.SpanSender(t, harness.Address(s.GRPC)))
	profiles := harness.StartAttempts(t, time.Millisecond, bigProfileSender(harness.Address(s.Profiles)))

	for _, f := range s.diskFills(t) {
		s.fillOnce(t, f, profiles)
	}

	lines.Stop()
	ackedSpans, ackedProfiles := spans.Stop(), profiles.Stop()
	harness.GetsOn(t, 60*time.Second, func() error {
		if n := len(s.Loki.Entries()); n < written {
			return fmt.Errorf("%d of %d lines have arrived", n, written)
		}
		return nil
	})
	s.drain(t)
	for signal, acked := range map[string][]int{"traces": ackedSpans, "profiles": ackedProfiles} {
		v, err := s.Journals[signal].Judge()
		if err != nil {
			t.Error(err)
		}
		if lost := missing(acked, v.Arrived); len(lost) > 0 {
			t.Errorf("%s: %d of %d acknowledged are lost: %v", signal, len(lost), len(acked), lost)
		}
	}
	refusedSpans, _ := spans.Refused()
	refusedProfiles, _ := profiles.Refused()
	t.Logf("%d lines, %d spans (%d refused), %d profiles (%d refused): 0 lost", written, len(ackedSpans), refusedSpans, len(ackedProfiles), refusedProfiles)
	for _, a := range s.Collector.Accounts(t) {
		if a.Dropped > 0 && a.Signal != "metrics" {
			t.Errorf("%+v", a)
		}
	}
	s.Collector.Stop(t)
}
