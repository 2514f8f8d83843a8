package listen

import (
	"syscall"
	"testing"
)

func TestTheReceiveBufferHasTheSizeThatWasSet(t *testing.T) {
	c, err := NewPool().ListenPackets("udp", "127.0.0.1:0", "a")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	raw, err := c.socket.conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	size := func() (n int) {
		err := raw.Control(func(fd uintptr) {
			var serr error
			if n, serr = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF); serr != nil {
				t.Error(serr)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := size()
	if err := c.SetReadBuffer(64 << 10); err != nil {
		t.Fatal(err)
	}
	if now := size(); now >= before || now < 64<<10 {
		t.Errorf("the kernel holds %d bytes, and held %d", now, before)
	}
}
