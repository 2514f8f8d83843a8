package discovery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/backoff"
	"collector/pkg/cause"
	"collector/pkg/httpclient"
	"collector/pkg/mask"
)

const (
	// consulWait is how long Consul may hold an answer back until something changes;
	// it adds up to a sixteenth of it.
	consulWait = 2 * time.Minute
	// consulTimeout ends a request.
	consulTimeout = consulWait + 15*time.Second
	// maxConsulPause is the longest pause after failures.
	maxConsulPause = 15 * time.Second
	// consulSettle is the pause between two lists of targets: many services that are
	// read one after the other do not make as many lists.
	consulSettle = 200 * time.Millisecond
	// maxConsulWaiting is how many services there may be for each to have a request
	// that waits for a change: a Consul agent accepts 200 connections from an address.
	// More are polled, maxConsulPolls at a time.
	maxConsulWaiting = 100
	maxConsulPolls   = 20
	// maxConsulServices is how many services are followed.
	maxConsulServices = 10_000
	// maxConsulAnswer bounds an answer.
	maxConsulAnswer = 16 << 20
)

// repeat calls ask again and again, at most once in each refresh interval, until ctx
// ends. ask is given the index of the answer before it, 0 if there is none, and
// returns that of its own. After a failure there is a pause, and then an answer is wanted
// at once.
func (c *Consul) repeat(ctx context.Context, ask func(index uint64) (uint64, error)) {
	tick := time.NewTicker(c.config.RefreshInterval)
	defer tick.Stop()
	retry := backoff.New(c.pause, maxConsulPause)
	var index uint64
	for ctx.Err() == nil {
		next, err := ask(index)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			index = 0
			_ = retry.Wait(ctx)
			continue
		case next < index: // Consul has reset its index
			next = 0
		}
		index = next
		retry.Reset()
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// readCatalog asks which services there are, and follows those that are wanted.
func (c *Consul) readCatalog(ctx context.Context, running *sync.WaitGroup, index uint64) (uint64, error) {
	var services map[string][]string
	next, err := c.ask(ctx, c.rpc.services, &services, "catalog/services", c.query(nil, index))
	if err != nil {
		err = fmt.Errorf("list the services: %w", err)
	}
	if ctx.Err() != nil || c.noteCatalog(err) != nil || next == index && index != 0 {
		return next, err
	}
	var wanted []string
	for name, tags := range services {
		if c.wants(name, tags) {
			wanted = append(wanted, name)
		}
	}
	slices.Sort(wanted)
	c.follow(ctx, running, wanted)
	return next, nil
}

// wants reports whether a service with these tags is followed.
func (c *Consul) wants(name string, tags []string) bool {
	if len(c.config.Services) > 0 && !slices.Contains(c.config.Services, name) {
		return false
	}
	return !slices.ContainsFunc(c.config.Tags, func(tag string) bool { return !slices.Contains(tags, tag) })
}

// noteCatalog keeps whether the catalog can be read.
func (c *Consul) noteCatalog(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.catalog = err
	if err == nil {
		c.good = time.Now()
	} else {
		c.quiet.Warn(c.o.Logger, "catalog", "cannot read the catalog; keeping the last targets", cause.Attributes(err)...)
	}
	return err
}

// follow follows the services with these names, and no others.
func (c *Consul) follow(ctx context.Context, running *sync.WaitGroup, names []string) {
	if more := len(names) - maxConsulServices; more > 0 {
		c.quiet.Warn(c.o.Logger, "services", "too many services; the rest are ignored: set services or tags", "ignored", more, "limit", maxConsulServices)
		names = names[:maxConsulServices]
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	followed := map[string]bool{}
	for _, name := range names {
		if followed[name] = true; c.services[name] != nil {
			continue
		}
		of, stop := context.WithCancel(ctx)
		s := &consulService{stop: stop, targets: c.before[name]}
		c.services[name] = s
		running.Go(func() {
			defer stop()
			c.repeat(of, func(index uint64) (uint64, error) { return c.readService(of, name, s, index) })
		})
	}
	for name, s := range c.services {
		if !followed[name] {
			s.stop()
			delete(c.services, name)
		}
	}
	c.before = nil // all that is left of it is in the services
	c.changed()
}

// readService asks for the instances of a service.
func (c *Consul) readService(ctx context.Context, name string, s *consulService, index uint64) (uint64, error) {
	if c.followed() > maxConsulWaiting {
		index = 0
		select {
		case c.room <- struct{}{}:
			defer func() { <-c.room }()
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	var instances []consulInstance
	next, err := c.ask(ctx, c.rpc.service, &instances, "health/service/"+url.PathEscape(name), c.query(c.config.Tags, index))
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	if err != nil {
		c.quiet.Warn(c.o.Logger, "service", "cannot read a service; keeping its last targets", append([]any{"service", name}, cause.Attributes(err)...)...)
	}
	var targets []Target
	for i := range instances {
		targets = append(targets, instances[i].target(name, &c.config))
	}
	slices.SortFunc(targets, labels.Compare)
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.err = err; err != nil {
		return 0, err
	}
	c.good = time.Now()
	if !s.read || next != index || index == 0 {
		s.read, s.targets = true, targets
		c.changed()
	}
	return next, nil
}

func (c *Consul) followed() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.services)
}

// changed says that there may be something to publish.
func (c *Consul) changed() {
	select {
	case c.dirty <- struct{}{}:
	default:
	}
}

// publishing puts the targets of all services together when they change, until ctx
// ends.
func (c *Consul) publishing(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.dirty:
			c.publish()
		}
		if backoff.Sleep(ctx, consulSettle, nil) != nil {
			return
		}
	}
}

