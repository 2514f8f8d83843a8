package discovery

import (
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/docker"
	"collector/pkg/httpclient"
)

// DockerConfig configures discovery.docker.
type DockerConfig struct {
	Host               string         `alloy:"host,attr"`
	HostNetworkingHost string         `alloy:"host_networking_host,attr,optional"`
	MatchFirstNetwork  bool           `alloy:"match_first_network,attr,optional"`
	Port               int            `alloy:"port,attr,optional"`
	RefreshInterval    time.Duration  `alloy:"refresh_interval,attr,optional"`
	Filters            []DockerFilter `alloy:"filter,block,optional"`

	HTTPClient httpclient.Config `alloy:",squash"`
}

// DockerFilter is a filter of the Engine's list operation.
type DockerFilter struct {
	Name   string   `alloy:"name,attr"`
	Values []string `alloy:"values,attr"`
}

// SetToDefault sets what Alloy starts from.
func (c *DockerConfig) SetToDefault() {
	*c = DockerConfig{
		HostNetworkingHost: defaultHost, MatchFirstNetwork: true, Port: 80, RefreshInterval: time.Minute,
		HTTPClient: httpclient.Default(),
	}
}

// Validate reports what cannot work.
func (c *DockerConfig) Validate() error {
	if _, err := docker.NewPool(nil).Engine(docker.Config{Host: cmp.Or(c.Host, docker.DefaultHost)}); err != nil {
		return err
	}
	if c.Port < 0 || c.Port > 65535 {
		return component.At("port", fmt.Errorf("%d is not a port: use 0 to 65535", c.Port))
	}
	if c.RefreshInterval <= 0 {
		return component.At("refresh_interval", fmt.Errorf("%v is not positive: use a time such as \"60s\"", c.RefreshInterval))
	}
	if _, err := newFilters(c.Filters); err != nil {
		return err
	}
	return c.HTTPClient.Validate()
}

// DockerEngine returns the Engine at a host, shared with everyone who reaches
// the same host by the same client settings.
func DockerEngine(host string, client *httpclient.Config, o component.Options) (*docker.Engine, error) {
	c := docker.Config{Host: host}
	scheme, _, _ := strings.Cut(host, "://")
	// The client settings are for HTTP hosts, as in Alloy, and make tcp:// a
	// TLS connection if they have a tls_config block.
	if scheme == "http" || scheme == "https" || scheme == "tcp" && client.TLS != nil {
		made, err := client.New(o.ID, o.UserAgent)
		if err != nil {
			return nil, err
		}
		made.Transport = discreet{made.Transport}
		c.Client, c.Key = made, clientKey(client)
	}
	return o.Docker.Engine(c)
}

// Docker is the component discovery.docker: a target for each port of each
// container, as soon as the Engine says that it has started.
//
// The targets and their labels are as in Prometheus's docker_sd, with these differences:
// of several networks, match_first_network prefers one that the collector's own container
// is in; localhost as host_networking_host, the default, is the gateway for a collector
// in a container; a container without an address (network_mode none, or one in the
// network of a container that is not known) gives one target without __address__, so that
// its logs can be read; one in the network of a container that is in the host's is
// reached through host_networking_host; the host's network is known for containers of
// Podman, too, which omits it; a container with an IPv6 address alone is reached there,
// and match_first_network passes over networks in which a container has no address; a
// port that is published for IPv4 and IPv6 gives one target; a network that the Engine
// tells nothing of still has its id and name; and the target of a container that has
// ended stays for a few seconds, with EndedLabel.
type Docker struct {
	config  DockerConfig
	options component.Options
	engine  *docker.Engine
	filters *filters
	set     *Set

	self     self
	cache    map[*docker.Container]built // made of the last snapshot
	limit    int                         // bytes of targets; those of one container have an eighth
	dropped  atomic.Int64                // targets of the last snapshot that are over it
	networks map[string]*docker.Network  // of the last snapshot
	place    place                       // in the last snapshot
}

// built is what one container came to.
type built struct {
	ended   bool
	targets []Target
	weight  int // about how many bytes the targets hold
	dropped int
}

