package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func modeOf(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}

func TestFoldersAndFilesAreTheCollectorsAlone(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	root := t.TempDir()
	dir := filepath.Join(root, "otelcol.exporter.otlp.tempo", "traces")
	if err := Own(dir); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if mode := modeOf(t, d); mode != 0o700 {
			t.Errorf("%s has mode %#o", d, mode)
		}
	}
	old := filepath.Join(dir, "old")
	if err := os.WriteFile(old, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"new", "old"} {
		f, err := OpenFile(filepath.Join(dir, name), os.O_RDWR|os.O_CREATE)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		if mode := modeOf(t, f.Name()); mode != 0o600 {
			t.Errorf("%s has mode %#o", name, mode)
		}
	}
	// What an older version has made is closed.
	if err := os.Chmod(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := Own(dir); err != nil || modeOf(t, dir) != 0o700 {
		t.Errorf("%v, mode %#o", err, modeOf(t, dir))
	}
}

func TestFoldersThatOthersMayWriteToAreRejectedWithTheFix(t *testing.T) {
	for _, mode := range []fs.FileMode{0o777, 0o770, 0o702, 0o777 | fs.ModeSticky} {
		dir := filepath.Join(t.TempDir(), "loki.write.default")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		if err := Own(dir); !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), "chmod -R go-w "+dir) {
			t.Errorf("mode %v: %v", mode, err)
		}
	}
}

// TestFoldersOfOthersAreRejectedWithTheFix has folders of all kinds of owners:
// Alloy, as root or as its own user, may have made them, nobody else.
func TestFoldersOfOthersAreRejectedWithTheFix(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	for owner, good := range map[int]bool{0: true, 473: true, 65532: false, 1000: false} {
		dir := filepath.Join(t.TempDir(), "loki.write.default")
		if err := errors.Join(os.Mkdir(dir, 0o750), os.Chown(dir, owner, owner)); err != nil {
			t.Fatal(err)
		}
		err := Own(dir)
		if good && (err != nil || modeOf(t, dir) != 0o700) {
			t.Errorf("user %d: %v, mode %#o", owner, err, modeOf(t, dir))
		}
		if !good && (!errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), "chown -R 0 "+dir)) {
			t.Errorf("user %d: %v", owner, err)
		}
	}
	info, err := os.Lstat(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := check("d", info, 65532); err != nil {
		t.Errorf("root's folder for another user: %v", err)
	}
}

func TestLinksAreNotFollowed(t *testing.T) {
	root, elsewhere := t.TempDir(), t.TempDir()
	victim := filepath.Join(elsewhere, "victim")
	if err := os.WriteFile(victim, []byte("untouched"), 0o644); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(root, "loki.write.default")
	if err := os.Symlink(elsewhere, link); err != nil {
		t.Fatal(err)
	}
	if err := Own(link); !errors.Is(err, ErrLink) {
		t.Errorf("a link to a folder: %v", err)
	}
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(root, "nowhere"), link); err != nil {
		t.Fatal(err)
	}
	if err := Own(link); !errors.Is(err, ErrLink) {
		t.Errorf("a link to nowhere: %v", err)
	}
	file := filepath.Join(root, LockName)
	if err := os.Symlink(victim, file); err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(root); !errors.Is(err, ErrLink) {
		t.Errorf("lock: %v", err)
	}
	if _, err := OpenFile(file, os.O_CREATE|os.O_TRUNC|os.O_WRONLY); !errors.Is(err, ErrLink) {
		t.Errorf("write: %v", err)
	}
	if _, err := ReadFile(file, 0); !errors.Is(err, ErrLink) {
		t.Errorf("read: %v", err)
	}
	if content, _ := os.ReadFile(victim); string(content) != "untouched" {
		t.Errorf("what a link led to is %q now", content)
	}
}

// TestTheStoragePathItselfMayBeALinkOrOpen has the path that the image has, and
// one behind a link: only what is below is the collector's.
func TestTheStoragePathItselfMayBeALinkOrOpen(t *testing.T) {
	root := t.TempDir()
	if err := os.Chmod(root, 0o777|fs.ModeSticky); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "data")
	if err := os.Symlink(root, link); err != nil {
		t.Fatal(err)
	}
	if err := Own(filepath.Join(link, "loki.write.default")); err != nil {
		t.Error(err)
	}
}

func TestALockKeepsOthersOut(t *testing.T) {
	dir := t.TempDir()
	first, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(dir); !errors.Is(err, ErrInUse) {
		t.Errorf("second: %v", err)
	}
	first.Close()
	again, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

func TestTheSpaceOfADisk(t *testing.T) {
	dir := t.TempDir()
	space, err := SpaceAt(dir)
	if err != nil || space.Free <= 0 {
		t.Errorf("%+v, %v", space, err)
	}
	if again, err := SpaceAt(filepath.Dir(dir)); err != nil || again.Disk != space.Disk {
		t.Errorf("%+v and %+v, %v", space, again, err)
	}
	if _, err := SpaceAt(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "none") {
		t.Errorf("what does not exist: %v", err)
	}
}
