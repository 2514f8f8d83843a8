package queue

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestABlockIsSyncedBeforeItHasWaitedForASecond(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var appended []time.Time // of the blocks that no sync has covered
		var longest time.Duration
		syncs := 0
		sys := quick()
		sys.minSegment = 1 << 20 // one file, so that a sync covers all
		sys.sync = func(f *os.File) error {
			if filepath.Ext(f.Name()) != segmentSuffix {
				return nil
			}
			mu.Lock()
			syncs++
			for _, at := range appended {
				longest = max(longest, time.Since(at))
			}
			appended = nil
			mu.Unlock()
			time.Sleep(20 * time.Millisecond) // more is appended in the meantime
			return nil
		}
		q := tryOpen(t, Options{Dir: dir, Readers: []string{"a"}}, sys)
		defer func() { _ = q.Close() }()
		var begun time.Time
		for i := range 1000 {
			mustAppend(t, q, i, i+1)
			mu.Lock()
			appended = append(appended, time.Now())
			mu.Unlock()
			// All phases of the ticks, and times with nothing to sync.
			pause := time.Duration(i) * 7 * time.Millisecond
			if i >= 200 {
				pause = 15 * time.Millisecond // some are always waiting
			}
			time.Sleep(pause)
			synctest.Wait()
			if i == 200 {
				mu.Lock()
				begun, syncs = time.Now(), 0
				mu.Unlock()
			}
		}
		mu.Lock()
		defer mu.Unlock()
		if longest == 0 || longest > time.Second {
			t.Errorf("a block waited for %v", longest)
		}
		if seconds := int(time.Since(begun).Seconds()) + 1; syncs > seconds {
			t.Errorf("%d syncs in %d seconds", syncs, seconds)
		}
	})
}

func TestARepeatedFailureIsLoggedOnceAMinute(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		sys := quick()
		sys.sync = func(*os.File) error { return syscall.EIO }
		q := tryOpen(t, Options{Dir: dir, Readers: []string{"a"}, Logger: slog.New(slog.NewTextHandler(&log, nil))}, sys)
		mustAppend(t, q, 0, 1)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := strings.Count(log.String(), "\n"); n < 9 || n > 11 {
			t.Errorf("%d lines:\n%s", n, log.String())
		}
		if err := q.Close(); !errors.Is(err, syscall.EIO) {
			t.Errorf("close: %v", err)
		}
	})
}

func TestTheLastAcknowledgmentIsSavedWhenTheDiskWorksAgain(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var broken atomic.Bool
		sys := quick()
		sys.write = func(f *os.File, b []byte, off int64) (int, error) {
			if broken.Load() && strings.HasSuffix(f.Name(), cursorSuffix) {
				return 0, syscall.ENOSPC
			}
			return f.WriteAt(b, off)
		}
		q := tryOpen(t, Options{Dir: dir, Readers: []string{"a"}}, sys)
		mustAppend(t, q, 0, 3)
		l, err := q.Reader("a").TryNext(BatchLimits{})
		if err != nil {
			t.Fatal(err)
		}
		broken.Store(true)
		if err := q.Reader("a").Ack(l); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("ack: %v", err)
		}
		time.Sleep(time.Minute)
		broken.Store(false)
		time.Sleep(time.Second)
		synctest.Wait()
		name := cursorName("a")
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if c := parseCursorFile(name, content); c.cursor.seq != 4 {
			t.Errorf("the file says %d, want 4", c.cursor.seq)
		}
		_ = q.Close()
	})
}

func TestADirectoryThatIsRemovedCostsOnlyWhatWasInIt(t *testing.T) {
	for name, next := range map[string]Block{
		"goes on in the segment": {Data: []byte("1"), Items: 1},
		"begins a segment":       {Data: make([]byte, 9<<10), Items: 1},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "storage", "queue")
			synctest.Test(t, func(t *testing.T) {
				o := Options{Dir: dir, Readers: []string{"a", "b"}, MaxBytes: 1}
				q := tryOpen(t, o, quick())
				q.segmentSize = 8 << 10
				if err := q.Append(t.Context(), kilobyte(0)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute) // nothing is left to sync
				if err := os.RemoveAll(filepath.Dir(dir)); err != nil {
					t.Fatal(err)
				}
				if err := q.Append(t.Context(), next); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
				synctest.Wait()
				for i := range 5 {
					if err := q.Append(t.Context(), kilobyte(10+i)); err != nil {
						t.Fatal(err)
					}
				}
				l, err := q.Reader("a").TryNext(BatchLimits{})
				if err != nil || l == nil {
					t.Fatal(l, err)
				}
				if n := len(l.Blocks); number(t, l.Blocks[n-1]) != 14 || n < 5 {
					t.Errorf("%d blocks are leased", n)
				}
				if err := q.Reader("a").Ack(l); err != nil {
					t.Fatal(err)
				}
				if s := q.Stats()[0]; s.Received != s.Delivered+s.Dropped[ReasonDamaged] || s.Queued != 0 {
					t.Errorf("%+v", s)
				}
				for _, id := range o.Readers {
					if _, err := os.Stat(filepath.Join(dir, cursorName(id))); err != nil {
						t.Error(err)
					}
				}
				// Another process finds what is left, as after a kill.
				q2 := tryOpen(t, Options{Dir: copyDir(t, dir), Readers: o.Readers}, quick())
				if a, b := q2.Stats()[0], q2.Stats()[1]; a.Queued != 0 || b.Queued < 5 {
					t.Errorf("after a kill: %+v, %+v", a, b)
				}
				if _, err := Open(o); !errors.Is(err, ErrInUse) {
					t.Errorf("a second process: %v", err)
				}
				_ = q2.Close()
				_ = q.Close()
			})
		})
	}
}

func TestAnEmptyDirectoryThatIsRemovedCostsNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "queue")
	synctest.Test(t, func(t *testing.T) {
		q := tryOpen(t, Options{Dir: dir, Readers: []string{"a"}}, quick())
		mustAppend(t, q, 0, 1)
		l, err := q.Reader("a").TryNext(BatchLimits{})
		if err != nil {
			t.Fatal(err)
		}
		if err := q.Reader("a").Ack(l); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		mustAppend(t, q, 1, 3)
		if l, err = q.Reader("a").TryNext(BatchLimits{}); err != nil || l == nil || len(l.Blocks) != 2 {
			t.Fatal(l, err)
		}
		if err := q.Reader("a").Ack(l); err != nil {
			t.Fatal(err)
		}
		if s := q.Stats()[0]; s.Delivered != 3 || s.Received != 3 {
			t.Errorf("%+v", s)
		}
		_ = q.Close()
	})
}
