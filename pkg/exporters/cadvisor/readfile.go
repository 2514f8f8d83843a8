package cadvisor

import (
	"bytes"
	"io/fs"

	"golang.org/x/sys/unix"
)

// readFile is os.ReadFile for files of the kernel, of which a page reads a thousand:
// they are small, and it costs nothing to wait for them. Three calls read one; os.ReadFile
// makes seven, most of them to have the file polled.
func readFile(name string) ([]byte, error) {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	for err == unix.EINTR {
		fd, err = unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	defer unix.Close(fd)
	var room [4 << 10]byte
	var long []byte // what room has no room for
	for filled := 0; ; {
		if filled == len(room) {
			long, filled = append(long, room[:]...), 0
		}
		n, err := unix.Read(fd, room[filled:])
		switch {
		case err == unix.EINTR:
		case err != nil:
			return nil, &fs.PathError{Op: "read", Path: name, Err: err}
		case n == 0 && long == nil:
			return bytes.Clone(room[:filled]), nil
		case n == 0:
			return append(long, room[:filled]...), nil
		default:
			filled += n
		}
	}
}
