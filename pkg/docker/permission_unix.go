//go:build unix

package docker

import (
	"fmt"
	"os"
	"syscall"
)

// permissionAdvice says how to get access to a socket.
func permissionAdvice(socket string) string {
	info, err := os.Stat(socket)
	if err != nil {
		return "run as root, or give this process access to the socket's directory"
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || info.Mode()&0o060 != 0o060 {
		return "its mode allows no group access: run as its owner"
	}
	return fmt.Sprintf("it belongs to group %d: add this group to the process (docker run --group-add %d; in Compose group_add: [\"%d\"])", stat.Gid, stat.Gid, stat.Gid)
}
