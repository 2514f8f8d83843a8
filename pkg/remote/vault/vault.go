// Package vault is remote.vault: a secret of HashiCorp Vault, or of OpenBao. Vault's own
// library depends on the SDKs of all clouds.
package vault

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/backoff"
	"collector/pkg/cause"
	"collector/pkg/component"
	"collector/pkg/lastgood"
)

//go:embed remote.vault.md
var page string

// Definition is the component remote.vault.
func Definition() component.Definition {
	return component.Define("remote.vault", New, component.Doc{
		Page:    page,
		Exports: []component.Export{{Name: "data", Type: "map(secret)", Note: "The fields of the secret that are strings."}},
	})
}

const (
	// startTimeout bounds what a start waits for Vault.
	startTimeout = time.Minute
	// maxPause is the longest pause after failures.
	maxPause = time.Minute
)

// Vault is the component remote.vault.
type Vault struct {
	config  Config
	o       component.Options
	client  *client
	login   login
	pause   time.Duration // after a first failure
	data    *lastgood.Value[map[string]string]
	metrics metrics

	// The token and when it and the secret are due; for New and Run.
	token            *lease
	extendAt, readAt time.Time // the zero time: never

	mu   sync.Mutex
	good time.Time // guarded by mu: when the secret was last read
}

type metrics struct{ auth, reads, authExtended, secretExtended prometheus.Counter }

func newMetrics(r prometheus.Registerer) metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "remote_vault_" + name, Help: help})
		r.MustRegister(c)
		return c
	}
	return metrics{
		counter("auth_total", "Logins to Vault."), counter("secret_reads_total", "Times the secret was read."),
		counter("auth_lease_renewal_total", "Times the lease of the token was extended."),
		counter("secret_lease_renewal_total", "Times the lease of the secret was extended: never, as secrets of this kind are read again."),
	}
}

// New makes a remote.vault. It logs in and reads the secret.
func New(c Config, o component.Options) (*Vault, error) {
	o = o.WithDefaults()
	client, err := newClient(&c, o)
	if err != nil {
		return nil, err
	}
	v := &Vault{config: c, o: o, client: client, pause: time.Second, metrics: newMetrics(o.Metrics)}
	v.login = c.Auth[0].login(client, newMachine(o), o)
	return v, v.start()
}

// start logs in and reads the secret for the first time.
func (v *Vault) start() error {
	ctx, cancel := context.WithTimeout(v.o.Context, startTimeout)
	defer cancel()
	err := v.authenticate(ctx)
	var data map[string]string
	if err == nil {
		data, err = v.read(ctx)
	}
	if err != nil {
		return component.At("server", component.Absent(err))
	}
	v.data = lastgood.New(data, maps.Equal[map[string]string])
	return nil
}

// authenticate logs in.
func (v *Vault) authenticate(ctx context.Context) error {
	token, err := v.login(ctx)
	if err != nil {
		return err
	}
	v.metrics.auth.Inc()
	v.token = token
	v.schedule(token.Duration)
	return nil
}

// schedule has the token extended, or replaced, after two thirds of its lease.
func (v *Vault) schedule(seconds int) {
	v.extendAt = time.Time{}
	if seconds > 0 {
		v.extendAt = time.Now().Add(time.Duration(seconds) * time.Second * 2 / 3)
	}
}

// extend extends the lease of the token. A token that cannot be extended, or not for half
// as long as it was first given, is replaced.
func (v *Vault) extend(ctx context.Context) error {
	if !v.token.Renewable {
		return v.authenticate(ctx)
	}
	a, err := v.client.do(ctx, call{method: http.MethodPut, path: "auth/token/renew-self", token: v.token.Token, body: map[string]any{}})
	if err != nil || a.Auth == nil || a.Auth.Duration < v.token.Duration/2 {
		return v.authenticate(ctx)
	}
	v.metrics.authExtended.Inc()
	v.schedule(a.Auth.Duration)
	return nil
}

