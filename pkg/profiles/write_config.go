package profiles

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"collector/pkg/component"
	"collector/pkg/httpclient"
)

const defaultBackoffRetries = 10

// WriteConfig is the block pyroscope.write.
type WriteConfig struct {
	ExternalLabels map[string]string `alloy:"external_labels,attr,optional"`
	Endpoints      []EndpointConfig  `alloy:"endpoint,block,optional"`
	Tracing        TracingConfig     `alloy:"tracing,block,optional"`
}

// EndpointConfig is one Pyroscope server.
type EndpointConfig struct {
	Name              string            `alloy:"name,attr,optional"`
	URL               string            `alloy:"url,attr"`
	RemoteTimeout     time.Duration     `alloy:"remote_timeout,attr,optional"`
	Headers           map[string]string `alloy:"headers,attr,optional"`
	HTTP              httpclient.Config `alloy:",squash"`
	MinBackoff        time.Duration     `alloy:"min_backoff_period,attr,optional"`
	MaxBackoff        time.Duration     `alloy:"max_backoff_period,attr,optional"`
	MaxBackoffRetries int               `alloy:"max_backoff_retries,attr,optional"`
}

// TracingConfig chooses how Alloy forwards the trace of a request.
type TracingConfig struct {
	JaegerPropagator       bool `alloy:"jaeger_propagator,attr,optional"`
	TraceContextPropagator bool `alloy:"trace_context_propagator,attr,optional"`
}

// SetToDefault sets Alloy's defaults.
func (c *WriteConfig) SetToDefault() {
	*c = WriteConfig{}
	c.Tracing.SetToDefault()
}

// SetToDefault sets Alloy's defaults.
func (c *EndpointConfig) SetToDefault() {
	*c = EndpointConfig{
		RemoteTimeout:     10 * time.Second,
		HTTP:              httpclient.Default(),
		MinBackoff:        500 * time.Millisecond,
		MaxBackoff:        5 * time.Minute,
		MaxBackoffRetries: defaultBackoffRetries,
	}
}

// SetToDefault sets Alloy's defaults.
func (c *TracingConfig) SetToDefault() {
	*c = TracingConfig{JaegerPropagator: true, TraceContextPropagator: true}
}

// Validate reports external labels that Pyroscope could not accept.
func (c *WriteConfig) Validate() error {
	for name, value := range c.ExternalLabels {
		err := checkLabelName(name)
		if name == labelName && value != "" {
			err = checkApplicationName(value)
		}
		switch {
		case err != nil:
			return component.At("external_labels", err)
		case !utf8.ValidString(value):
			return component.At("external_labels", fmt.Errorf("the value of %q is not valid UTF-8", name))
		case strings.ContainsAny(value, ",}"):
			return component.At("external_labels", fmt.Errorf("the value %q of %q has a character that Pyroscope's application names cannot hold: remove ',' and '}'", value, name))
		}
	}
	return nil
}

// Validate reports settings that cannot work.
func (c *EndpointConfig) Validate() error {
	if httpclient.Off(c.URL) != "" {
		return nil
	}
	if _, err := parseURL(c.URL); err != nil {
		return component.At("url", err)
	}
	switch {
	case c.RemoteTimeout <= 0:
		return component.At("remote_timeout", fmt.Errorf("%s is not positive", c.RemoteTimeout))
	case c.MinBackoff < 0 || c.MaxBackoff < 0:
		return errors.New("min_backoff_period and max_backoff_period must not be negative")
	case c.MinBackoff > c.MaxBackoff:
		return component.At("min_backoff_period", fmt.Errorf("%s is longer than max_backoff_period, %s", c.MinBackoff, c.MaxBackoff))
	case c.MaxBackoffRetries < 0:
		return component.At("max_backoff_retries", fmt.Errorf("%d is negative: it must be positive, or 0 for no limit", c.MaxBackoffRetries))
	}
	return c.HTTP.Validate()
}

func (c *WriteConfig) warn(o component.Options) {
	const noTrace = "requests to Pyroscope carry no trace, because profiles are queued and sent later"
	if !c.Tracing.JaegerPropagator {
		o.Warn("tracing/jaeger_propagator", noTrace)
	}
	if !c.Tracing.TraceContextPropagator {
		o.Warn("tracing/trace_context_propagator", noTrace)
	}
	var urls []string
	for i, e := range c.Endpoints {
		urls = append(urls, e.URL)
		if n := e.MaxBackoffRetries; n != 0 && n != defaultBackoffRetries {
			o.Warn(component.Block("endpoint", i)+"/max_backoff_retries", "profiles are retried for as long as the queue on disk holds them")
		}
	}
	httpclient.WarnOff(o.Warn, urls)
}

// parseURL reads an endpoint's URL. Its errors do not show credentials.
func parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	var parse *url.Error
	if errors.As(err, &parse) {
		return nil, fmt.Errorf("it cannot be read: %w", parse.Err)
	}
	switch {
	case err != nil:
		return nil, err
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("the scheme is %q: write http:// or https:// in front", u.Scheme)
	case u.Host == "":
		return nil, errors.New("the host is missing: write it as in \"http://pyroscope:4040\"")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("it has a query or a fragment, which would be lost: remove what follows the path")
	}
	return u, nil
}
