package discovery

import (
	"cmp"
	"encoding/hex"
	"net"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"

	"collector/pkg/docker"
)

// self is the container in which the collector runs, as far as it matters to
// what it can reach. The zero value is a collector that runs in none.
type self struct {
	id      string
	gateway string // of the default route; empty when there is none
}

// own is what the mounts that Docker makes in every container come from.
var own = regexp.MustCompile(`/containers/([0-9a-f]{64})/`)

// findSelf looks for the container in the process's own mounts.
func findSelf() self {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return self{}
	}
	m := own.FindSubmatch(mounts)
	if m == nil {
		return self{}
	}
	routes, _ := os.ReadFile("/proc/net/route")
	routes6, _ := os.ReadFile("/proc/net/ipv6_route")
	return self{id: string(m[1]), gateway: cmp.Or(defaultGateway(string(routes)), defaultGateway6(string(routes6)))}
}

// defaultGateway finds the default route in a table of the kernel's, whose
// addresses are hexadecimal with their bytes in reverse order.
func defaultGateway(routes string) string {
	for line := range strings.Lines(routes) {
		fields := strings.Fields(line)
		if len(fields) < 3 || fields[1] != "00000000" {
			continue
		}
		address, err := hex.DecodeString(fields[2])
		if err != nil || len(address) != net.IPv4len {
			continue
		}
		slices.Reverse(address)
		return net.IP(address).String()
	}
	return ""
}

// defaultGateway6 does the same for IPv6. The columns are the destination, the
// length of its prefix, the source with its own, and the next hop.
func defaultGateway6(routes string) string {
	for line := range strings.Lines(routes) {
		fields := strings.Fields(line)
		if len(fields) < 5 || strings.Trim(fields[0], "0") != "" || fields[1] != "00" {
			continue
		}
		address, err := hex.DecodeString(fields[4])
		ip, ok := netip.AddrFromSlice(address)
		// One of the link alone can't be written as a target's address.
		if err != nil || !ok || ip.IsUnspecified() || ip.IsLinkLocalUnicast() {
			continue
		}
		return ip.String()
	}
	return ""
}

// place is where the collector is in a snapshot.
type place struct {
	networks []docker.Endpoint // of its container; nil when it runs in none
	host     string            // where the host's network is reached, unless configured; may be empty
}

func (s self) place(snap docker.Snapshot) place {
	if s.id == "" {
		return place{}
	}
	c := find(s.id, snap)
	if c == nil || c.NetworkMode == hostMode {
		return place{}
	}
	return place{networks: networksOf(c, snap), host: s.gateway}
}

func (p place) equal(other place) bool {
	return p.host == other.host && slices.Equal(p.networks, other.networks)
}

// nearest is the first of the networks that the collector is in, too, or else
// the first. One in which the container has no address is the last choice.
func (p place) nearest(networks []docker.Endpoint) docker.Endpoint {
	shared := func(n docker.Endpoint) bool {
		return slices.ContainsFunc(p.networks, func(mine docker.Endpoint) bool { return mine.NetworkID == n.NetworkID })
	}
	for _, suits := range []func(docker.Endpoint) bool{
		func(n docker.Endpoint) bool { return shared(n) && hasAddress(n) },
		hasAddress,
		shared,
	} {
		if i := slices.IndexFunc(networks, suits); i >= 0 {
			return networks[i]
		}
	}
	return networks[0]
}

// hasAddress reports whether a container can be reached in a network: in the
// host's it has no address of its own.
func hasAddress(n docker.Endpoint) bool { return n.IP != "" || n.Name == hostMode }
