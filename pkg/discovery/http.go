package discovery

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"

	"collector/pkg/component"
	"collector/pkg/httpclient"
	"collector/pkg/mask"
)

//go:embed discovery.http.md
var httpPage string

func httpDefinition() component.Definition {
	return component.Define("discovery.http", NewHTTP, component.Doc{
		Page:    httpPage,
		Exports: []component.Export{{Name: "targets", Type: "list(map(string))", Note: "live: follows the server's list"}},
	})
}

// HTTPConfig configures discovery.http.
type HTTPConfig struct {
	URL             string        `alloy:"url,attr"`
	RefreshInterval time.Duration `alloy:"refresh_interval,attr,optional"`

	HTTPClient httpclient.Config `alloy:",squash"`
}

// SetToDefault sets what Alloy starts from.
func (c *HTTPConfig) SetToDefault() {
	*c = HTTPConfig{RefreshInterval: time.Minute, HTTPClient: httpclient.Default()}
}

// Validate reports what cannot work. A URL that nothing can be fetched from, such as
// one made of a variable that is not set, is accepted, as in Alloy.
func (c *HTTPConfig) Validate() error {
	if _, err := url.Parse(c.URL); err != nil {
		// The text of err holds the URL, and with it perhaps a password.
		return component.At("url", errors.New("it is not a valid URL: write it as http://host:port/path"))
	}
	if err := positive(c.RefreshInterval); err != nil {
		return err
	}
	return c.HTTPClient.Validate()
}

// positive checks a refresh_interval.
func positive(interval time.Duration) error {
	if interval <= 0 {
		return component.At("refresh_interval", fmt.Errorf("%v is not positive: use a time such as \"60s\"", interval))
	}
	return nil
}

// urlLabel is the URL that a target comes from.
const urlLabel = model.MetaLabelPrefix + "url"

// maxFetch bounds how long one request may take, beside the refresh interval.
const maxFetch = time.Minute

// HTTP is the component discovery.http: the targets that a server lists.
type HTTP struct {
	config   HTTPConfig
	url      string // as the targets' label has it
	off      string // why nothing can be fetched from url
	client   *http.Client
	poll     *poll
	failures prometheus.Counter
}

// NewHTTP makes the component. If its list was saved, it has those targets until the
// server answers.
func NewHTTP(c HTTPConfig, o component.Options) (*HTTP, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	o = o.WithDefaults()
	client, err := c.HTTPClient.New(o.ID, o.UserAgent)
	if err != nil {
		return nil, err
	}
	parsed, err := url.Parse(c.URL)
	if err != nil {
		return nil, err
	}
	h := &HTTP{config: c, url: parsed.String(), off: httpclient.Off(c.URL), client: client}
	if h.off != "" {
		o.Warn("url", h.off+", so there are no targets")
	}
	h.failures = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "prometheus_sd_http_failures_total", Help: "Failed requests for the list of targets.",
	})
	o.Metrics.MustRegister(h.failures)
	h.poll = newPoll(pollConfig{mechanism: "http", every: c.RefreshInterval, key: h.url, list: h.list}, o)
	return h, nil
}

// Exports returns the targets, as a live list.
func (h *HTTP) Exports() map[string]any { return map[string]any{"targets": h.poll.out} }

// Run follows the server's list until ctx ends.
func (h *HTTP) Run(ctx context.Context) error {
	defer h.client.CloseIdleConnections()
	h.poll.run(ctx)
	return nil
}

// list fetches the list of targets: all of them or none.
func (h *HTTP) list(ctx context.Context) ([]Target, error) {
	if h.off != "" {
		return nil, errors.New("url: " + h.off)
	}
	targets, err := h.fetch(ctx)
	if err != nil {
		h.failures.Inc()
		return nil, fmt.Errorf("fetch the targets: %w", err)
	}
	return targets, nil
}

func (h *HTTP) fetch(ctx context.Context) ([]Target, error) {
	ctx, cancel := context.WithTimeout(ctx, min(h.config.RefreshInterval, maxFetch))
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, h.config.URL, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	seconds := strconv.FormatFloat(h.config.RefreshInterval.Seconds(), 'f', -1, 64)
	request.Header.Set("X-Prometheus-Refresh-Interval-Seconds", seconds)
	answer, err := h.client.Do(request)
	if err != nil {
		return nil, errors.New(mask.WithoutPasswords(err.Error()))
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, maxRefusal)) // so that the connection can be used again
		return nil, fmt.Errorf("the server answers %s", answer.Status)
	}
	if kind := answer.Header.Get("Content-Type"); !isJSON(kind) {
		return nil, fmt.Errorf("the answer's Content-Type is %q where application/json is needed", kind)
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxTargetFile+1))
	switch {
	case err != nil:
		return nil, errors.New(mask.WithoutPasswords(err.Error()))
	case len(text) > maxTargetFile:
		return nil, fmt.Errorf("the answer is larger than %d MiB", maxTargetFile>>20)
	}
	groups, err := parseJSON(text)
	if err != nil {
		return nil, err
	}
	return ofGroups(groups, urlLabel, h.url)
}

// isJSON reports whether an answer with this Content-Type is JSON in UTF-8.
func isJSON(contentType string) bool {
	kind, parameters, err := mime.ParseMediaType(contentType)
	charset, given := parameters["charset"]
	return err == nil && kind == "application/json" && (!given || strings.EqualFold(charset, "utf-8"))
}

// Health says why the list cannot be fetched.
func (h *HTTP) Health() error {
	_, err := h.poll.last()
	if err != nil {
		return fmt.Errorf("the last targets are kept: %w", err)
	}
	return nil
}

// HTTPStatus is what the debug UI shows.
type HTTPStatus struct {
	URL string `json:"url"`
	pollStatus
}

// Status returns a snapshot for the debug UI.
func (h *HTTP) Status() any {
	return HTTPStatus{URL: mask.WithoutPasswords(h.url), pollStatus: h.poll.status()}
}
