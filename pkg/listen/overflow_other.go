//go:build !linux

package listen

import "net"

func countOverflow(*net.UDPConn) {}

func overflow([]byte) (total uint32, ok bool) { return 0, false }
