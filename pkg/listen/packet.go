package listen

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// packetBuffer is how much the kernel is asked to hold of datagrams that nobody
// has read yet. It may give less.
const packetBuffer = 1 << 20

// packets is one bound address for datagrams.
type packets struct {
	key  string
	conn *net.UDPConn  // nil in a dry pool
	refs int           // guarded by Pool.mu
	turn chan struct{} // has a token while nobody reads

	lost uint32 // datagrams that the kernel has dropped; whoever has the turn has it
}

// Packets receives datagrams on an address of a Pool.
type Packets struct {
	pool   *Pool
	socket *packets
	once   sync.Once
	done   chan struct{}
	oob    []byte
	lost   atomic.Uint64
}

// ListenPackets is Listen for datagrams: network is "udp", "udp4" or "udp6". The
// socket stays open while anyone holds it, and whoever comes next reads the datagrams
// that are waiting in the kernel.
func (p *Pool) ListenPackets(network, address, option string) (*Packets, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := network + "\x00" + address
	h := Held{Network: network, Address: address, Option: option}
	if other, ok := p.held[key]; ok && p.view {
		return nil, inUse(h, other.Option)
	}
	s := p.packets[key]
	if s == nil {
		conn, err := p.bindPackets(network, address)
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("listen on %s (set by %s): the port is in use by another process or component; stop it, or set another address", address, option)
		} else if err != nil {
			return nil, fmt.Errorf("listen on %s (set by %s): %w", address, option, err)
		}
		s = &packets{key: key, conn: conn, turn: make(chan struct{}, 1)}
		s.turn <- struct{}{}
		if !unique(key) {
			p.packets[key] = s
		}
	}
	s.refs++
	if !unique(key) {
		p.held[key] = h
	}
	return &Packets{pool: p, socket: s, done: make(chan struct{}), oob: make([]byte, 64)}, nil
}

// bindPackets binds an address, and has the kernel say what it drops.
func bindPackets(network, address string) (*net.UDPConn, error) {
	addr, err := net.ResolveUDPAddr(network, address)
	if err != nil {
		return nil, err
	}
	conn, err := net.ListenUDP(network, addr)
	if err != nil {
		return nil, err
	}
	_ = conn.SetReadBuffer(packetBuffer) // where it cannot be set, the system's default holds
	countOverflow(conn)
	return conn, nil
}

// Read reads one datagram into b, as much of it as b has room for. It is for one
// goroutine. It fails with net.ErrClosed after Close.
func (c *Packets) Read(b []byte) (n int, from netip.AddrPort, err error) {
	for {
		select {
		case <-c.done:
			return 0, from, net.ErrClosed
		case <-c.socket.turn:
		}
		n, from, err = c.read(b)
		c.socket.turn <- struct{}{}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			continue // another holder has been closed, or this one
		}
		return n, from, err
	}
}

// read reads a datagram while it is c's turn.
func (c *Packets) read(b []byte) (int, netip.AddrPort, error) {
	s := c.socket
	// Close sets a deadline in the past; the next holder resets it.
	_ = s.conn.SetReadDeadline(time.Time{})
	select {
	case <-c.done: // since then
		return 0, netip.AddrPort{}, net.ErrClosed
	default:
	}
	n, oob, _, from, err := s.conn.ReadMsgUDPAddrPort(b, c.oob)
	if total, ok := overflow(c.oob[:oob]); ok && total != s.lost {
		c.lost.Add(uint64(total - s.lost)) // it wraps around
		s.lost = total
	}
	return n, from, err
}

// Lost is how many datagrams the kernel has dropped because nobody read them in time, as
// far as it has reported: it does so with the next one that is read.
func (c *Packets) Lost() uint64 { return c.lost.Load() }

// SetReadBuffer has the kernel hold so many bytes, or as many as it allows, of datagrams
// that nobody has read yet.
func (c *Packets) SetReadBuffer(bytes int) error {
	if c.socket.conn == nil {
		return nil
	}
	return c.socket.conn.SetReadBuffer(bytes)
}

// Addr is the address that is bound.
func (c *Packets) Addr() net.Addr {
	if c.socket.conn == nil {
		return dryAddress{"udp", ""}
	}
	return c.socket.conn.LocalAddr()
}

// Close ends Read. The socket is closed with the last of its holders.
func (c *Packets) Close() (err error) {
	c.once.Do(func() {
		close(c.done)
		p, s := c.pool, c.socket
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.held, s.key)
		if s.conn != nil {
			_ = s.conn.SetReadDeadline(time.Unix(1, 0))
		}
		if s.refs--; s.refs > 0 {
			return
		}
		if p.packets[s.key] == s {
			delete(p.packets, s.key)
		}
		if s.conn != nil {
			err = s.conn.Close()
		}
	})
	return err
}
