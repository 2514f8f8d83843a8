// Package remotecfg is the block remotecfg: a configuration that a server keeps, and
// that runs beside the user's own.
package remotecfg

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"
	"github.com/grafana/alloy-remote-config/api/gen/proto/go/collector/v1/collectorv1connect"
	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/httpclient"
	"collector/pkg/mask"
)

//go:embed remotecfg.md
var page string

// Components are the blocks of the package. version is reported to servers; the metrics,
// which have no component's labels, go to registry, which may be nil.
func Components(version string, registry prometheus.Registerer) []component.Definition {
	m := newMetrics(registry)
	construct := func(c Config, o component.Options) (*Remote, error) { return New(c, o, version, m) }
	return []component.Definition{component.DefineBlock("remotecfg", construct, component.Doc{Page: page})}
}

// Config configures remotecfg.
type Config struct {
	URL           string            `alloy:"url,attr,optional"`
	ID            string            `alloy:"id,attr,optional"`
	Name          string            `alloy:"name,attr,optional"`
	Attributes    map[string]string `alloy:"attributes,attr,optional"`
	PollFrequency time.Duration     `alloy:"poll_frequency,attr,optional"`
	Client        httpclient.Config `alloy:",squash"`
}

const (
	minPoll = 10 * time.Second
	// ownAttributes is the prefix of the attributes that describe the collector.
	ownAttributes = "collector."
)

// SetToDefault sets Alloy's defaults.
func (c *Config) SetToDefault() {
	*c = Config{PollFrequency: time.Minute, Client: httpclient.Default()}
}

// Validate checks what the types allow and a server does not.
func (c *Config) Validate() error {
	errs := []error{c.Client.Validate()}
	if c.URL != "" {
		if why := httpclient.Off(c.URL); why != "" {
			errs = append(errs, component.At("url", errors.New(why)))
		}
	}
	if c.PollFrequency < minPoll {
		errs = append(errs, component.At("poll_frequency", fmt.Errorf("must be at least %s, got %s", minPoll, c.PollFrequency)))
	}
	for name := range c.Attributes {
		if strings.HasPrefix(name, ownAttributes) {
			errs = append(errs, component.At("attributes", fmt.Errorf("%q cannot be set: names that begin with %q are the collector's own", name, ownAttributes)))
		}
	}
	return errors.Join(errs...)
}

// Remote polls a server for a configuration.
type Remote struct {
	config     Config
	o          component.Options
	version    string
	attributes map[string]string
	metrics    *metrics
	http       *http.Client
	client     collectorv1connect.CollectorServiceClient
	reloaded   chan struct{} // holds one when the user has loaded the configuration

	progress // of Run alone

	mu      sync.Mutex
	load    component.Load // guarded by mu
	running func() bool    // guarded by mu: see Beside
	shown   Status         // guarded by mu
	health  error          // guarded by mu: why what the server has is not in force
}

// New makes the component of a block remotecfg. It asks the server for nothing yet.
func New(c Config, o component.Options, version string, m *metrics) (*Remote, error) {
	o = o.WithDefaults()
	client, err := c.Client.NewLater("remotecfg", o.UserAgent)
	if err != nil {
		return nil, err
	}
	if c.URL == "" {
		o.Warn("url", "it is not set, so no configuration is fetched")
	}
	return newRemote(c, o, version, m, client), nil
}

func newRemote(c Config, o component.Options, version string, m *metrics, client *http.Client) *Remote {
	r := &Remote{
		config: c, o: o, version: version, attributes: map[string]string{}, metrics: m, http: client, reloaded: make(chan struct{}, 1),
		shown: Status{URL: mask.WithoutPasswords(c.URL), ID: c.ID, Name: c.Name},
	}
	maps.Copy(r.attributes, c.Attributes)
	r.attributes[ownAttributes+"version"], r.attributes[ownAttributes+"os"] = version, runtime.GOOS
	r.client = collectorv1connect.NewCollectorServiceClient(client, c.URL,
		connect.WithReadMaxBytes(maxAnswer), connect.WithInterceptors(named(o.UserAgent)))
	return r
}

