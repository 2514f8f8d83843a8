// Package durable makes and opens what the collector keeps below --storage.path, so that
// nobody else can read it, change it or redirect it: folders of mode 0700, files of mode
// 0600, and no symbolic link is followed. What it says is on disk survives a power cut;
// checksums show what didn't.
package durable

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

const (
	folderMode fs.FileMode = 0o700
	fileMode   fs.FileMode = 0o600
	// alloyUser is the user that Alloy's image has for those who don't run it as root.
	alloyUser = 473
)

// ErrInUse is returned, wrapped, by Lock while another process, or another
// component of this one, holds the lock.
var ErrInUse = errors.New("in use by another process or component")

// Space is what a disk has left.
type Space struct {
	Free int64  `json:"free"` // bytes, for whoever is not root
	Disk uint64 `json:"id"`   // distinguishes file systems
}

// SpaceAt returns what is left where dir is.
func SpaceAt(dir string) (Space, error) {
	var fs syscall.Statfs_t
	var info syscall.Stat_t
	if err := errors.Join(syscall.Statfs(dir, &fs), syscall.Stat(dir, &info)); err != nil {
		return Space{}, fmt.Errorf("look for free space at %s: %w", dir, err)
	}
	return Space{Free: int64(fs.Bavail) * int64(fs.Bsize), Disk: uint64(info.Dev)}, nil
}

// Own makes a folder of the collector, with those above it that are missing, and
// makes sure that it is the collector's alone: a folder and not a link, of this
// user, root or Alloy's user, and closed to others. A folder in which others may
// have put something is refused.
func Own(dir string) error {
	if err := os.MkdirAll(dir, folderMode); err != nil {
		return own(dir, err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if err := check(dir, info, os.Geteuid()); err != nil {
		return err
	}
	if info.Mode().Perm() != folderMode {
		shut(dir)
	}
	return nil
}

// shut closes a folder that an older version, or Alloy, has made, and the files
// in it. Where they are another user's, only root can; nobody else may write
// there in any case.
func shut(dir string) {
	_ = os.Chmod(dir, folderMode)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if e.Type().IsRegular() {
			_ = os.Chmod(filepath.Join(dir, e.Name()), fileMode)
		}
	}
}

// own explains why a folder can't be made.
func own(dir string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("create directory %s: %w: the collector runs as user %d, who needs access to the parent directory: chown -R %d", dir, err, os.Geteuid(), os.Geteuid())
	}
	if info, statErr := os.Lstat(dir); statErr == nil && info.Mode()&fs.ModeSymlink != 0 {
		return linkError(dir)
	}
	return err
}

// ErrForeign is returned, wrapped, for a folder that may not be the collector's
// alone.
var ErrForeign = errors.New("others may have put files there")

// Refused reports whether an error says that a folder must not be used as it is; others,
// such as of a full disk, may pass.
func Refused(err error) bool {
	return errors.Is(err, ErrForeign) || errors.Is(err, ErrLink) || errors.Is(err, ErrInUse)
}

// ErrLink is returned, wrapped, for a symbolic link.
var ErrLink = errors.New("links below --storage.path are not followed")

func linkError(path string) error {
	return fmt.Errorf("%s is a symbolic link, and %w: remove it, or replace it with what it points to", path, ErrLink)
}

// check reports why a folder can't be relied on to be that of user.
func check(dir string, info fs.FileInfo, user int) error {
	if info.Mode()&fs.ModeSymlink != 0 {
		return linkError(dir)
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a folder (%w): remove it", dir, ErrForeign)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && !slices.Contains([]int{user, 0, alloyUser}, int(stat.Uid)) {
		return fmt.Errorf("folder %s belongs to user %d, and %w: if it is yours, chown -R %d %s", dir, stat.Uid, ErrForeign, user, dir)
	}
	if info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("folder %s is writable by others (mode %#o), and %w: if it is yours, chmod -R go-w %s", dir, info.Mode().Perm(), ErrForeign, dir)
	}
	return nil
}

// OpenFile is os.OpenFile for a file in a folder of the collector: a new one is
// closed to others, and so is an old one that is opened for writing.
func OpenFile(path string, flag int) (*os.File, error) {
	f, err := os.OpenFile(path, flag|syscall.O_NOFOLLOW, fileMode)
	if err != nil {
		if errors.Is(err, syscall.ELOOP) {
			return nil, linkError(path)
		}
		return nil, err
	}
	if flag&(os.O_WRONLY|os.O_RDWR) != 0 {
		if info, err := f.Stat(); err == nil && info.Mode().Perm()&0o077 != 0 {
			_ = f.Chmod(fileMode) // an older version made it; others don't get into its folder
		}
	}
	return f, nil
}

// Open opens a file for reading.
func Open(path string) (*os.File, error) { return OpenFile(path, os.O_RDONLY) }

// ReadFile reads a file, but no more of it than limit; 0: all of it.
func ReadFile(path string, limit int64) ([]byte, error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	if limit > 0 {
		return io.ReadAll(io.LimitReader(f, limit))
	}
	return io.ReadAll(f)
}

// WriteFile replaces a file, all or nothing.
func WriteFile(path string, content []byte) error {
	f, err := OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(path+".new", path)
	}
	return err
}

// Create makes a file that holds content and is on disk, and leaves it open for
// appending.
func Create(path string, content []byte) (*os.File, error) {
	f, err := OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND)
	if err != nil {
		return nil, err
	}
	if _, err = f.Write(content); err == nil {
		err = f.Sync()
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// SyncDir brings the names in a folder to disk.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Checksum is CRC-32C. What it is seeded with, or 0, distinguishes contents that
// are alike; the sum of a part is the seed of the next. The library makes its
// table once.
func Checksum(seed uint32, b []byte) uint32 {
	return crc32.Update(seed, crc32.MakeTable(crc32.Castagnoli), b)
}

// LockName is the file that Lock locks.
const LockName = "lock"

// Lock keeps others out of a folder until the file that it returns is closed.
func Lock(dir string) (*os.File, error) {
	f, err := OpenFile(filepath.Join(dir, LockName), os.O_RDWR|os.O_CREATE)
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("%w: give the folder to user %d, who runs the collector: chown -R %d %s", err, os.Geteuid(), os.Geteuid(), dir)
	}
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, ErrInUse
		}
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return f, nil
}
