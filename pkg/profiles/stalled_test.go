package profiles

import (
	"bytes"
	"net"
	"testing"

	"collector/pkg/listen"
	"collector/pkg/listen/listentest"
)

// Large uploads that hold all the memory there is, and stop, keep no good sender out:
// at an address of its own, a small request within its share has room at once, and a
// large one, or one at the address of the others, as those make room.
func TestStalledUploadsDoNotKeepAGoodSenderOut(t *testing.T) {
	const clients, budget = 27, 20 << 20
	for name, from := range map[string][]net.IP{"of other addresses": listentest.Others(clients), "of the same address": listentest.Same(clients)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it takes seconds, and no CPU time
			to := &sink{}
			r := start(t, receiveConfig(to), func(r *Receive) { r.bodies = listen.NewBudget(budget) })
			url := r.url + "/ingest?name=app"
			listentest.Stalled{URL: url, Size: 3 << 19, Sent: 100 << 10}.Start(t, from)
			listentest.Eventually(t, "the budget is exceeded", func() bool { return r.bodies.Used() > budget })

			send := func(size int) func() int {
				body := bytes.Repeat([]byte("x"), size)
				return func() int {
					resp, _ := post(t, url, "", bytes.NewReader(body))
					return resp.StatusCode
				}
			}
			if within := send(budget / (clients + 1) / 4); from[0].Equal(net.IPv4(127, 0, 0, 1)) {
				listentest.GetsThrough(t, within)
			} else if status := within(); status != 200 {
				t.Errorf("a small request within its sender's share is answered %d", status)
			}
			listentest.GetsThrough(t, send(2<<20))
			if n := len(to.profiles()); n != 2 {
				t.Errorf("%d profiles were taken, want 2", n)
			}
		})
	}
}
