// Package lastgood keeps what was last read with success while reading it fails.
package lastgood

import (
	"fmt"
	"sync"
)

// Value is the last good reading of something that is read repeatedly.
type Value[T any] struct {
	equal func(a, b T) bool

	mu    sync.Mutex
	value T     // guarded by mu
	err   error // guarded by mu: why it cannot be read now
}

// New makes a Value that has been read. equal reports whether a and b are the same.
func New[T any](value T, equal func(a, b T) bool) *Value[T] {
	return &Value[T]{value: value, equal: equal}
}

// Get is the value as it was last read.
func (v *Value[T]) Get() T {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.value
}

// Read takes the outcome of a reading: the value, or why it cannot be read. changed: it
// differs from the previous one; failed: it could be read before, and now it can't.
func (v *Value[T]) Read(value T, err error) (changed, failed bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	failed = err != nil && v.err == nil
	if changed = err == nil && !v.equal(v.value, value); changed {
		v.value = value
	}
	v.err = err
	return changed, failed
}

// Health is nil, or says that the last value is kept, which is called what, and why.
func (v *Value[T]) Health(what string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.err != nil {
		return fmt.Errorf("%s is kept: %w", what, v.err)
	}
	return nil
}
