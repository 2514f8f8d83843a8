package listentest

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// FreePort returns a port of the loopback interface, for TCP and UDP, that is this
// test's until it ends, whoever else runs tests: it lies below those that the kernel
// gives away, and an abstract socket of its name keeps other tests off it while what
// listens there is stopped and started again.
func FreePort(t testing.TB) int {
	t.Helper()
	return FreePorts(t, 1)
}

// FreeAddress is 127.0.0.1 with a FreePort.
func FreeAddress(t testing.TB) string {
	t.Helper()
	return address(FreePort(t))
}

// FreePorts returns the first of n free ports in a row, which are this test's as
// FreePort's is.
func FreePorts(t testing.TB, n int) int {
	t.Helper()
	for range 1000 {
		port := 10_000 + rand.IntN(20_000)
		if reservePorts(t, port, n) {
			return port
		}
	}
	t.Fatalf("there are no %d free ports in a row", n)
	return 0
}

// reservePorts reports whether it could reserve n ports from first on, and keeps
// none of them otherwise.
func reservePorts(t testing.TB, first, n int) bool {
	var reservations []io.Closer
	release := func() {
		for _, r := range reservations {
			r.Close()
		}
	}
	for port := first; port < first+n; port++ {
		reservation, err := net.Listen("unix", fmt.Sprintf("@collector-test-port-%d", port))
		if err == nil {
			reservations = append(reservations, reservation)
			err = tryPort(port)
		}
		if err != nil {
			release()
			return false
		}
	}
	t.Cleanup(release)
	return true
}

// tryPort reports why a port cannot be listened at; nil if it can.
func tryPort(port int) error {
	l, err := net.Listen("tcp", address(port))
	if err != nil {
		return err
	}
	defer l.Close()
	c, err := net.ListenPacket("udp", address(port))
	if err != nil {
		return err
	}
	return c.Close()
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
