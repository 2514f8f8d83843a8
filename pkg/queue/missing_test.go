package queue

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// A segment that somebody has removed while it was written to costs what is in
// it; what comes after the loss was noticed goes into another.
func TestARemovedSegmentCostsWhatItHeld(t *testing.T) {
	q := mustOpen(t, Options{Dir: t.TempDir()})
	r := q.Reader("a")
	mustAppend(t, q, 1, 2)
	segments, err := filepath.Glob(filepath.Join(q.dir, "*"+segmentSuffix))
	if err != nil || len(segments) != 1 {
		t.Fatal(segments, err)
	}
	if err := os.Remove(segments[0]); err != nil {
		t.Fatal(err)
	}
	if l, err := r.TryNext(BatchLimits{}); err != nil || l != nil {
		t.Fatal(l, err)
	}
	for i := 2; i <= 3; i++ {
		mustAppend(t, q, i, i+1)
		l, err := r.TryNext(BatchLimits{})
		if err != nil || l == nil || string(l.Blocks[0].Data) != fmt.Sprint("block ", i) {
			t.Fatalf("%d: %+v, %v", i, l, err)
		}
		if err := r.Ack(l); err != nil {
			t.Fatal(err)
		}
	}
	if s := q.Stats()[0]; s.Dropped[ReasonDamaged] != 1 || s.DamagedBlocks != 1 || s.Delivered != 2 || s.Queued != 0 {
		t.Errorf("%+v", s)
	}
}
