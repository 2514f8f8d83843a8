package harness

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// Names is a DNS server whose names come and go.
type Names struct {
	address string // of the server; its port is 53

	mu        sync.Mutex
	addresses map[string]string // by name, without the last dot
}

// StartNames starts a DNS server that knows no names yet. It needs root.
func StartNames(t testing.TB) *Names {
	t.Helper()
	n := &Names{address: Loopback(), addresses: make(map[string]string)}
	c, err := net.ListenPacket("udp", net.JoinHostPort(n.address, "53"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go n.serve(c)
	return n
}

// Set gives a name an address, or removes it with an empty one.
func (n *Names) Set(name, address string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if address == "" {
		delete(n.addresses, name)
		return
	}
	n.addresses[name] = address
}

func (n *Names) serve(c net.PacketConn) {
	buf := make([]byte, 4096)
	for {
		size, from, err := c.ReadFrom(buf)
		if err != nil {
			return
		}
		if answer, err := n.answer(buf[:size]); err == nil {
			c.WriteTo(answer, from)
		}
	}
}

// answer answers a query for A records; a name that is known has no others.
func (n *Names) answer(query []byte) ([]byte, error) {
	var parser dnsmessage.Parser
	header, err := parser.Start(query)
	if err != nil {
		return nil, err
	}
	question, err := parser.Question()
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	address := net.ParseIP(n.addresses[strings.TrimSuffix(question.Name.String(), ".")]).To4()
	n.mu.Unlock()
	reply := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: header.ID, Response: true, RecursionDesired: header.RecursionDesired, RecursionAvailable: true},
		Questions: []dnsmessage.Question{question},
	}
	switch {
	case address == nil:
		reply.RCode = dnsmessage.RCodeNameError
	case question.Type == dnsmessage.TypeA:
		reply.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: question.Name, Class: question.Class, TTL: 1},
			Body:   &dnsmessage.AResource{A: [4]byte(address)},
		}}
	}
	return reply.Pack()
}

// UseNames makes the collector, when it is started, ask only this DNS server.
func (c *Collector) UseNames(t testing.TB, n *Names) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(file, fmt.Appendf(nil, "nameserver %s\noptions timeout:1 attempts:1\n", n.address), 0o644); err != nil {
		t.Fatal(err)
	}
	c.within(t, fmt.Sprintf("mount --bind %s /etc/resolv.conf", file))
}

// within makes the collector start in a mount namespace of its own, after a shell
// command. Its process stays the child of the test. It needs root.
func (c *Collector) within(t testing.TB, command string) {
	t.Helper()
	script := filepath.Join(t.TempDir(), "collector")
	text := fmt.Sprintf("#!/bin/sh\nexec unshare --mount --propagation private sh -ec '%s; exec %s \"$@\"' sh \"$@\"\n", command, c.binary)
	if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	c.binary = script
}
