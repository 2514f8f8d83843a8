package listen

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

// trickle writes n bytes at a time to the returned connection, until it ends.
func trickle(t *testing.T, n int, pause time.Duration) net.Conn {
	t.Helper()
	client, server := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			if _, err := client.Write(make([]byte, n)); err != nil {
				return
			}
			time.Sleep(pause)
		}
	}()
	t.Cleanup(func() {
		server.Close()
		<-done
	})
	return server
}

func arrive(b *Budget, conn net.Conn) *Arrival {
	return b.Arrive("a", func(t time.Time) { conn.SetReadDeadline(t) })
}

func TestARequestThatTricklesInEnds(t *testing.T) {
	for name, c := range map[string]struct {
		bytes       int
		pause, ends time.Duration
		limit       int64
	}{
		"that stalls":         {20000, time.Hour, rateTime, 1 << 30},
		"byte by byte":        {1, time.Millisecond, rateTime, 1 << 30},
		"just fast enough":    {rateBytes, 9 * time.Second, longestArrival, 1 << 30},
		"as fast as it needs": {rateBytes, 100 * time.Millisecond, 0, 5 * rateBytes},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn := trickle(t, c.bytes, c.pause)
				b := NewBudget(1 << 30)
				a := arrive(b, conn)
				begun := time.Now()
				_, err := a.ReadAll(a.Reader(conn), -1, c.limit)
				took := time.Since(begun)
				if c.ends == 0 {
					if err != nil {
						t.Errorf("it ends after %s with %v", took, err)
					}
					return
				}
				if !errors.Is(err, ErrTooSlow) || took > c.ends {
					t.Errorf("it ends after %s with %v, want %s", took, err, c.ends)
				}
				if n := b.Used(); n != 0 {
					t.Errorf("%d bytes are still held", n)
				}
			})
		})
	}
}

// The stalled ones hold everything, of the same client.
func TestStalledRequestsMakeRoomForAGoodOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(1 << 20)
		ended := make(chan error, 16)
		for range 16 {
			conn := trickle(t, 60000, time.Hour)
			go func() {
				a := arrive(b, conn)
				defer a.Release()
				_, err := a.ReadAll(a.Reader(conn), 1<<19, 1<<20)
				ended <- err
			}()
		}
		synctest.Wait()
		if n := b.Used(); n < 1<<20-1<<16 {
			t.Fatalf("only %d bytes are held", n)
		}
		time.Sleep(slowArrival + 1)
		good := b.Claim("a", nil)
		if err := good.Grow(300 << 10); err != nil {
			t.Error(err)
		}
		if n := len(ended); n == 0 || n > 5 {
			t.Errorf("%d requests ended for it", n)
		} else if err := <-ended; !errors.Is(err, ErrNoRoom) {
			t.Errorf("they ended with %v", err)
		}
	})
}

func TestReadAllClaimsWhatItAllocates(t *testing.T) {
	text := strings.Repeat("0123456789abcdef", 10000)
	for _, size := range []int64{-1, int64(len(text))} {
		b := NewBudget(1 << 20)
		c := b.Claim("a", nil)
		got, err := c.ReadAll(iotest.HalfReader(strings.NewReader(text)), size, 1<<20)
		if err != nil || string(got) != text {
			t.Fatalf("%d bytes of %d arrived: %v", len(got), len(text), err)
		}
		if n := b.Used(); n != int64(cap(got)) {
			t.Errorf("%d bytes are claimed, %d are allocated", n, cap(got))
		}
		c.Free(got)
		if n := b.Used(); n != 0 {
			t.Errorf("%d bytes are claimed when all is freed", n)
		}
	}
}

func TestReadAllEndsAtItsLimits(t *testing.T) {
	b := NewBudget(1 << 20)
	c := b.Claim("a", nil)
	zeros := bytes.NewReader(make([]byte, 1<<20))
	if got, err := c.ReadAll(zeros, -1, 5000); err != nil || len(got) != 5001 {
		t.Errorf("%d bytes, %v", len(got), err)
	} else {
		c.Free(got)
	}
	if got, err := c.ReadAll(strings.NewReader(""), 0, 5000); err != nil || len(got) != 0 {
		t.Errorf("%d bytes, %v", len(got), err)
	} else {
		c.Free(got)
	}
	other := b.Claim("a", nil)
	other.Grow(1<<20 + 1) // the one that exceeds the budget
	if _, err := c.ReadAll(io.LimitReader(zeros, 1<<18), 1<<18, 1<<20); !errors.Is(err, ErrNoRoom) {
		t.Errorf("without room: %v", err)
	}
	if _, err := c.ReadAll(zeros, -1, 1<<20); !errors.Is(err, ErrNoRoom) {
		t.Errorf("of unknown length, without room: %v", err)
	}
	other.Release()
	failure := errors.New("failure")
	if _, err := c.ReadAll(iotest.ErrReader(failure), -1, 5000); !errors.Is(err, failure) {
		t.Errorf("got %v", err)
	}
	if n := b.Used(); n != 0 {
		t.Errorf("%d bytes are claimed when all is freed", n)
	}
}

// What resumes has a new time to arrive, and ends again when others need its memory.
func TestWhatResumesArrivesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(1 << 20)
		var due time.Time
		a := b.Arrive("a", func(d time.Time) { due = d })
		defer a.Release()
		if err := a.Grow(1 << 19); err != nil {
			t.Fatal(err)
		}
		a.Arrived()
		time.Sleep(longestArrival)
		if !due.IsZero() {
			t.Errorf("what has arrived is due at %v", due)
		}
		a.Resume()
		if want := time.Now().Add(rateTime); !due.Equal(want) {
			t.Errorf("it is due at %v, want %v", due, want)
		}
		if err := a.Read(1, nil); err != nil {
			t.Error(err)
		}
		time.Sleep(rateTime)
		if err := a.Read(0, io.ErrClosedPipe); !errors.Is(err, ErrTooSlow) {
			t.Error(err)
		}
		a.Arrived()
		a.Resume()
		time.Sleep(slowArrival + 1)
		other := b.Claim("b", nil)
		released := make(chan struct{})
		go func() {
			defer close(released)
			for due.After(time.Now()) {
				time.Sleep(time.Millisecond)
			}
			a.Release()
		}()
		if err := other.Grow(1 << 20); err != nil {
			t.Error(err)
		}
		<-released
		other.Release()
	})
}
