package positions

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
)

// fill has the store write to a disk that is full, until it makes another file.
func (s *Store) fill(t *testing.T) (free func()) {
	t.Helper()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	file := s.file
	s.file = full
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		_ = full.Close()
		s.file = file
	}
}

func TestWhatMustBeStoredBeforeWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "c")
		s := open(t, dir)
		free := s.fill(t)
		done := make(chan error, 1)
		go func() { done <- s.PutBefore(t.Context(), map[string]string{"a": "1"}) }()
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatalf("it does not wait: %v", err)
		default:
		}
		free()
		if err := <-done; err != nil {
			t.Error(err)
		}
		_ = s.lock.Close()
		again := open(t, dir)
		defer again.Close()
		expect(t, again, map[string]string{"a": "1"})
	})
}

func TestWaitingForRoomEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, filepath.Join(t.TempDir(), "c"))
		defer s.fill(t)()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.PutBefore(ctx, map[string]string{"a": "1"}) }()
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("it ends with %v", err)
		}
	})
}

// Where positions can't be stored for another reason, nothing waits.
func TestNothingWaitsForAFolderThatCannotBeCreated(t *testing.T) {
	parent := filepath.Join(t.TempDir(), "parent")
	if err := os.WriteFile(parent, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, filepath.Join(parent, "c"))
	defer s.Close()
	if err := s.PutBefore(t.Context(), map[string]string{"a": "1"}); err != nil {
		t.Error(err)
	}
}