// named sets the User-Agent, which the library would set to its own name.
func named(userAgent string) connect.UnaryInterceptorFunc {
	return func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
			request.Header().Set("User-Agent", userAgent)
			return next(ctx, request)
		}
	}
}

// Beside passes the function that loads the configuration, and the one that reports
// whether one has been loaded, by this block or its predecessor. A second call means that
// the user has reloaded the configuration that the block is part of.
func (r *Remote) Beside(load component.Load, running func() bool) {
	r.mu.Lock()
	again := r.load != nil
	r.load, r.running = load, running
	r.mu.Unlock()
	if !again {
		return
	}
	select {
	case r.reloaded <- struct{}{}:
	default: // it is known
	}
}

// Run asks the server every poll_frequency, until ctx ends.
func (r *Remote) Run(ctx context.Context) error {
	if r.config.URL == "" {
		if err := r.put(ctx, nil); err != nil && ctx.Err() == nil {
			return err
		}
		<-ctx.Done()
		return nil
	}
	defer r.http.CloseIdleConnections()
	r.begin()
	r.poll(ctx, false)
	for {
		// All collectors of a host must not ask at the same moment.
		timer := time.NewTimer(r.config.PollFrequency + rand.N(r.config.PollFrequency/50))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
			r.poll(ctx, false)
		case <-r.reloaded:
			timer.Stop()
			r.poll(ctx, true)
		}
	}
}

// put loads a text, or stops what is running if that is nil.
func (r *Remote) put(ctx context.Context, text []byte) error {
	r.mu.Lock()
	load := r.load
	r.mu.Unlock()
	if load == nil {
		return errors.New("there is nothing that could run a configuration")
	}
	var files []component.ModuleFile
	if text != nil {
		files = []component.ModuleFile{{Name: "<" + r.o.ID + ">", Text: text}}
	}
	return load(ctx, files)
}

// runs reports whether a configuration has been loaded, by this block or one before.
func (r *Remote) runs() bool {
	r.mu.Lock()
	running := r.running
	r.mu.Unlock()
	return running != nil && running()
}

// Health says why what the server has is not in force.
func (r *Remote) Health() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.health
}

// Status is what the debug UI shows.
type Status struct {
	URL  string `json:"url"`
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
	// InForce is the server's configuration that is running; nil if there is none.
	InForce *Version `json:"inForce"`
	// Received is the hash of what the server gave last.
	Received string    `json:"received,omitempty"`
	Answered time.Time `json:"answered,omitzero"`
	Error    string    `json:"error,omitempty"`
}

// Version is a configuration of the server.
type Version struct {
	Hash  string    `json:"hash"` // as in the metric remotecfg_hash
	From  string    `json:"from"` // "server" or "disk"
	Since time.Time `json:"since"`
}

// Status returns a snapshot for the debug UI.
func (r *Remote) Status() any {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.shown
}

func (r *Remote) show(change func(*Status)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.shown)
}

// maxReason bounds an error that is logged, shown and reported, in bytes.
const maxReason = 8 << 10

func reason(err error) string {
	text := mask.WithoutPasswords(err.Error())
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "") + "…"
	}
	return text
}

// fail records what is wrong, or with nil that nothing is. It logs new errors.
func (r *Remote) fail(err error) {
	text := ""
	if err != nil {
		text = reason(err)
		err = errors.New(text)
	}
	r.mu.Lock()
	before := r.shown.Error
	r.shown.Error, r.health = text, err
	r.mu.Unlock()
	switch {
	case text == before:
	case err != nil:
		r.o.Logger.LogAttrs(context.Background(), slog.LevelError, "cannot fetch or load the server's configuration; the previous one keeps running", slog.String("err", text))
	default:
		r.o.Logger.Info("the server's configuration is running again")
	}
}