//go:embed discovery.docker.md
var dockerPage string

func dockerDefinition() component.Definition {
	return component.Define("discovery.docker", NewDocker, component.Doc{Page: dockerPage, Exports: []component.Export{{Name: "targets", Type: "list(map(string))", Note: "live: follows what Docker runs"}}})
}

// NewDocker makes the component. If the Engine is in use already, as at a
// reload, the targets are there at once.
func NewDocker(c DockerConfig, o component.Options) (*Docker, error) {
	o = o.WithDefaults()
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c.Host = docker.HostOrDefault(c.Host, o.Warn)
	engine, err := DockerEngine(c.Host, &c.HTTPClient, o)
	if err != nil {
		return nil, err
	}
	f, err := newFilters(c.Filters)
	if err != nil {
		return nil, err
	}
	d := &Docker{config: c, options: o, engine: engine, filters: f, set: NewSet(), self: findSelf(), limit: docker.HeldLimit()}
	for _, c := range []prometheus.Collector{d.upGauge(), EngineMetrics(engine), d.droppedGauge()} {
		o.Metrics.MustRegister(c)
	}
	if snap, _ := engine.Snapshot(); snap.Listed && f.local() {
		d.set.Replace(d.targets(snap))
	}
	return d, nil
}

// upGauge shows whether the Engine is connected. Its label is not called host,
// which scrapers like to name the collector's own machine by.
func (d *Docker) upGauge() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "collector_docker_up",
		Help:        "1 while the Docker Engine is connected.",
		ConstLabels: prometheus.Labels{"docker_host": d.engine.Status().Host},
	}, func() float64 {
		if d.engine.Status().Connected {
			return 1
		}
		return 0
	})
}

// droppedGauge shows how many targets there is no room for.
func (d *Docker) droppedGauge() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "collector_docker_targets_dropped",
		Help:        "Targets of the last list that were dropped because all of them together would exceed the memory limit.",
		ConstLabels: prometheus.Labels{"docker_host": d.engine.Status().Host},
	}, func() float64 { return float64(d.dropped.Load()) })
}

// noteDropped notes how many targets there was no room for, and warns if that is
// new.
func (d *Docker) noteDropped(n int) {
	if before := d.dropped.Swap(int64(n)); n > 0 && before == 0 {
		d.options.Logger.Warn("containers have more targets than fit in memory: some are dropped", "dropped", n, "limit_bytes", d.limit)
	}
}

// Exports returns the targets.
func (d *Docker) Exports() map[string]any { return map[string]any{"targets": d.set} }

// DockerStatus is what the debug UI shows.
type DockerStatus struct {
	Host       string    `json:"host"`
	Connected  bool      `json:"connected"`
	Error      string    `json:"error,omitempty"`
	Since      time.Time `json:"since"`
	APIVersion string    `json:"api_version,omitempty"`
	Targets    int       `json:"targets"`
	// Refused are the requests that the Engine, or a proxy, does not allow.
	Refused []string `json:"refused,omitempty"`
	// Dropped is how many targets there is no room for.
	Dropped int `json:"dropped,omitempty"`
}

// Status returns a snapshot for the debug UI.
func (d *Docker) Status() any { return d.EngineStatus() }

// EngineStatus returns how the connection to the Engine is.
func (d *Docker) EngineStatus() DockerStatus {
	s := d.engine.Status()
	targets, _ := d.set.Targets()
	out := DockerStatus{Host: s.Host, Connected: s.Connected, Since: s.Since, APIVersion: s.APIVersion, Targets: len(targets), Refused: s.Refused, Dropped: int(d.dropped.Load())}
	if s.Err != nil {
		out.Error = s.Err.Error()
	}
	if err := d.filters.lastError(); err != nil {
		out.Error = err.Error()
	}
	return out
}

