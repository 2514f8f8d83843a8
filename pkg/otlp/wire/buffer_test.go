package wire

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"collector/pkg/listen"
)

// holding is a buffer of so many bytes, in a budget that has used already.
func holding(limit, budget, used int64) *Buffer {
	b := listen.NewBudget(budget)
	if err := b.Claim("other", nil).Grow(int(used)); err != nil {
		panic("BUG: " + err.Error())
	}
	return NewBuffer(b.Claim("client", nil), limit)
}

func TestABufferGrowsUpToItsLimit(t *testing.T) {
	for size, want := range map[int]error{0: nil, 5: nil, 100_000: nil, 100_001: ErrTooLarge, 1 << 20: ErrTooLarge} {
		h := holding(100_000, 1<<20, 0)
		var err error
		for range size {
			if err = h.append([]byte("x")); err != nil {
				break
			}
		}
		if !errors.Is(err, want) || err == nil && string(h.b) != strings.Repeat("x", size) {
			t.Errorf("%d bytes: it holds %d, %v", size, len(h.b), err)
		}
	}
}

func TestABufferClaimsItsMemoryBeforeItIsMade(t *testing.T) {
	h := holding(100<<20, 1<<20, 1<<20+1) // another exceeds the budget
	var err error
	for err == nil {
		err = h.append(make([]byte, 1000))
	}
	if !errors.Is(err, listen.ErrNoRoom) || cap(h.b) > 1<<17 {
		t.Errorf("it holds %d bytes where %d are free: %v", cap(h.b), 1<<17, err)
	}
}

func TestABodyIsReadUpToItsLimit(t *testing.T) {
	for size, want := range map[int]error{0: nil, 5: nil, 100: nil, 101: ErrTooLarge, 1000: ErrTooLarge} {
		body := strings.Repeat("x", size)
		for name, r := range map[string]io.Reader{
			"whole": strings.NewReader(body), "by bytes": iotest.OneByteReader(strings.NewReader(body)), "with the end": iotest.DataErrReader(strings.NewReader(body)),
		} {
			if got, err := io.ReadAll(LimitReader(r, 100)); !errors.Is(err, want) || err == nil && string(got) != body {
				t.Errorf("%d bytes, %s: %d bytes, %v", size, name, len(got), err)
			}
		}
	}
}
