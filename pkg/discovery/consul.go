package discovery

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/httpclient"
	"collector/pkg/inspect"
	"collector/pkg/mask"
	"collector/pkg/throttle"
)

//go:embed discovery.consul.md
var consulPage string

func consulDefinition() component.Definition {
	return component.Define("discovery.consul", NewConsul, component.Doc{
		Page:    consulPage,
		Exports: []component.Export{{Name: "targets", Type: "list(map(string))", Note: "live: follows the catalog and the health of its services"}},
	})
}

// ConsulConfig configures discovery.consul.
type ConsulConfig struct {
	Server          string            `alloy:"server,attr,optional"`
	Token           component.Secret  `alloy:"token,attr,optional"`
	Datacenter      string            `alloy:"datacenter,attr,optional"`
	Namespace       string            `alloy:"namespace,attr,optional"`
	Partition       string            `alloy:"partition,attr,optional"`
	TagSeparator    string            `alloy:"tag_separator,attr,optional"`
	Scheme          string            `alloy:"scheme,attr,optional"`
	Username        string            `alloy:"username,attr,optional"`
	Password        component.Secret  `alloy:"password,attr,optional"`
	AllowStale      bool              `alloy:"allow_stale,attr,optional"`
	Services        []string          `alloy:"services,attr,optional"`
	Tags            []string          `alloy:"tags,attr,optional"`
	NodeMeta        map[string]string `alloy:"node_meta,attr,optional"`
	RefreshInterval time.Duration     `alloy:"refresh_interval,attr,optional"`

	HTTPClient httpclient.Config `alloy:",squash"`
}

// SetToDefault sets Alloy's defaults.
func (c *ConsulConfig) SetToDefault() {
	*c = ConsulConfig{
		Server: "localhost:8500", TagSeparator: ",", Scheme: "http", AllowStale: true,
		RefreshInterval: 30 * time.Second, HTTPClient: httpclient.Default(),
	}
}

// Validate reports what cannot work.
func (c *ConsulConfig) Validate() error {
	if _, err := c.base(); err != nil {
		return component.At("server", err)
	}
	if c.named() && c.HTTPClient.BasicAuth != nil {
		return component.At("username", errors.New("the block basic_auth is also set: keep only one of them"))
	}
	if c.Token != "" && (c.HTTPClient.Authorization != nil || c.HTTPClient.OAuth2 != nil) {
		return component.At("token", errors.New("authorization or oauth2 is also set: keep only one of them"))
	}
	if err := positive(c.RefreshInterval); err != nil {
		return err
	}
	return c.client().Validate()
}

// named reports whether a user is set outside of basic_auth.
func (c *ConsulConfig) named() bool { return c.Username != "" || c.Password != "" }

// client is the HTTP client's configuration, with the user.
func (c *ConsulConfig) client() *httpclient.Config {
	client := c.HTTPClient
	if c.named() && client.BasicAuth == nil {
		client.BasicAuth = &httpclient.BasicAuth{Username: c.Username, Password: c.Password}
	}
	return &client
}

// base is the server's URL, to which paths are appended.
func (c *ConsulConfig) base() (string, error) {
	server := cmp.Or(c.Server, os.Getenv("CONSUL_HTTP_ADDR"), "127.0.0.1:8500")
	scheme, rest, ok := strings.Cut(server, "://")
	switch {
	case !ok:
		scheme, rest = cmp.Or(c.Scheme, "http"), server
	case scheme == "http": // HTTPS that was asked for is not undone
		scheme = cmp.Or(c.Scheme, "http")
	case scheme == "unix":
		return "", errors.New("a Unix socket is not supported: use the agent's HTTP address, such as localhost:8500")
	}
	if scheme != "http" && scheme != "https" {
		return "", errors.New("the scheme must be http or https")
	}
	return scheme + "://" + strings.TrimSuffix(rest, "/"), nil
}

// Consul is the component discovery.consul: a target for each instance of the services
// in a Consul catalog. A service that cannot be read keeps the targets that it had.
type Consul struct {
	config ConsulConfig
	base   string
	off    string // why nothing can be asked
	token  string
	client *http.Client
	o      component.Options
	out    *Set
	saved  saved
	quiet  throttle.Log
	rpc    consulMetrics
	pause  time.Duration // after a first failure

	dirty chan struct{} // has an element while there may be something to publish
	room  chan struct{} // has an element for each service that is polled now

	mu       sync.Mutex
	before   map[string][]Target       // guarded by mu, as all below: of services not yet read
	services map[string]*consulService // by name
	catalog  error                     // why the catalog cannot be read
	good     time.Time                 // when Consul last answered
}

// consulService is what is known of a service.
type consulService struct {
	targets []Target
	read    bool
	err     error
	stop    context.CancelFunc
}

