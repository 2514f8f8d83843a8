package file

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// explain says what an error about a file means, and what to do about it; empty if the
// error needs no explanation.
func explain(path string, err error) (cause, fix string) {
	switch {
	case err == nil:
		return "", ""
	case errors.Is(err, fs.ErrPermission):
		return explainPermission(path)
	case errors.Is(err, errFolder):
		return path + " is a folder, not a file.", fmt.Sprintf("Write a pattern for the files in it, such as %s.", filepath.Join(path, "*.log"))
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return "Too many files are open.", "Raise the limit of open files (ulimits > nofile in Compose, LimitNOFILE in systemd), or read fewer files."
	case errors.Is(err, syscall.ELOOP):
		return path + " is a symbolic link that leads back to itself.", "Fix the link."
	case errors.Is(err, syscall.ESTALE), errors.Is(err, syscall.EIO):
		return "The file system cannot read the file.", "Check the disk, or the server of a network file system."
	}
	return "", ""
}

// explainPermission says who may read a file that the collector may not.
func explainPermission(path string) (cause, fix string) {
	info, err := os.Stat(path)
	if err != nil {
		dir := filepath.Dir(path)
		return "The collector may not look into the folder of " + path + ".", fmt.Sprintf("Give the collector's user or group the right to search %s (x).", dir)
	}
	cause = fmt.Sprintf("The collector, user %d, may not read %s (%s).", os.Geteuid(), path, info.Mode().Perm())
	fix = "Give it the right to read the file, or run it as a user that has it."
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		cause = fmt.Sprintf("The collector, user %d, may not read %s (%s, user %d, group %d).", os.Geteuid(), path, info.Mode().Perm(), stat.Uid, stat.Gid)
		if info.Mode().Perm()&0o040 != 0 {
			fix = fmt.Sprintf("Add the collector to group %d (group_add: [\"%d\"]).", stat.Gid, stat.Gid)
		}
	}
	return cause, fix
}
