package queue

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// platter is what a disk certainly holds of a directory: what fsync has covered. Anything
// of what was written since may have reached it, too.
type platter struct {
	mu      sync.Mutex
	content map[string][]byte // by file name, as of its last fsync
	entries map[string]bool   // as of the last fsync of the directory
}

func (p *platter) sync(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if info.IsDir() {
		list, err := os.ReadDir(f.Name())
		if err != nil {
			return err
		}
		p.entries = make(map[string]bool)
		for _, e := range list {
			p.entries[e.Name()] = true
		}
		return nil
	}
	content := make([]byte, info.Size())
	if _, err := f.ReadAt(content, 0); err != nil {
		return err
	}
	p.content[filepath.Base(f.Name())] = content
	return nil
}

// cut writes to dir what the disk may hold of live after a power cut.
func (p *platter) cut(t *testing.T, random *rand.Rand, live, dir string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	list, err := os.ReadDir(live)
	if err != nil {
		t.Fatal(err)
	}
	now := make(map[string]bool)
	for _, e := range list {
		now[e.Name()] = true
		if !p.entries[e.Name()] && random.IntN(2) == 0 {
			continue // the name was not yet written
		}
		current, err := os.ReadFile(filepath.Join(live, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		p.write(t, dir, e.Name(), mix(random, p.content[e.Name()], current))
	}
	for name := range p.entries {
		if content, ok := p.content[name]; ok && !now[name] && random.IntN(2) == 0 {
			p.write(t, dir, name, content) // its removal was not yet written
		}
	}
}

func (p *platter) write(t *testing.T, dir, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), content, 0o640); err != nil {
		t.Fatal(err)
	}
}

// mix is what may become of a file whose content went from synced to current:
// either, or pages of both. Where neither was written there are zeros.
func mix(random *rand.Rand, synced, current []byte) []byte {
	switch random.IntN(3) {
	case 0:
		return synced
	case 1:
		return current
	}
	const page = 512
	out := make([]byte, []int{len(synced), len(current)}[random.IntN(2)])
	for off := 0; off < len(out); off += page {
		from := synced
		if random.IntN(2) == 0 {
			from = current
		}
		if off < len(from) {
			copy(out[off:min(off+page, len(out))], from[off:])
		}
	}
	return out
}

// TestAPowerCutCostsASecond cuts the power after random operations. Whatever of
// the writes that no fsync has covered has reached the disk, what was appended
// more than a second before is leased, unless it was acknowledged, and
// nothing is leased that was not appended, twice, or out of order.
func TestAPowerCutCostsASecond(t *testing.T) {
	rounds := 60
	if os.Getenv("SOAK") != "" {
		rounds = 5000
	}
	for seed := range rounds {
		live, after := t.TempDir(), t.TempDir()
		random := rand.New(rand.NewPCG(uint64(seed), 1))
		p := &platter{content: make(map[string][]byte)}
		appended, acked := make(map[int]time.Time), make(map[int]bool)
		var cutAt time.Time
		synctest.Test(t, func(t *testing.T) {
			sys := quick()
			sys.sync = p.sync
			q := tryOpen(t, Options{Dir: live, Readers: []string{"a"}}, sys)
			operate(t, q, random, appended, acked)
			cutAt = time.Now()
			p.cut(t, random, live, after)
			if err := q.Close(); err != nil {
				t.Error(err)
			}
		})
		checkAfterCut(t, seed, after, appended, acked, cutAt)
	}
}

// operate appends and acknowledges at random.
func operate(t *testing.T, q *Queue, random *rand.Rand, appended map[int]time.Time, acked map[int]bool) {
	t.Helper()
	r := q.Reader("a")
	next := 1
	for range 20 + random.IntN(100) {
		for range random.IntN(4) {
			data := fmt.Appendf(nil, "%d %*d", next, random.IntN(300), 0)
			if err := q.Append(t.Context(), Block{Data: data, Items: 1}); err != nil {
				t.Fatal(err)
			}
			appended[next] = time.Now()
			next++
		}
		if random.IntN(3) > 0 {
			l, err := r.TryNext(BatchLimits{MaxItems: 1 + random.IntN(5)})
			if err != nil {
				t.Fatal(err)
			}
			if l != nil {
				for _, b := range l.Blocks {
					acked[number(t, b)] = true
				}
				if err := r.Ack(l); err != nil {
					t.Fatal(err)
				}
			}
		}
		time.Sleep(time.Duration(random.IntN(400)) * time.Millisecond)
		synctest.Wait()
	}
}

func checkAfterCut(t *testing.T, seed int, dir string, appended map[int]time.Time, acked map[int]bool, cutAt time.Time) {
	t.Helper()
	q, err := Open(Options{Dir: dir, Readers: []string{"a"}})
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	defer func() { _ = q.Close() }()
	r, last := q.Reader("a"), 0
	got := make(map[int]bool)
	for {
		l, err := r.TryNext(BatchLimits{MaxItems: 10})
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if l == nil {
			break
		}
		for _, b := range l.Blocks {
			n := number(t, b)
			if _, ok := appended[n]; !ok || n <= last {
				t.Fatalf("seed %d: block %d was leased after %d", seed, n, last)
			}
			got[n], last = true, n
		}
		if err := r.Ack(l); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
	for n, at := range appended {
		if cutAt.Sub(at) > time.Second && !acked[n] && !got[n] {
			t.Errorf("seed %d: block %d, appended %s before the cut, is lost", seed, n, cutAt.Sub(at))
		}
	}
	if s := q.Stats()[0]; s.Received != s.Delivered+s.Queued+s.Dropped[ReasonDamaged] {
		t.Errorf("seed %d: %+v", seed, s)
	}
	// It keeps working.
	if err := q.Append(t.Context(), Block{Data: []byte("1000000"), Items: 1}); err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	if l, err := r.TryNext(BatchLimits{}); err != nil || l == nil || number(t, l.Blocks[0]) != 1000000 {
		t.Fatalf("seed %d: what was appended afterwards is not leased: %+v, %v", seed, l, err)
	}
}