// Run follows the Engine until ctx ends.
func (d *Docker) Run(ctx context.Context) error {
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	go func() { done <- d.engine.Run(ctx, d.config.RefreshInterval) }()
	defer func() {
		cancel()
		<-done
	}()
	for {
		snap, changed := d.engine.Snapshot()
		var retry <-chan time.Time
		if snap.Listed {
			if err := d.filters.update(ctx, d.engine, snap); err != nil {
				d.warn(ctx, err)
				retry = time.After(filterRetry)
			} else {
				d.set.Replace(d.targets(snap))
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-retry:
		}
	}
}

// warn reports that the Engine did not answer for the filters, once for each
// error.
func (d *Docker) warn(ctx context.Context, err error) {
	if ctx.Err() == nil && d.filters.note(err) {
		d.options.Logger.Warn("the Docker Engine rejected the filters; the targets are unchanged", "err", err)
	}
}

// targets makes the targets of a snapshot, reusing what was made of the
// containers that are still the same.
func (d *Docker) targets(snap docker.Snapshot) []Target {
	cache := make(map[*docker.Container]built, len(snap.Containers))
	place := d.self.place(snap)
	same := sameMap(d.networks, snap.Networks) && place.equal(d.place)
	d.place = place
	var out []Target
	room, dropped := d.limit, 0
	for _, c := range snap.Containers {
		include, ended := d.filters.match(c)
		if !include || c.Name == "" {
			continue
		}
		b, ok := d.cache[c]
		// The address of a container in another's network depends on that one.
		shared := strings.HasPrefix(c.NetworkMode, containerMode)
		if !ok || b.ended != ended || !same || shared {
			b = d.build(c, ended, snap)
		}
		dropped += b.dropped
		if b.weight > room {
			dropped += len(b.targets)
			continue
		}
		room -= b.weight
		cache[c] = b
		out = append(out, b.targets...)
	}
	d.cache, d.networks = cache, snap.Networks
	d.noteDropped(dropped)
	return out
}

func sameMap(a, b map[string]*docker.Network) bool {
	if len(a) != len(b) {
		return false
	}
	for id, n := range a {
		if other, ok := b[id]; !ok || other != n {
			return false
		}
	}
	return true
}

const (
	metaDocker    = model.MetaLabelPrefix + "docker_"
	metaContainer = metaDocker + "container_"
	metaNetwork   = metaDocker + "network_"
	metaPort      = metaDocker + "port_"

	containerMode = "container:"
	// defaultHost is the default of host_networking_host.
	defaultHost = "localhost"
	// containerPart is the part of all room for targets that one container has.
	containerPart = 8
	// hostMode is the network mode, and the name of the network, of containers
	// that share the host's network.
	hostMode = "host"
)

// build makes the targets of one container: for each of its networks and ports,
// with all of its labels, as many as there is room for.
func (d *Docker) build(c *docker.Container, ended bool, snap docker.Snapshot) built {
	out := built{ended: ended}
	base := labels.NewBuilder(labels.EmptyLabels())
	base.Set(metaContainer+"id", c.ID)
	base.Set(metaContainer+"name", c.Name)
	base.Set(metaContainer+"network_mode", c.NetworkMode)
	setLabels(base, metaContainer+"label_", c.Labels)
	if ended {
		base.Set(EndedLabel, "true")
	}
	common := base.Labels()

	networks := networksOf(c, snap)
	if len(networks) == 0 {
		out.add(common, d.limit/containerPart)
		return out
	}
	if d.config.MatchFirstNetwork {
		networks = []docker.Endpoint{d.place.nearest(networks)}
	}
	for _, n := range networks {
		b := labels.NewBuilder(common)
		b.Set(metaNetwork+"ip", n.IP)
		b.Set(metaNetwork+"id", n.NetworkID)
		b.Set(metaNetwork+"name", n.Name)
		setNetwork(b, snap.Networks[n.NetworkID])
		d.portTargets(&out, b.Labels(), c, n)
	}
	return out
}

// add keeps a target, or counts it as dropped if there is no room.
func (b *built) add(t Target, limit int) {
	const fixed = 64
	weight := fixed + int(t.ByteSize())
	if b.weight+weight > limit {
		b.dropped++
		return
	}
	b.weight += weight
	b.targets = append(b.targets, t)
}

// portTargets adds a target for each TCP port that c exposes; one with the
// configured port if there is none.
func (d *Docker) portTargets(out *built, common labels.Labels, c *docker.Container, n docker.Endpoint) {
	var last docker.Port
	limit, found := d.limit/containerPart, false
	host := n.IP
	if n.Name == hostMode {
		host = d.hostAddress()
	}
	for _, p := range c.Ports {
		// The ports are sorted, so those that differ in the address on which
		// they are published follow one another.
		if p.Type != "tcp" || found && last.Private == p.Private && last.Public == p.Public {
			continue
		}
		last, found = p, true
		if out.dropped > 0 {
			out.dropped++ // without the work of making it
			continue
		}
		private := strconv.Itoa(int(p.Private))
		b := labels.NewBuilder(common)
		b.Set(metaPort+"private", private)
		if p.Public > 0 {
			b.Set(metaPort+"public", strconv.Itoa(int(p.Public)))
			b.Set(metaPort+"public_ip", p.PublicIP)
		}
		if host != "" {
			b.Set(model.AddressLabel, net.JoinHostPort(host, private))
		}
		out.add(b.Labels(), limit)
	}
	if found {
		return
	}
	b := labels.NewBuilder(common)
	switch {
	case c.NetworkMode == hostMode:
		b.Set(model.AddressLabel, bracketed(d.hostAddress()))
	case host != "":
		b.Set(model.AddressLabel, net.JoinHostPort(host, strconv.Itoa(d.config.Port)))
	}
	out.add(b.Labels(), limit)
}

// hostAddress is where containers in the host's network are reached. For a
// collector in a container of its own network, the default would be itself.
func (d *Docker) hostAddress() string {
	if d.config.HostNetworkingHost == defaultHost && d.place.host != "" {
		return d.place.host
	}
	host := d.config.HostNetworkingHost
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		return host[1 : len(host)-1]
	}
	return host
}

