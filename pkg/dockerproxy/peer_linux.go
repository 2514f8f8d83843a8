package dockerproxy

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// peer names the user at the other end of a connection.
func peer(c *net.UnixConn) string {
	raw, err := c.SyscallConn()
	if err != nil {
		return unknown
	}
	name := unknown
	_ = raw.Control(func(fd uintptr) {
		if is, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			name = fmt.Sprintf("user %d", is.Uid)
		}
	})
	return name
}

// unknown is a client whose user the system does not name.
const unknown = "unknown user"
