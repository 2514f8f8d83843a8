package docker

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
)

// Container is one container as last seen.
type Container struct {
	ID      string
	Name    string // with the leading slash
	Running bool   // also while it is paused; not between restarts
	TTY     bool   // false in a Snapshot as long as the container has not been inspected
	Labels  map[string]string
	// StartedAt and FinishedAt are the zero time when unknown.
	StartedAt, FinishedAt time.Time
	LogDriver             string // empty in a Snapshot as long as the container has not been inspected
	// LogInPlace tells that the log is a single file, which the Engine empties
	// when it is full. It is known when LogDriver is.
	LogInPlace bool

	State       string // created, running, paused, restarting, removing, exited or dead
	Health      string // as the last event said; empty if none did
	NetworkMode string
	Networks    []Endpoint // sorted by name
	Ports       []Port     // sorted
	// Ended is set, in a Snapshot, for a few seconds after the container's end,
	// even if it has been removed: its output may not have been read to its
	// end. Networks and Ports stay what they were.
	Ended bool
}

// Endpoint is a container's place in a network. IP is an IPv6 address if it has
// no other, and empty without any.
type Endpoint struct {
	Name, NetworkID, IP string
}

// Port is a port that a container exposes. Public is 0 unless it is published.
type Port struct {
	Private, Public uint16
	Type, PublicIP  string
}

// Network is a network of the Engine.
type Network struct {
	ID, Name, Scope   string
	Internal, Ingress bool
	Labels            map[string]string
}

// Snapshot is the containers and networks at one time. It is immutable.
type Snapshot struct {
	// Listed is false until the containers have been listed once.
	Listed     bool
	Containers []*Container        // running or not, sorted by ID
	Networks   map[string]*Network // by ID; nil values are networks that are not known (any more)
}

func equal(a, b *Container) bool {
	return a.ID == b.ID && a.Name == b.Name && a.Running == b.Running && a.TTY == b.TTY && maps.Equal(a.Labels, b.Labels) &&
		a.StartedAt.Equal(b.StartedAt) && a.FinishedAt.Equal(b.FinishedAt) && a.LogDriver == b.LogDriver && a.LogInPlace == b.LogInPlace && a.State == b.State &&
		a.Health == b.Health && a.NetworkMode == b.NetworkMode && slices.Equal(a.Networks, b.Networks) &&
		slices.Equal(a.Ports, b.Ports) && a.Ended == b.Ended
}

func isRunning(state string) bool { return state == "running" || state == "paused" }

// fromSummary converts an entry of the list operation, which tells neither
// TTY, logging driver nor exact times.
func fromSummary(s *container.Summary) Container {
	c := Container{
		ID: s.ID, Name: canonicalName(s.Names), Labels: s.Labels, State: s.State, Running: isRunning(s.State),
		NetworkMode: s.HostConfig.NetworkMode,
	}
	if s.NetworkSettings != nil {
		c.Networks = endpoints(s.NetworkSettings.Networks)
	}
	for _, p := range s.Ports {
		c.Ports = append(c.Ports, Port{p.PrivatePort, p.PublicPort, p.Type, p.IP})
	}
	sortPorts(c.Ports)
	return c
}

// canonicalName picks the name among those that links have added, which have
// a second slash.
func canonicalName(names []string) string {
	for _, n := range names {
		if strings.LastIndexByte(n, '/') == 0 {
			return n
		}
	}
	if len(names) > 0 {
		return names[0]
	}
	return ""
}

func fromInspect(r *container.InspectResponse) Container {
	var c Container
	if r.ContainerJSONBase != nil {
		c.ID, c.Name = r.ID, r.Name
		if s := r.State; s != nil {
			c.State = s.Status
			c.Running = s.Running && !s.Restarting
			c.StartedAt, c.FinishedAt = parseTime(s.StartedAt), parseTime(s.FinishedAt)
		}
		if h := r.HostConfig; h != nil {
			c.NetworkMode, c.LogDriver = string(h.NetworkMode), h.LogConfig.Type
			c.LogInPlace = rotatesInPlace(h.LogConfig)
		}
	}
	if r.Config != nil {
		c.TTY, c.Labels = r.Config.Tty, r.Config.Labels
	}
	if n := r.NetworkSettings; n != nil {
		c.Networks = endpoints(n.Networks)
		for port, bindings := range n.Ports {
			p := Port{Private: uint16(port.Int()), Type: port.Proto()}
			if len(bindings) == 0 {
				c.Ports = append(c.Ports, p)
			}
			for _, b := range bindings {
				public, _ := strconv.ParseUint(b.HostPort, 10, 16)
				p.Public, p.PublicIP = uint16(public), b.HostIP
				c.Ports = append(c.Ports, p)
			}
		}
		sortPorts(c.Ports)
	}
	return c
}

// rotatesInPlace tells whether a log is a single file of limited size.
func rotatesInPlace(c container.LogConfig) bool {
	files := c.Config["max-file"]
	switch c.Type {
	case "json-file":
		return c.Config["max-size"] != "" && (files == "" || files == "1")
	case "local":
		return files == "1"
	}
	return false
}

func endpoints(networks map[string]*network.EndpointSettings) []Endpoint {
	var out []Endpoint
	for name, n := range networks {
		if n != nil {
			out = append(out, Endpoint{Name: name, NetworkID: n.NetworkID, IP: cmp.Or(n.IPAddress, n.GlobalIPv6Address)})
		}
	}
	slices.SortFunc(out, func(a, b Endpoint) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func sortPorts(ports []Port) {
	slices.SortFunc(ports, func(a, b Port) int {
		return cmp.Or(cmp.Compare(a.Private, b.Private), cmp.Compare(a.Type, b.Type),
			cmp.Compare(a.Public, b.Public), strings.Compare(a.PublicIP, b.PublicIP))
	})
}

// parseTime reads a time of the Engine, who writes the year 1 for none.
func parseTime(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.Year() <= 1 {
		return time.Time{}
	}
	return t
}