// read reads the secret, with another token if this one is no longer good.
func (v *Vault) read(ctx context.Context) (map[string]string, error) {
	a, err := v.get(ctx)
	if refused(err, http.StatusForbidden) && v.config.Auth[0].Token == nil && v.authenticate(ctx) == nil {
		a, err = v.get(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("read the secret: %w", err)
	}
	v.metrics.reads.Inc()
	v.readAt = time.Time{}
	if lasts := time.Duration(a.LeaseDuration) * time.Second; lasts > 0 {
		v.readAt = time.Now().Add(lasts)
	}
	if often := v.config.RereadFrequency; often > 0 && (v.readAt.IsZero() || time.Until(v.readAt) > often) {
		v.readAt = time.Now().Add(often)
	}
	v.mu.Lock()
	v.good = time.Now()
	v.mu.Unlock()
	return v.fields(a.Data)
}

// get reads the secret from an engine of the second version, or else of the first: by
// their paths, each knows nothing of the other's.
func (v *Vault) get(ctx context.Context) (*answer, error) {
	mount, path, err := v.config.secret()
	if err != nil {
		return nil, err
	}
	second, err := v.client.do(ctx, call{method: http.MethodGet, path: mount + "/data/" + path, token: v.token.Token})
	if err == nil {
		var versioned struct {
			Data json.RawMessage `json:"data"`
		}
		if err = json.Unmarshal(second.Data, &versioned); err == nil {
			second.Data = versioned.Data
		}
		return second, err
	}
	if !refused(err, http.StatusNotFound, http.StatusForbidden) {
		return nil, err
	}
	if first, firstErr := v.client.do(ctx, call{method: http.MethodGet, path: mount + "/" + path, token: v.token.Token}); firstErr == nil && len(first.Data) > 0 {
		return first, nil
	}
	return nil, err
}

// fields are the fields of a secret that are strings.
func (v *Vault) fields(data json.RawMessage) (map[string]string, error) {
	var all map[string]any
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, fmt.Errorf("read the secret: it has no fields") // the text of err could quote them
	}
	fields := map[string]string{}
	for name, value := range all {
		if text, ok := value.(string); ok {
			fields[name] = text
			continue
		}
		v.o.Logger.Warn("a field of the secret is not a string, and is not exported", "field", name, "type", fmt.Sprintf("%T", value))
	}
	return fields, nil
}

// Exports gives the secret as it was last read.
func (v *Vault) Exports() map[string]any {
	data := map[string]any{}
	for name, value := range v.data.Get() {
		data[name] = component.Secret(value)
	}
	return map[string]any{"data": data}
}

// Run keeps the token and the secret good, until ctx ends.
func (v *Vault) Run(ctx context.Context) error {
	retry := backoff.New(v.pause, maxPause)
	for {
		due := earliest(v.extendAt, v.readAt)
		if due.IsZero() {
			<-ctx.Done()
			return nil
		}
		if backoff.Sleep(ctx, time.Until(due), nil) != nil {
			return nil
		}
		if v.step(ctx) == nil {
			retry.Reset()
		} else if retry.Wait(ctx) != nil {
			return nil
		}
	}
}

// earliest is the earlier of two times, of which one may be never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// step does what is due. Without success, the last secret stays.
func (v *Vault) step(ctx context.Context) error {
	now := time.Now()
	var err error
	data := v.data.Get()
	if !v.extendAt.IsZero() && !now.Before(v.extendAt) {
		err = v.extend(ctx)
	}
	if err == nil && !v.readAt.IsZero() && !now.Before(v.readAt) {
		data, err = v.read(ctx)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	changed, failed := v.data.Read(data, err)
	if failed {
		v.o.Logger.Warn("the secret cannot be refreshed; keeping the last one", cause.Attributes(err)...)
	}
	if changed {
		v.o.Changed()
	}
	return err
}

// Health says why the secret cannot be read.
func (v *Vault) Health() error { return v.data.Health("the last secret") }

// Status is what the debug UI shows.
type Status struct {
	Server   string    `json:"server"`
	LastRead time.Time `json:"last_read"`
	Fields   int       `json:"fields"`
	Error    string    `json:"error,omitempty"`
}

// Status returns a snapshot for the debug UI.
func (v *Vault) Status() any {
	s := Status{Server: v.client.base, Fields: len(v.data.Get())}
	if err := v.Health(); err != nil {
		s.Error = err.Error()
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	s.LastRead = v.good
	return s
}
