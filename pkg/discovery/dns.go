package discovery

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"golang.org/x/net/dns/dnsmessage"

	"collector/pkg/component"
	"collector/pkg/inspect"
)

//go:embed discovery.dns.md
var dnsPage string

func dnsDefinition() component.Definition {
	return component.Define("discovery.dns", NewDNS, component.Doc{
		Page:    dnsPage,
		Exports: []component.Export{{Name: "targets", Type: "list(map(string))", Note: "live: follows the records"}},
	})
}

// DNSConfig configures discovery.dns.
type DNSConfig struct {
	Names           []string      `alloy:"names,attr"`
	RefreshInterval time.Duration `alloy:"refresh_interval,attr,optional"`
	Type            string        `alloy:"type,attr,optional"`
	Port            int           `alloy:"port,attr,optional"`
}

// SetToDefault sets what Alloy starts from.
func (c *DNSConfig) SetToDefault() { *c = DNSConfig{RefreshInterval: 30 * time.Second, Type: "SRV"} }

// Validate reports what cannot work.
func (c *DNSConfig) Validate() error {
	kind, ok := recordType(c.Type)
	switch {
	case !ok:
		return component.At("type", fmt.Errorf("%q is not a record type: use A, AAAA, MX, NS or SRV", c.Type))
	case c.Port < 0 || c.Port > 65535:
		return component.At("port", fmt.Errorf("%d is not a port: use 1 to 65535", c.Port))
	case c.Port == 0 && kind != dnsmessage.TypeSRV:
		return component.At("port", fmt.Errorf("it is required, since %s records have no port", strings.ToUpper(c.Type)))
	}
	return positive(c.RefreshInterval)
}

func recordType(name string) (kind dnsmessage.Type, ok bool) {
	switch strings.ToUpper(name) {
	case "A":
		return dnsmessage.TypeA, true
	case "AAAA":
		return dnsmessage.TypeAAAA, true
	case "MX":
		return dnsmessage.TypeMX, true
	case "NS":
		return dnsmessage.TypeNS, true
	case "SRV":
		return dnsmessage.TypeSRV, true
	}
	return 0, false
}

const (
	metaDNS           = model.MetaLabelPrefix + "dns_"
	dnsNameLabel      = metaDNS + "name"
	dnsSRVTargetLabel = metaDNS + "srv_record_target"
	dnsSRVPortLabel   = metaDNS + "srv_record_port"
	dnsMXTargetLabel  = metaDNS + "mx_record_target"
	dnsNSTargetLabel  = metaDNS + "ns_record_target"

	// maxLookups bounds how many names are looked up at a time.
	maxLookups = 16
)

// DNS is the component discovery.dns: a target for each record of some names. A name
// that cannot be looked up keeps the targets that it had.
type DNS struct {
	config   DNSConfig
	kind     dnsmessage.Type
	resolver resolver
	poll     *poll
	lookups  prometheus.Counter
	failures prometheus.Counter

	mu    sync.Mutex
	names []DNSName // guarded by mu: as of the last refresh
}

// NewDNS makes the component. If its targets were saved, it has those until the
// names have been looked up.
func NewDNS(c DNSConfig, o component.Options) (*DNS, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	o = o.WithDefaults()
	d := &DNS{config: c, resolver: resolver{file: "/etc/resolv.conf", port: "53"}}
	d.kind, _ = recordType(c.Type) // Validate has checked it
	d.lookups = prometheus.NewCounter(prometheus.CounterOpts{Name: "prometheus_sd_dns_lookups_total", Help: "Lookups of names."})
	d.failures = prometheus.NewCounter(prometheus.CounterOpts{Name: "prometheus_sd_dns_lookup_failures_total", Help: "Failed lookups of names."})
	o.Metrics.MustRegister(d.lookups, d.failures)
	key := fmt.Sprintf("%s %d %q", d.kind, c.Port, c.Names)
	d.poll = newPoll(pollConfig{mechanism: "dns", every: c.RefreshInterval, key: key, list: d.list}, o)
	return d, nil
}

// Exports returns the targets, as a live list.
func (d *DNS) Exports() map[string]any { return map[string]any{"targets": d.poll.out} }

// Run looks the names up until ctx ends.
func (d *DNS) Run(ctx context.Context) error {
	d.poll.run(ctx)
	return nil
}

