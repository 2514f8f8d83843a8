package listen

import (
	"encoding/binary"
	"net"

	"golang.org/x/sys/unix"
)

// countOverflow makes the kernel report, with each datagram, how many it has dropped.
func countOverflow(conn *net.UDPConn) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	// Where it cannot be set, nothing is counted.
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1)
	})
}

// overflow reads how many datagrams the kernel has dropped since the socket was
// bound; ok is false if it does not say.
func overflow(oob []byte) (total uint32, ok bool) {
	for len(oob) > 0 {
		header, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			return 0, false
		}
		if header.Level == unix.SOL_SOCKET && header.Type == unix.SO_RXQ_OVFL && len(data) >= 4 {
			return binary.NativeEndian.Uint32(data), true
		}
		oob = rest
	}
	return 0, false
}
