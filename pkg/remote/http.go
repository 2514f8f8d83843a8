package remote

import (
	"context"
	_ "embed"
	"fmt"
	"maps"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"collector/pkg/component"
	"collector/pkg/httpclient"
	"collector/pkg/mask"
)

//go:embed remote.http.md
var httpPage string

func httpDefinition() component.Definition {
	return component.Define("remote.http", NewHTTP, component.Doc{
		Page:    httpPage,
		Exports: []component.Export{{Name: "content", Type: "string or secret", Note: "The response's body without white space around it; a secret with `is_secret`."}},
	})
}

// HTTPConfig configures remote.http.
type HTTPConfig struct {
	httpclient.Polled `alloy:",squash"`
	IsSecret          bool `alloy:"is_secret,attr,optional"`
}

// SetToDefault sets Alloy's defaults.
func (c *HTTPConfig) SetToDefault() { *c = HTTPConfig{Polled: httpclient.PolledDefault()} }

// HTTP is the component remote.http: what a server answers to a request.
type HTTP struct {
	*content
	config HTTPConfig
	client *http.Client
}

// NewHTTP makes a remote.http. It sends the request; the server has to answer, unless
// its last answer is on disk.
func NewHTTP(c HTTPConfig, o component.Options) (*HTTP, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	o = o.WithDefaults()
	client, err := c.Client.New(o.ID, c.userAgent(o.UserAgent))
	if err != nil {
		return nil, component.At("client", err)
	}
	h := &HTTP{config: c, client: client}
	h.content, err = newContent(source{
		where: mask.WithoutPasswords(c.URL), key: c.key(),
		every: c.PollFrequency, secret: c.IsSecret, fetch: h.request,
	}, o)
	if err != nil {
		return nil, component.At("url", err)
	}
	return h, nil
}

// key identifies the request. It is only written as a digest, as headers may be secret.
func (c *HTTPConfig) key() string {
	parts := []string{c.Method, c.URL, c.Body}
	for _, name := range slices.Sorted(maps.Keys(c.Headers)) {
		parts = append(parts, name+": "+c.Headers[name])
	}
	return strings.Join(parts, "\n")
}

// userAgent comes from the headers, if they have one.
func (c *HTTPConfig) userAgent(own string) string {
	for name, value := range c.Headers {
		if textproto.CanonicalMIMEHeaderKey(name) == "User-Agent" {
			return value
		}
	}
	return own
}

// request sends the request, and returns the body of the answer.
func (h *HTTP) request(ctx context.Context) (string, error) {
	text, err := h.config.Fetch(ctx, h.client, maxContent)
	if err != nil {
		return "", fmt.Errorf("fetch the content: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}
