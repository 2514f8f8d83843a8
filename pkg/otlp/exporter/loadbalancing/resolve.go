package loadbalancing

import (
	"context"
	"fmt"
	"net"
	"slices"
	"time"
)

// resolver finds the endpoints.
type resolver struct {
	kind     string
	interval time.Duration // 0: they never change
	resolve  func(ctx context.Context) ([]string, error)
}

// lookup is net.Resolver.LookupIPAddr.
type lookup func(ctx context.Context, host string) ([]net.IPAddr, error)

// newResolver makes the resolver that r asks for.
func (r Resolver) resolver(look lookup) resolver {
	if r.Static != nil {
		endpoints := slices.Clone(r.Static.Hostnames)
		slices.Sort(endpoints)
		endpoints = slices.Compact(endpoints)
		return resolver{kind: "static", resolve: func(context.Context) ([]string, error) { return endpoints, nil }}
	}
	d := *r.DNS
	made := resolver{kind: "dns", interval: d.Interval}
	if made.interval == 0 {
		made.interval = 5 * time.Second
	}
	if d.Timeout == 0 {
		d.Timeout = time.Second
	}
	made.resolve = func(ctx context.Context) ([]string, error) {
		ctx, cancel := context.WithTimeout(ctx, d.Timeout)
		defer cancel()
		addresses, err := look(ctx, d.Hostname)
		if err != nil {
			return nil, fmt.Errorf("look up %s: %w", d.Hostname, err)
		}
		var endpoints []string
		for _, a := range addresses {
			endpoint := a.String()
			if a.IP.To4() == nil {
				endpoint = "[" + endpoint + "]"
			}
			if d.Port != "" {
				endpoint += ":" + d.Port
			}
			endpoints = append(endpoints, endpoint)
		}
		slices.Sort(endpoints)
		return slices.Compact(endpoints), nil
	}
	return made
}