// bracketed is a host as it is written where a port may follow.
func bracketed(host string) string {
	if ip, err := netip.ParseAddr(host); err == nil && ip.Is6() {
		return "[" + host + "]"
	}
	return host
}

// networksOf returns the networks through which c is reached, sorted by name:
// its own, or those of the container whose network it shares.
func networksOf(c *docker.Container, snap docker.Snapshot) []docker.Endpoint {
	for range snap.Containers {
		if len(c.Networks) == 0 && c.NetworkMode == hostMode {
			return []docker.Endpoint{{Name: hostMode}} // which Podman omits
		}
		if len(c.Networks) > 0 || !strings.HasPrefix(c.NetworkMode, containerMode) {
			return c.Networks
		}
		peer := find(strings.TrimPrefix(c.NetworkMode, containerMode), snap)
		if peer == nil || !peer.Running && !peer.Ended {
			return nil
		}
		c = peer
	}
	return nil
}

// find looks a container up by ID, or by name.
func find(ref string, snap docker.Snapshot) *docker.Container {
	byID := func(c *docker.Container, id string) int { return strings.Compare(c.ID, id) }
	if i, ok := slices.BinarySearchFunc(snap.Containers, ref, byID); ok {
		return snap.Containers[i]
	}
	for _, c := range snap.Containers {
		if c.Name == "/"+ref {
			return c
		}
	}
	return nil
}

// setNetwork sets the labels that only the network itself has.
func setNetwork(b *labels.Builder, n *docker.Network) {
	if n == nil {
		return
	}
	b.Set(metaNetwork+"scope", n.Scope)
	b.Set(metaNetwork+"internal", strconv.FormatBool(n.Internal))
	b.Set(metaNetwork+"ingress", strconv.FormatBool(n.Ingress))
	setLabels(b, metaNetwork+"label_", n.Labels)
}

// setLabels sets labels in the order of their names, so that of two that are the same
// when sanitized always the same one stays.
func setLabels(b *labels.Builder, prefix string, from map[string]string) {
	for _, k := range slices.Sorted(maps.Keys(from)) {
		b.Set(prefix+sanitize(k), from[k])
	}
}

// sanitize makes the end of a label name of any text.
func sanitize(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, s)
}