// NewConsul makes the component. If its targets were saved, it has those until Consul
// answers.
func NewConsul(cfg ConsulConfig, o component.Options) (*Consul, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	o = o.WithDefaults()
	client, err := cfg.client().New(o.ID, o.UserAgent)
	if err != nil {
		return nil, err
	}
	base, err := cfg.base()
	if err != nil {
		return nil, component.At("server", err)
	}
	cfg.Namespace = cmp.Or(cfg.Namespace, os.Getenv("CONSUL_NAMESPACE"))
	cfg.Partition = cmp.Or(cfg.Partition, os.Getenv("CONSUL_PARTITION"))
	c := &Consul{
		config: cfg, base: base, off: httpclient.Off(base), token: cmp.Or(string(cfg.Token), os.Getenv("CONSUL_HTTP_TOKEN")),
		client: client, o: o, out: NewSet(), rpc: newConsulMetrics(o.Metrics), pause: time.Second,
		dirty: make(chan struct{}, 1), room: make(chan struct{}, maxConsulPolls),
		before: map[string][]Target{}, services: map[string]*consulService{},
	}
	if c.off != "" {
		o.Warn("server", c.off+", so there are no targets")
	}
	c.saved = saved{key: cfg.key(base), options: o, quiet: &c.quiet}
	last := c.saved.load()
	for _, t := range last {
		name := t.Get(consulServiceLabel)
		c.before[name] = append(c.before[name], t)
	}
	c.out.Replace(last)
	return c, nil
}

// key identifies whose targets are saved.
func (c *ConsulConfig) key(base string) string {
	return fmt.Sprintf("%q", []any{base, c.Datacenter, c.Namespace, c.Partition, c.Services, c.Tags, c.NodeMeta, c.TagSeparator})
}

// Exports returns the targets, as a live list.
func (c *Consul) Exports() map[string]any { return map[string]any{"targets": c.out} }

// Run follows the catalog, or the services that are named, until ctx ends.
func (c *Consul) Run(ctx context.Context) error {
	if c.off != "" {
		c.noteCatalog(errors.New("server: " + c.off))
		<-ctx.Done()
		return nil
	}
	defer c.client.CloseIdleConnections()
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { c.publishing(ctx) })
	if len(c.config.Services) > 0 && len(c.config.Tags) == 0 {
		c.follow(ctx, &running, c.config.Services)
		<-ctx.Done()
		return nil
	}
	c.repeat(ctx, func(index uint64) (uint64, error) { return c.readCatalog(ctx, &running, index) })
	return nil
}

// Health says what cannot be read.
func (c *Consul) Health() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.catalog != nil {
		return fmt.Errorf("the last targets are kept: %w", c.catalog)
	}
	failed, err := c.failing()
	if failed == 0 {
		return nil
	}
	err = fmt.Errorf("the last targets are kept: %d of %d services cannot be read; the first: %w", failed, len(c.services), err)
	if failed < len(c.services) {
		return inspect.Partial{Err: err}
	}
	return err
}

// failing is how many services cannot be read, and why the first of them.
func (c *Consul) failing() (failed int, first error) {
	for _, name := range slices.Sorted(maps.Keys(c.services)) {
		if err := c.services[name].err; err != nil {
			if failed++; first == nil {
				first = fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return failed, first
}

// ConsulStatus is what the debug UI shows.
type ConsulStatus struct {
	Server   string `json:"server"`
	Services int    `json:"services"` // that are followed
	pollStatus
}

// Status returns a snapshot for the debug UI.
func (c *Consul) Status() any {
	targets, _ := c.out.Targets()
	s := ConsulStatus{Server: mask.WithoutPasswords(c.base), pollStatus: pollStatus{Targets: len(targets)}}
	if err := c.Health(); err != nil {
		s.Error = err.Error()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Services = len(c.services)
	if !c.good.IsZero() {
		good := c.good
		s.LastRefresh = &good
	}
	return s
}

// consulMetrics are of the requests to Consul.
type consulMetrics struct {
	failures          prometheus.Counter
	services, service prometheus.Observer
}

func newConsulMetrics(r prometheus.Registerer) consulMetrics {
	failures := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "prometheus_sd_consul_rpc_failures_total", Help: "Failed requests to Consul.",
	})
	duration := prometheus.NewSummaryVec(prometheus.SummaryOpts{
		Name: "prometheus_sd_consul_rpc_duration_seconds", Help: "How long requests to Consul took, including the wait for a change.",
		Objectives: map[float64]float64{0.5: 0.05, 0.9: 0.01, 0.99: 0.001},
	}, []string{"endpoint", "call"})
	r.MustRegister(failures, duration)
	return consulMetrics{failures, duration.WithLabelValues("catalog", "services"), duration.WithLabelValues("catalog", "service")}
}
