package tlsconfig

import (
	"sync"
	"time"
)

// kept is a value that is loaded again once it is too old. While that fails, the last one
// that could be loaded stays: a file that is being written, or that is invalid, breaks
// nothing.
type kept[T any] struct {
	load  func() (T, error)
	every time.Duration // 0: never again

	mu    sync.Mutex
	value T         // guarded by mu
	has   bool      // guarded by mu
	at    time.Time // guarded by mu
}

func (k *kept[T]) get(now time.Time) (T, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.has && (k.every <= 0 || now.Sub(k.at) < k.every) {
		return k.value, nil
	}
	k.at = now
	fresh, err := k.load()
	if err == nil {
		k.value, k.has = fresh, true
	}
	if k.has {
		return k.value, nil
	}
	return fresh, err
}
