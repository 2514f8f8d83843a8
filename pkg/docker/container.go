package docker

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
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
	// ExitCode is how it last exited, and RestartPolicy "no", "always",
	// "on-failure", "unless-stopped" or empty; both are known once the container has
	// been inspected.
	ExitCode      int
	RestartPolicy string
	// Ends are when it ended in the last EndsWindow before its last end, the oldest
	// first, as the events said. The slice is never modified.
	Ends []time.Time
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
	// Gone are the last containers that ran and were removed, the oldest first: what is
	// left of each is its identity and its end.
	Gone []*Container
}

// find returns a container; nil if it does not exist.
func (s *Snapshot) find(id string) *Container {
	byID := func(c *Container, id string) int { return strings.Compare(c.ID, id) }
	if i, ok := slices.BinarySearchFunc(s.Containers, id, byID); ok {
		return s.Containers[i]
	}
	return nil
}

func (n *Network) weight() int {
	const fixed, entry = 256, 64
	w := fixed + len(n.ID) + len(n.Name) + len(n.Scope)
	for k, v := range n.Labels {
		w += entry + len(k) + len(v)
	}
	return w
}

func equal(a, b *Container) bool {
	return a.ID == b.ID && a.Name == b.Name && a.Running == b.Running && a.TTY == b.TTY && maps.Equal(a.Labels, b.Labels) &&
		a.StartedAt.Equal(b.StartedAt) && a.FinishedAt.Equal(b.FinishedAt) && a.LogDriver == b.LogDriver && a.LogInPlace == b.LogInPlace && a.State == b.State &&
		a.Health == b.Health && a.NetworkMode == b.NetworkMode && slices.Equal(a.Networks, b.Networks) &&
		slices.Equal(a.Ports, b.Ports) && a.Ended == b.Ended && a.ExitCode == b.ExitCode && a.RestartPolicy == b.RestartPolicy &&
		slices.Equal(a.Ends, b.Ends)
}

func isRunning(state string) bool { return state == "running" || state == "paused" }

// weight is about how many bytes c holds.
func (c *Container) weight() int {
	const fixed, entry = 512, 64
	n := fixed + 24*len(c.Ends) + len(c.ID) + len(c.Name) + len(c.State) + len(c.NetworkMode) + len(c.LogDriver) + len(c.Health)
	for k, v := range c.Labels {
		n += entry + len(k) + len(v)
	}
	for _, e := range c.Networks {
		n += entry + len(e.Name) + len(e.NetworkID) + len(e.IP)
	}
	for _, p := range c.Ports {
		n += entry + len(p.Type) + len(p.PublicIP)
	}
	return n
}

// listed is an entry of the list operation, which has no TTY, logging driver or exact
// times.
type listed struct {
	Container
	recent bool // it may have ended less than an hour ago
	coded  bool // its exit code is known
}

func fromSummary(s *summaryAnswer) listed {
	c := Container{
		ID: s.ID, Name: canonicalName(s.Names), Labels: s.Labels, State: s.State, Running: isRunning(s.State),
		NetworkMode: s.HostConfig.NetworkMode, Networks: endpoints(s.NetworkSettings.Networks),
	}
	for _, p := range s.Ports {
		c.Ports = append(c.Ports, Port{p.PrivatePort, p.PublicPort, p.Type, p.IP})
	}
	sortPorts(c.Ports)
	var coded bool
	c.ExitCode, coded = codeIn(s.Status)
	return listed{Container: c, recent: s.State == "exited" && mayBeRecent(s.Status), coded: coded}
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

func fromInspect(r *inspectAnswer) Container {
	c := Container{
		ID: r.ID, Name: r.Name, State: r.State.Status, Running: r.State.Running && !r.State.Restarting,
		StartedAt: parseTime(r.State.StartedAt), FinishedAt: parseTime(r.State.FinishedAt),
		NetworkMode: r.HostConfig.NetworkMode, LogDriver: r.HostConfig.LogConfig.Type, LogInPlace: rotatesInPlace(r.HostConfig.LogConfig),
		TTY: r.Config.Tty, Labels: r.Config.Labels, Networks: endpoints(r.NetworkSettings.Networks),
		ExitCode: r.State.ExitCode, RestartPolicy: r.HostConfig.RestartPolicy.Name,
	}
	for port, bindings := range r.NetworkSettings.Ports {
		number, kind, _ := strings.Cut(port, "/")
		private, _ := strconv.ParseUint(number, 10, 16)
		p := Port{Private: uint16(private), Type: cmp.Or(kind, "tcp")}
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
	return c
}

// rotatesInPlace reports whether a log is a single file of limited size.
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

func endpoints(networks map[string]*endpointAnswer) []Endpoint {
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
