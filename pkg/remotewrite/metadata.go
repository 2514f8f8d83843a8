package remotewrite

import (
	"hash/maphash"
	"sync"
	"time"

	"collector/pkg/pipeline"
)

// maxFamilies bounds what a metadataLimiter remembers.
const maxFamilies = 1 << 15

// metadataLimiter lets the metadata of a family pass once per interval. It
// remembers hashes, so that its memory is bounded whatever the families are
// called; when it is full of families of the last interval, new ones wait.
type metadataLimiter struct {
	interval time.Duration
	seed     maphash.Seed

	mu     sync.Mutex
	sent   map[uint64]time.Time // guarded by mu
	purged time.Time            // guarded by mu; when expired families were last removed
}

func newMetadataLimiter(interval time.Duration) *metadataLimiter {
	return &metadataLimiter{interval: interval, seed: maphash.MakeSeed(), sent: make(map[uint64]time.Time)}
}

// hash identifies what is said of a family: what changes is sent at once.
func (l *metadataLimiter) hash(m pipeline.Metadata) uint64 {
	return maphash.Comparable(l.seed, m)
}

// hashBytes identifies an encoded family.
func (l *metadataLimiter) hashBytes(message []byte) uint64 { return maphash.Bytes(l.seed, message) }

// take reports whether the family is due, and if so notes that it is sent now.
func (l *metadataLimiter) take(family uint64, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	last, known := l.sent[family]
	if known && now.Sub(last) < l.interval {
		return false
	}
	if !known && len(l.sent) >= maxFamilies && !l.purge(now) {
		return false
	}
	l.sent[family] = now
	return true
}

// purge removes families that were last sent more than an interval ago, and
// reports whether there is room now. It looks at most once per interval.
func (l *metadataLimiter) purge(now time.Time) bool {
	if now.Sub(l.purged) < l.interval {
		return false
	}
	l.purged = now
	for family, last := range l.sent {
		if now.Sub(last) >= l.interval {
			delete(l.sent, family)
		}
	}
	return len(l.sent) < maxFamilies
}

// forget makes families due again that were taken but not sent.
func (l *metadataLimiter) forget(families []uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range families {
		delete(l.sent, f)
	}
}
