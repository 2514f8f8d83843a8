package syslog

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/discovery"
)

const (
	// lookupTime is how long a client's name is looked for, and lookupAge how long it
	// is remembered.
	lookupTime = 2 * time.Second
	lookupAge  = 5 * time.Minute
	// maxHosts bounds the clients that are remembered.
	maxHosts = 4096
	// lookers is how many names are looked for at once in the background, and
	// maxAsked how many clients wait for that.
	lookers  = 4
	maxAsked = 256
)

// hosts knows the names of clients. It looks for them only if a rule uses them.
type hosts struct {
	wanted bool
	lookup func(ctx context.Context, address string) ([]string, error)
	asked  chan netip.Addr // to be looked for in the background

	mu      sync.Mutex
	known   map[netip.Addr]known    // guarded by mu
	pending map[netip.Addr]struct{} // asked, or being looked for; guarded by mu
}

type known struct {
	name string
	at   time.Time
}

func newHosts(rules *discovery.Rules) *hosts {
	return &hosts{
		wanted: reads(rules, hostLabel), lookup: net.DefaultResolver.LookupAddr, asked: make(chan netip.Addr, maxAsked),
		known: make(map[netip.Addr]known), pending: make(map[netip.Addr]struct{}),
	}
}

// run looks for names in the background until ctx ends.
func (h *hosts) run(ctx context.Context) {
	if !h.wanted {
		return
	}
	var all sync.WaitGroup
	for range lookers {
		all.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case client := <-h.asked:
					h.look(ctx, client)
					h.mu.Lock()
					delete(h.pending, client)
					h.mu.Unlock()
				}
			}
		})
	}
	all.Wait()
}

// reads reports whether the value of a label has an effect on what rules do.
func reads(rules *discovery.Rules, label string) bool {
	return slices.ContainsFunc(rules.Source(), func(r discovery.Rule) bool {
		if r.Action != "labelmap" {
			return slices.Contains(r.SourceLabels, label) || r.TargetLabel == label
		}
		re, err := regexp.Compile("^(?s:" + r.Regex + ")$")
		return err != nil || re.MatchString(label)
	})
}

// name is the name of a client, or its names with commas between; empty: it has
// none. It waits for an answer.
func (h *hosts) name(ctx context.Context, client netip.Addr) string {
	if !h.wanted {
		return ""
	}
	if name, fresh := h.remembered(client); fresh {
		return name
	}
	return h.look(ctx, client)
}

// nameSoFar is what is known of a client's name, without waiting: of what is not
// known, or not lately, fresh is false, and it is looked for in the background.
func (h *hosts) nameSoFar(client netip.Addr) (name string, fresh bool) {
	if !h.wanted {
		return "", true
	}
	if name, fresh = h.remembered(client); fresh {
		return name, true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, is := h.pending[client]; is {
		return name, false
	}
	select {
	case h.asked <- client:
		h.pending[client] = struct{}{}
	default: // the next message asks again
	}
	return name, false
}

func (h *hosts) remembered(client netip.Addr) (name string, fresh bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	k, ok := h.known[client]
	return k.name, ok && time.Since(k.at) < lookupAge
}

// look looks for a client's name, and remembers it.
func (h *hosts) look(ctx context.Context, client netip.Addr) string {
	begun := time.Now()
	within, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	names, err := h.lookup(within, client.String())
	name := strings.Join(names, ",")
	h.mu.Lock()
	defer h.mu.Unlock()
	if ctx.Err() != nil {
		return h.known[client].name
	}
	if none := (*net.DNSError)(nil); err != nil && !(errors.As(err, &none) && none.IsNotFound) {
		name = h.known[client].name // it is not known to have none now
	}
	if len(h.known) >= maxHosts {
		clear(h.known)
	}
	h.known[client] = known{name, begun}
	return name
}

// client are the labels of what a client sends, before those of its message. It waits
// for the client's name.
func (l *listener) client(ctx context.Context, address netip.Addr) labels.Labels {
	return l.clientNamed(address, l.source.hosts.name(ctx, address))
}

// clientSoFar is what client is, without waiting; fresh: the name is known.
func (l *listener) clientSoFar(address netip.Addr) (is labels.Labels, fresh bool) {
	name, fresh := l.source.hosts.nameSoFar(address)
	return l.clientNamed(address, name), fresh
}

func (l *listener) clientNamed(address netip.Addr, name string) labels.Labels {
	if l.source.config.RelabelRules.Len() == 0 {
		return labels.FromStrings(addressLabel, address.String())
	}
	b := labels.NewBuilder(l.own)
	b.Set(addressLabel, address.String())
	b.Set(hostLabel, name)
	return b.Labels()
}
