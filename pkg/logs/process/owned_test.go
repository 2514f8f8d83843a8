package process

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"collector/pkg/durable"
)

// TestTheJournalIsLockedLikeAQueue opens the journal of another process.
func TestTheJournalIsLockedLikeAQueue(t *testing.T) {
	dir := t.TempDir()
	lock, err := durable.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	p := newTestProcess(t, multilineConfig("^A"), dir)
	if err := p.Run(t.Context()); !errors.Is(err, durable.ErrInUse) {
		t.Errorf("held lines in a folder that is in use: %v", err)
	}
}

// TestTheJournalIsTheCollectorsAlone has links where the files of the journal are.
func TestTheJournalIsTheCollectorsAlone(t *testing.T) {
	victim := filepath.Join(t.TempDir(), "victim")
	for _, name := range []string{durable.LockName, journalFile} {
		dir := t.TempDir()
		if err := errors.Join(os.WriteFile(victim, []byte("untouched"), 0o644), os.Symlink(victim, filepath.Join(dir, name))); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := newTestProcess(t, multilineConfig("^A"), dir).Run(ctx); err == nil {
			t.Errorf("%s: a link is followed", name)
		}
		if content, _ := os.ReadFile(victim); string(content) != "untouched" {
			t.Errorf("%s: what a link led to is %q now", name, content)
		}
	}
}
