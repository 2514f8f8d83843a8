package syslog

import (
	"context"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"collector/pkg/discovery"
	"collector/pkg/logs/logstest"
)

// Over UDP, nobody waits for another client's name to be looked up.
func TestASlowNameServerDelaysNoDatagrams(t *testing.T) {
	var sink logstest.Sink
	c := config(&sink, func(l *ListenerConfig) { l.Protocol = udp })
	c.RelabelRules = rules(t, func(r *discovery.Rule) { r.SourceLabels, r.TargetLabel = []string{hostLabel}, "from" })
	s := makeSource(t, c, nil)
	release := make(chan struct{})
	var once sync.Once
	answer := func() { once.Do(func() { close(release) }) }
	var lookups atomic.Int32
	s.hosts.lookup = func(_ context.Context, address string) ([]string, error) {
		if lookups.Add(1); address == "127.0.0.1" {
			<-release
			return []string{"slow"}, nil
		}
		return []string{"quick"}, nil
	}
	s.run(t)
	t.Cleanup(answer)
	send := func(from string) {
		t.Helper()
		conn, err := (&net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(from)}}).Dial(udp, s.address(0))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "<13>1 - - - - - - "+from); err != nil {
			t.Fatal(err)
		}
	}
	has := func(line, name string) bool {
		return slices.ContainsFunc(sink.All(), func(r logstest.Received) bool {
			return r.Line == line && strings.Contains(r.Labels, "from=") == (name != "") && strings.Contains(r.Labels, name)
		})
	}
	await(t, "datagrams come while both names are unknown, and then with the one that is known", func() bool {
		send("127.0.0.1")
		send("127.0.0.2")
		return has("127.0.0.1", "") && has("127.0.0.2", "quick")
	})
	answer()
	await(t, "the other name is known too", func() bool {
		send("127.0.0.1")
		return has("127.0.0.1", "slow")
	})
	if n := lookups.Load(); n != 2 {
		t.Errorf("%d lookups", n)
	}
}

// A name is used until there is a new one, and more clients than can be looked up do no
// harm.
func TestANameThatIsOldIsUsedUntilThereIsAnother(t *testing.T) {
	h := newHosts(rules(t, func(r *discovery.Rule) { r.SourceLabels, r.TargetLabel = []string{hostLabel}, "from" }))
	h.lookup = func(context.Context, string) ([]string, error) {
		return nil, &net.DNSError{Err: "server misbehaving", IsTemporary: true}
	}
	client := netip.MustParseAddr("192.0.2.1")
	h.known[client] = known{"old", time.Now().Add(-2 * lookupAge)}
	for range 3 {
		if name, fresh := h.nameSoFar(client); name != "old" || fresh {
			t.Errorf("the name is %q, fresh: %t", name, fresh)
		}
	}
	if len(h.asked) != 1 {
		t.Errorf("it is asked for %d times", len(h.asked))
	}
	if name := h.name(t.Context(), client); name != "old" {
		t.Errorf("the name is %q when the name server fails", name)
	}
	for i := range 2 * maxAsked {
		h.nameSoFar(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))
	}
	if len(h.asked) != maxAsked || len(h.pending) != maxAsked {
		t.Errorf("%d are asked for, %d are pending", len(h.asked), len(h.pending))
	}
}
