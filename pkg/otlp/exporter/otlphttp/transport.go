package otlphttp

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/deliver"
	"collector/pkg/deliver/httpsend"
	"collector/pkg/httpclient"
	"collector/pkg/otlp/auth"
	"collector/pkg/otlp/compression"
	"collector/pkg/otlp/exporter"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/wire"
	"collector/pkg/pipeline"
	"collector/pkg/queue"
)

// transport sends by HTTP.
type transport struct {
	config    Config
	userAgent string
	client    *http.Client                         // without a timeout of its own
	clients   map[pipeline.Signal]*httpsend.Client // which send by client
	coding    *compression.Coding                  // nil: not compressed
}

// newTransport makes the transport, and connects to nothing.
func newTransport(c Config, o component.Options) (*transport, error) {
	h := &transport{config: c, userAgent: o.UserAgent}
	tlsConfig, err := c.Client.TLS.Config()
	switch {
	case component.Lacks(err):
		h.client, err = c.Client.later()
	case err != nil:
		err = component.At("client/tls", err)
	default:
		h.client, err = c.Client.client(tlsConfig)
	}
	if err != nil {
		return nil, err
	}
	h.client.Transport = auth.Transport(c.Client.Auth.Client(), h.client.Transport)
	if name := c.Client.Compression; name != "" && name != "none" {
		level := compression.Fastest
		if p := c.Client.CompressionParams; p != nil {
			level = p.Level
		}
		h.coding = compression.New(name, level, exporter.MaxRequestBytes)
	}
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "http_client_duration_milliseconds", Help: "Duration of the HTTP requests sent.", Buckets: flow.DurationBuckets(),
	}, []string{"signal", "http_status_code"})
	o.Metrics.MustRegister(duration)
	h.clients = make(map[pipeline.Signal]*httpsend.Client)
	for _, s := range flow.Signals() {
		h.clients[s] = &httpsend.Client{
			HTTP: h.client, Timeout: c.Client.Timeout, MaxAnswer: maxAnswer, Hint: hint,
			Observe: func(status int, took time.Duration) {
				duration.WithLabelValues(string(s), strconv.Itoa(status)).Observe(float64(took.Microseconds()) / 1000)
			},
		}
	}
	return h, nil
}

func (c *Client) client(t *tls.Config) (*http.Client, error) {
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:       t,
		TLSHandshakeTimeout:   10 * time.Second,
		DisableCompression:    true,
		ReadBufferSize:        int(c.ReadBufferSize),
		WriteBufferSize:       int(c.WriteBufferSize),
		MaxIdleConns:          c.MaxIdleConns,
		MaxIdleConnsPerHost:   c.MaxIdleConnsPerHost,
		MaxConnsPerHost:       c.MaxConnsPerHost,
		IdleConnTimeout:       c.IdleConnTimeout,
		DisableKeepAlives:     c.DisableKeepAlives,
		ForceAttemptHTTP2:     c.ForceAttemptHTTP2,
		ExpectContinueTimeout: time.Second,
		HTTP2:                 &http.HTTP2Config{SendPingTimeout: c.HTTP2ReadIdleTimeout, PingTimeout: c.HTTP2PingTimeout},
	}
	if c.ProxyURL != "" {
		u, err := url.Parse(c.ProxyURL)
		if err != nil {
			return nil, component.At("client/proxy_url", err)
		}
		transport.Proxy = http.ProxyURL(u)
	}
	client := &http.Client{Transport: transport, CheckRedirect: httpclient.PushRedirects(true)}
	if c.Cookies != nil && c.Cookies.Enabled {
		jar, err := cookiejar.New(nil)
		if err != nil {
			return nil, component.At("client/cookies", err)
		}
		client.Jar = jar
	}
	return client, nil
}

// later is the client whose files were absent when the exporter was made.
func (c *Client) later() (*http.Client, error) {
	client, err := c.client(nil)
	if err != nil {
		return nil, err
	}
	client.Transport = httpclient.Later(func() (http.RoundTripper, error) {
		t, err := c.TLS.Config()
		if err != nil {
			return nil, err
		}
		made, err := c.client(t)
		if err != nil {
			return nil, err
		}
		return made.Transport, nil
	})
	return client, nil
}

// Close implements exporter.Transport.
func (h *transport) Close() { h.client.CloseIdleConnections() }

// TenantHeaders implements exporter.Transport.
func (h *transport) TenantHeaders() map[string]string { return h.config.Client.Headers }

// Off implements exporter.Transport.
func (h *transport) Off(s pipeline.Signal) (argument, why string) { return h.config.off(s) }

// URL implements exporter.Transport.
func (h *transport) URL(s pipeline.Signal) string {
	u, err := url.Parse(h.config.endpoint(s))
	if err != nil { // rejected by Validate
		return ""
	}
	return httpclient.CleanURL(u)
}

// maxAnswer is how much of an answer is read: the list of what a server did not accept
// may be long.
const maxAnswer = 64 << 10

// Send implements exporter.Transport.
func (h *transport) Send(ctx context.Context, s pipeline.Signal, blocks []queue.Block) (deliver.Result, error) {
	var body bytes.Buffer
	if err := h.encode(&body, s, blocks); err != nil {
		return deliver.Result{}, &deliver.Error{Err: err, Rejected: true, Reason: "encode"}
	}
	answer, err := h.clients[s].Send(ctx, httpsend.Request{URL: h.config.endpoint(s), Body: body.Bytes(), Prepare: h.header})
	if err != nil {
		return deliver.Result{}, err
	}
	var said wire.Partial
	if bytes.HasPrefix(bytes.TrimSpace(answer.Body), []byte("{")) { // whatever its content type says
		said = wire.PartialOfJSON(answer.Body)
	} else {
		said = wire.PartialOf(answer.Body)
	}
	return deliver.Result{Dropped: said.Items, Message: answer.Clean(said.Message)}, nil
}

// encode writes the body of a request that holds blocks.
func (h *transport) encode(to *bytes.Buffer, s pipeline.Signal, blocks []queue.Block) error {
	pieces := make([][]byte, len(blocks))
	for i := range blocks {
		pieces[i] = blocks[i].Data
	}
	if h.config.Encoding == encodingJSON {
		asJSON, err := wire.ToJSON(s, bytes.Join(pieces, nil))
		if err != nil {
			return err
		}
		pieces = [][]byte{asJSON}
	}
	if h.coding == nil {
		for _, p := range pieces {
			to.Write(p)
		}
		return nil
	}
	w, err := h.coding.Compress(to)
	if err != nil {
		return err
	}
	for _, p := range pieces {
		if _, err := w.Write(p); err != nil {
			return fmt.Errorf("compress: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("compress: %w", err)
	}
	return nil
}

func (h *transport) header(r *http.Request) {
	r.Header.Set("Content-Type", wire.TypeProtobuf)
	if h.config.Encoding == encodingJSON {
		r.Header.Set("Content-Type", wire.TypeJSON)
	}
	r.Header.Set("User-Agent", h.userAgent)
	if h.coding != nil {
		r.Header.Set("Content-Encoding", h.coding.Name())
	}
	for name, value := range h.config.Client.Headers {
		httpclient.SetHeader(r, name, value)
	}
}

// hint explains the library's words for what is usually a wrong setting.
func hint(err error) string {
	text := err.Error()
	switch {
	case strings.Contains(text, "malformed HTTP"):
		return "this looks like OTLP/gRPC: use the HTTP port, usually 4318, or otelcol.exporter.otlp"
	case strings.Contains(text, "server gave HTTP response to HTTPS client"):
		return "the server speaks plain text: write the endpoint with http://"
	}
	return ""
}
