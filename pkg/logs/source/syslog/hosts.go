package syslog

import (
	"context"
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
)

// hosts knows the names of clients. It looks for them only if a rule wants to know.
type hosts struct {
	wanted bool
	lookup func(ctx context.Context, address string) ([]string, error)

	mu    sync.Mutex
	known map[netip.Addr]known // guarded by mu
}

type known struct {
	name string
	at   time.Time
}

func newHosts(rules *discovery.Rules) *hosts {
	return &hosts{wanted: reads(rules, hostLabel), lookup: net.DefaultResolver.LookupAddr, known: make(map[netip.Addr]known)}
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
// none.
func (h *hosts) name(ctx context.Context, client netip.Addr) string {
	if !h.wanted {
		return ""
	}
	now := time.Now()
	h.mu.Lock()
	k, ok := h.known[client]
	h.mu.Unlock()
	if ok && now.Sub(k.at) < lookupAge {
		return k.name
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	names, _ := h.lookup(ctx, client.String()) // one that is not found has none
	name := strings.Join(names, ",")
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.known) >= maxHosts {
		clear(h.known)
	}
	h.known[client] = known{name, now}
	return name
}

// client are the labels of what a client sends, before those of its message.
func (l *listener) client(ctx context.Context, address netip.Addr) labels.Labels {
	if l.source.config.RelabelRules.Len() == 0 {
		return labels.FromStrings(addressLabel, address.String())
	}
	b := labels.NewBuilder(l.own)
	b.Set(addressLabel, address.String())
	b.Set(hostLabel, l.source.hosts.name(ctx, address))
	return b.Labels()
}