func (c *Consul) publish() {
	c.mu.Lock()
	var targets []Target
	for _, name := range slices.Sorted(maps.Keys(c.services)) {
		targets = append(targets, c.services[name].targets...)
	}
	c.mu.Unlock()
	before, _ := c.out.Targets()
	if c.out.Replace(targets); !slices.EqualFunc(before, targets, labels.Equal) {
		c.saved.write(targets)
	}
}

// query makes the query of a request for services with these tags. With the index of an answer,
// Consul waits until it has another.
func (c *Consul) query(tags []string, index uint64) url.Values {
	q := url.Values{}
	for name, value := range map[string]string{"dc": c.config.Datacenter, "ns": c.config.Namespace, "partition": c.config.Partition} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if c.config.AllowStale {
		q.Set("stale", "")
	}
	for name, value := range c.config.NodeMeta {
		q.Add("node-meta", name+":"+value)
	}
	for _, tag := range tags {
		q.Add("tag", tag)
	}
	if index > 0 {
		q.Set("index", strconv.FormatUint(index, 10))
		q.Set("wait", strconv.FormatInt(consulWait.Milliseconds(), 10)+"ms")
	}
	return q
}

// ask reads the answer of a path into to, and returns its index.
func (c *Consul) ask(ctx context.Context, took prometheus.Observer, to any, path string, query url.Values) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, consulTimeout)
	defer cancel()
	start := time.Now()
	index, err := c.request(ctx, to, path, query)
	took.Observe(time.Since(start).Seconds())
	if err != nil {
		c.rpc.failures.Inc()
		return 0, errors.New(mask.WithoutPasswords(err.Error()))
	}
	return index, nil
}

func (c *Consul) request(ctx context.Context, to any, path string, query url.Values) (uint64, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/v1/"+path+"?"+query.Encode(), nil)
	if err != nil {
		return 0, err
	}
	if c.token != "" {
		r.Header.Set("X-Consul-Token", c.token)
	}
	answer, err := c.client.Do(r)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, maxRefusal))
		return 0, fmt.Errorf("the server answers %s: %s", answer.Status, httpclient.Words(answer, text))
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxConsulAnswer+1))
	switch {
	case err != nil:
		return 0, err
	case len(text) > maxConsulAnswer:
		return 0, fmt.Errorf("the answer is larger than %d MiB", maxConsulAnswer>>20)
	}
	if err := json.Unmarshal(text, to); err != nil {
		return 0, fmt.Errorf("the answer is not Consul's: %w", err)
	}
	index, err := strconv.ParseUint(strings.TrimSpace(answer.Header.Get("X-Consul-Index")), 10, 64)
	if err != nil {
		return 0, nil // without an index, the next request does not wait
	}
	return index, nil
}
