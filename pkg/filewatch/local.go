package filewatch

import "golang.org/x/sys/unix"

const zfsMagic = 0x2fc12fc1

// KnowsChanges reports whether a folder is on a file system on which only this
// machine writes, so that its kernel knows of all changes.
func KnowsChanges(dir string) bool {
	var stat unix.Statfs_t
	return unix.Statfs(dir, &stat) == nil && IsLocal(stat)
}

// IsLocal reports whether only this machine writes to a file system.
func IsLocal(stat unix.Statfs_t) bool {
	switch uint32(stat.Type) {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.TMPFS_MAGIC, unix.OVERLAYFS_SUPER_MAGIC,
		unix.F2FS_SUPER_MAGIC, unix.RAMFS_MAGIC, unix.REISERFS_SUPER_MAGIC, unix.BCACHEFS_SUPER_MAGIC, zfsMagic:
		return true
	}
	return false
}
