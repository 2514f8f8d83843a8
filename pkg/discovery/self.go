package discovery

import (
	"encoding/hex"
	"net"
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
	return self{id: string(m[1]), gateway: defaultGateway(string(routes))}
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

// place is where the collector stands in a snapshot.
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
// the first.
func (p place) nearest(networks []docker.Endpoint) docker.Endpoint {
	for _, n := range networks {
		if slices.ContainsFunc(p.networks, func(mine docker.Endpoint) bool { return mine.NetworkID == n.NetworkID }) {
			return n
		}
	}
	return networks[0]
}