// found is the result of looking up a name.
type found struct {
	targets []Target
	err     error
}

// list looks all names up.
func (d *DNS) list(ctx context.Context) ([]Target, error) {
	results := make([]found, len(d.config.Names))
	room := make(chan struct{}, maxLookups)
	var lookups sync.WaitGroup
	for i, name := range d.config.Names {
		room <- struct{}{}
		lookups.Go(func() {
			defer func() { <-room }()
			results[i] = d.lookup(ctx, name)
		})
	}
	lookups.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return d.collect(results)
}

func (d *DNS) lookup(ctx context.Context, name string) found {
	records, err := d.resolver.lookup(ctx, name, d.kind)
	d.lookups.Inc()
	if err != nil {
		d.failures.Inc()
		return found{err: err}
	}
	return found{targets: recordTargets(name, records, d.config.Port)}
}

// collect combines the results for the names.
func (d *DNS) collect(results []found) ([]Target, error) {
	before, _ := d.poll.out.Targets()
	var names []DNSName
	var all []Target
	var first error
	failed := 0
	for i, r := range results {
		state := DNSName{Name: d.config.Names[i]}
		if r.err != nil {
			state.Error = r.err.Error()
			r.targets = slices.DeleteFunc(slices.Clone(before), func(t Target) bool { return t.Get(dnsNameLabel) != state.Name })
			if failed++; first == nil {
				first = r.err
			}
		}
		state.Targets = len(r.targets)
		names = append(names, state)
		all = append(all, r.targets...)
	}
	d.mu.Lock()
	d.names = names
	d.mu.Unlock()
	if failed == 0 {
		return all, nil
	}
	err := fmt.Errorf("%d of %d names cannot be looked up; the first: %w", failed, len(results), first)
	if failed < len(results) {
		return all, inspect.Partial{Err: err}
	}
	return nil, err
}

// recordTargets are the targets of a name's records, in an order that does not depend
// on the server.
func recordTargets(name string, records []dnsmessage.Resource, port int) []Target {
	var out []Target
	b := labels.NewBuilder(labels.EmptyLabels())
	for _, record := range records {
		b.Reset(labels.EmptyLabels())
		b.Set(dnsNameLabel, name)
		host, at := "", port
		switch r := record.Body.(type) {
		case *dnsmessage.AResource:
			host = netip.AddrFrom4(r.A).String()
		case *dnsmessage.AAAAResource:
			host = net.IP(r.AAAA[:]).String()
		case *dnsmessage.MXResource:
			host = r.MX.String()
			b.Set(dnsMXTargetLabel, host)
		case *dnsmessage.NSResource:
			host = r.NS.String()
			b.Set(dnsNSTargetLabel, host)
		case *dnsmessage.SRVResource:
			host, at = r.Target.String(), int(r.Port)
			b.Set(dnsSRVTargetLabel, host)
			b.Set(dnsSRVPortLabel, strconv.Itoa(at))
		default:
			continue
		}
		if host == "." {
			continue // which says that there is none (RFC 2782, RFC 7505)
		}
		b.Set(model.AddressLabel, net.JoinHostPort(strings.TrimRight(host, "."), strconv.Itoa(at)))
		out = append(out, b.Labels())
	}
	slices.SortFunc(out, labels.Compare)
	return out
}

// Health says which names cannot be looked up.
func (d *DNS) Health() error {
	_, err := d.poll.last()
	if err == nil {
		return nil
	}
	kept := fmt.Errorf("the last targets are kept: %w", err)
	if partial := (inspect.Partial{}); errors.As(err, &partial) {
		return inspect.Partial{Err: kept}
	}
	return kept
}

// DNSStatus is what the debug UI shows.
type DNSStatus struct {
	Type  string    `json:"type"`
	Names []DNSName `json:"names"`
	pollStatus
}

// DNSName is how one name is.
type DNSName struct {
	Name    string `json:"name"`
	Targets int    `json:"targets"`
	Error   string `json:"error,omitempty"`
}

// Status returns a snapshot for the debug UI.
func (d *DNS) Status() any {
	d.mu.Lock()
	defer d.mu.Unlock()
	names := append([]DNSName{}, d.names...)
	return DNSStatus{Type: strings.ToUpper(d.config.Type), Names: names, pollStatus: d.poll.status()}
}
