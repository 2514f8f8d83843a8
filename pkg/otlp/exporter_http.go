package otlp

import (
	"bytes"
	"context"
	"crypto/tls"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/deliver"
	"collector/pkg/deliver/httpsend"
	"collector/pkg/httpclient"
	"collector/pkg/otlp/flow"
	"collector/pkg/pipeline"
	"collector/pkg/queue"
)

// ExporterHTTPConfig is the configuration of otelcol.exporter.otlphttp.
type ExporterHTTPConfig struct {
	Client          HTTPClient        `alloy:"client,block"`
	Queue           SendingQueue      `alloy:"sending_queue,block,optional"`
	Retry           Retry             `alloy:"retry_on_failure,block,optional"`
	DebugMetrics    flow.DebugMetrics `alloy:"debug_metrics,block,optional"`
	TracesEndpoint  string            `alloy:"traces_endpoint,attr,optional"`
	MetricsEndpoint string            `alloy:"metrics_endpoint,attr,optional"`
	LogsEndpoint    string            `alloy:"logs_endpoint,attr,optional"`
	Encoding        string            `alloy:"encoding,attr,optional"`
}

// The encodings of otelcol.exporter.otlphttp.
const (
	encodingProto = "proto"
	encodingJSON  = "json"
)

// SetToDefault sets the defaults.
func (c *ExporterHTTPConfig) SetToDefault() {
	*c = ExporterHTTPConfig{Encoding: encodingProto}
	c.Client.SetToDefault()
	c.Queue.SetToDefault()
	c.Retry.SetToDefault()
	c.DebugMetrics.SetToDefault()
}

// Validate refuses what cannot work.
func (c *ExporterHTTPConfig) Validate() error {
	var errs []error
	if c.Encoding != encodingProto && c.Encoding != encodingJSON {
		errs = append(errs, component.At("encoding", fmt.Errorf("%q is not known: use %q or %q", c.Encoding, encodingProto, encodingJSON)))
	}
	for _, e := range []struct{ name, url string }{
		{"client/endpoint", c.Client.Endpoint}, {"traces_endpoint", c.TracesEndpoint},
		{"metrics_endpoint", c.MetricsEndpoint}, {"logs_endpoint", c.LogsEndpoint},
	} {
		if _, err := url.Parse(e.url); err != nil { // whose text holds the URL, and with it perhaps a password
			errs = append(errs, component.At(e.name, errors.New("it is not a valid URL; for example: \"http://tempo:4318\"")))
		}
	}
	return errors.Join(errs...)
}

// own is the argument with the endpoint of one signal, and its value.
func (c *ExporterHTTPConfig) own(s pipeline.Signal) (argument, endpoint string) {
	return string(s) + "_endpoint", map[pipeline.Signal]string{
		pipeline.SignalTraces: c.TracesEndpoint, pipeline.SignalMetrics: c.MetricsEndpoint, pipeline.SignalLogs: c.LogsEndpoint,
	}[s]
}

// off says why nothing can be sent to the endpoint of a signal, and which
// argument that is. A signal that has no endpoint though another has one is not
// switched off: who sends it is refused.
func (c *ExporterHTTPConfig) off(s pipeline.Signal) (argument, why string) {
	if name, own := c.own(s); own != "" {
		return name, httpclient.Off(own)
	}
	if c.Client.Endpoint == "" && slices.ContainsFunc([]string{c.TracesEndpoint, c.MetricsEndpoint, c.LogsEndpoint}, func(own string) bool {
		return httpclient.Off(own) == ""
	}) {
		return "", ""
	}
	return "client/endpoint", httpclient.Off(c.Client.Endpoint)
}

// endpoint is where requests of the signal go; "" when there is no such place.
func (c *ExporterHTTPConfig) endpoint(s pipeline.Signal) string {
	_, own := c.own(s)
	switch _, why := c.off(s); {
	case why != "":
		return ""
	case own != "":
		return own
	case c.Client.Endpoint == "":
		return ""
	}
	return strings.TrimSuffix(c.Client.Endpoint, "/") + "/v1/" + string(s)
}

// HTTPClient is the client block of otelcol.exporter.otlphttp.
type HTTPClient struct {
	Endpoint             string             `alloy:"endpoint,attr"`
	ProxyURL             string             `alloy:"proxy_url,attr,optional"`
	Compression          string             `alloy:"compression,attr,optional"`
	ReadBufferSize       component.Bytes    `alloy:"read_buffer_size,attr,optional"`
	WriteBufferSize      component.Bytes    `alloy:"write_buffer_size,attr,optional"`
	Timeout              time.Duration      `alloy:"timeout,attr,optional"`
	Headers              map[string]string  `alloy:"headers,attr,optional"`
	MaxIdleConns         int                `alloy:"max_idle_conns,attr,optional"`
	MaxIdleConnsPerHost  int                `alloy:"max_idle_conns_per_host,attr,optional"`
	MaxConnsPerHost      int                `alloy:"max_conns_per_host,attr,optional"`
	IdleConnTimeout      time.Duration      `alloy:"idle_conn_timeout,attr,optional"`
	DisableKeepAlives    bool               `alloy:"disable_keep_alives,attr,optional"`
	HTTP2ReadIdleTimeout time.Duration      `alloy:"http2_read_idle_timeout,attr,optional"`
	HTTP2PingTimeout     time.Duration      `alloy:"http2_ping_timeout,attr,optional"`
	ForceAttemptHTTP2    bool               `alloy:"force_attempt_http2,attr,optional"`
	Auth                 string             `alloy:"auth,attr,optional"`
	TLS                  TLSClient          `alloy:"tls,block,optional"`
	CompressionParams    *CompressionParams `alloy:"compression_params,block,optional"`
	Cookies              *Cookies           `alloy:"cookies,block,optional"`
}

// CompressionParams is the client > compression_params block.
type CompressionParams struct {
	Level int `alloy:"level,attr"`
}

// Cookies is the client > cookies block.
type Cookies struct {
	Enabled bool `alloy:"enabled,attr,optional"`
}

// SetToDefault sets the defaults. The write buffer is 32 KiB, not Alloy's
// 512 KiB, which each connection would allocate.
func (c *HTTPClient) SetToDefault() {
	*c = HTTPClient{
		Compression:       "gzip",
		WriteBufferSize:   32 * component.KiB,
		Timeout:           30 * time.Second,
		Headers:           map[string]string{},
		MaxIdleConns:      100,
		IdleConnTimeout:   90 * time.Second,
		HTTP2PingTimeout:  15 * time.Second,
		ForceAttemptHTTP2: true,
	}
}

// Validate refuses what cannot work.
func (c *HTTPClient) Validate() error {
	errs := []error{checkAuth(c.Auth)}
	compressed := c.Compression != "" && c.Compression != "none"
	if compressed && !knownCoding(c.Compression) {
		errs = append(errs, component.At("compression", fmt.Errorf("%q is not known: use %s or none", c.Compression, codingNames)))
	} else if p := c.CompressionParams; p != nil && compressed {
		if err := checkLevel(c.Compression, p.Level); err != nil {
			errs = append(errs, component.At("compression_params/level", err))
		}
	}
	if c.ProxyURL != "" {
		if u, err := url.Parse(c.ProxyURL); err != nil || u.Host == "" {
			errs = append(errs, component.At("proxy_url", fmt.Errorf("%q is no URL", c.ProxyURL)))
		}
	}
	if c.Timeout < 0 {
		errs = append(errs, component.At("timeout", errors.New("it cannot be negative")))
	}
	return errors.Join(errs...)
}

//go:embed otelcol.exporter.otlphttp.md
var httpPage string

func httpDefinition() component.Definition {
	return component.Define("otelcol.exporter.otlphttp", NewExporterHTTP, component.Doc{Page: httpPage, Exports: []component.Export{{Name: "input", Type: "otelcol.Consumer"}}})
}

// NewExporterHTTP checks c and starts nothing.
func NewExporterHTTP(c ExporterHTTPConfig, o component.Options) (*Exporter, error) {
	o = o.WithDefaults()
	h := &httpTransport{config: c, userAgent: o.UserAgent}
	tlsConfig, err := c.Client.TLS.config()
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
	if name := c.Client.Compression; name != "" && name != "none" {
		level := defaultLevel
		if p := c.Client.CompressionParams; p != nil {
			level = p.Level
		}
		h.coding = newCoding(name, level, maxRequestBytes)
	}
	e := newExporter(o, c.Retry, c.Queue, c.DebugMetrics, c.off)
	e.transport = h
	e.metrics = newExporterMetrics(e, "otlphttp", prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "http_client_duration_milliseconds", Help: "Duration of the HTTP requests sent.", Buckets: durationBuckets(),
	}, []string{"signal", "http_status_code"}))
	return e, nil
}

func (c *HTTPClient) client(t *tls.Config) (*http.Client, error) {
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

// httpTransport sends by HTTP.
type httpTransport struct {
	config    ExporterHTTPConfig
	userAgent string
	client    *http.Client // without a time-out of its own
	coding    *coding      // nil: not compressed
}

func (h *httpTransport) sender(l *lane) deliver.Sender {
	return &httpSender{h: h, lane: l, client: &httpsend.Client{
		HTTP: h.client, Timeout: h.config.Client.Timeout, MaxAnswer: maxAnswer, Hint: httpHint,
		Observe: func(status int, took time.Duration) {
			l.e.metrics.duration.WithLabelValues(string(l.signal), strconv.Itoa(status)).Observe(float64(took.Microseconds()) / 1000)
		},
	}}
}

func (h *httpTransport) close() { h.client.CloseIdleConnections() }

func (h *httpTransport) tenantHeaders() map[string]string { return h.config.Client.Headers }

func (h *httpTransport) url(s pipeline.Signal) string {
	u, err := url.Parse(h.config.endpoint(s))
	if err != nil { // refused by Validate
		return ""
	}
	return httpclient.CleanURL(u)
}

// httpSender sends one signal.
type httpSender struct {
	h      *httpTransport
	lane   *lane
	client *httpsend.Client
}

// Split implements deliver.Sender.
func (s *httpSender) Split(b queue.Block) []queue.Block { return splitBlock(s.lane.signal, b) }

// Send implements deliver.Sender. The blocks are sent as they are, one after
// the other: requests that follow each other are one request.
func (s *httpSender) Send(ctx context.Context, blocks []queue.Block) (deliver.Result, error) {
	res, err := s.post(ctx, blocks)
	if err != nil {
		return deliver.Result{}, err
	}
	s.lane.delivered(blocks)
	_, items := sizeOf(blocks)
	return bounded(res, items), nil
}

// maxAnswer is how much of an answer is read: what a server did not take may be
// a long list.
const maxAnswer = 64 << 10

// post makes one request.
func (s *httpSender) post(ctx context.Context, blocks []queue.Block) (res deliver.Result, err error) {
	var body bytes.Buffer
	if err := s.encode(&body, blocks); err != nil {
		return res, &deliver.Error{Err: err, Rejected: true, Reason: "encode"}
	}
	answer, err := s.client.Send(ctx, httpsend.Request{URL: s.h.config.endpoint(s.lane.signal), Body: body.Bytes(), Prepare: s.header})
	if err != nil {
		return res, err
	}
	if bytes.HasPrefix(bytes.TrimSpace(answer.Body), []byte("{")) { // whatever its content type says
		res = partialSuccessJSON(answer.Body)
	} else {
		res = partialSuccess(answer.Body)
	}
	res.Message = answer.Clean(res.Message)
	return res, nil
}

// encode writes the body of a request that holds blocks.
func (s *httpSender) encode(to *bytes.Buffer, blocks []queue.Block) error {
	pieces := make([][]byte, len(blocks))
	for i := range blocks {
		pieces[i] = blocks[i].Data
	}
	if s.h.config.Encoding == encodingJSON {
		asJSON, err := toJSON(s.lane.signal, bytes.Join(pieces, nil))
		if err != nil {
			return err
		}
		pieces = [][]byte{asJSON}
	}
	if s.h.coding == nil {
		for _, p := range pieces {
			to.Write(p)
		}
		return nil
	}
	w, err := s.h.coding.Compress(to)
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

func (s *httpSender) header(r *http.Request) {
	r.Header.Set("Content-Type", typeProtobuf)
	if s.h.config.Encoding == encodingJSON {
		r.Header.Set("Content-Type", typeJSON)
	}
	r.Header.Set("User-Agent", s.h.userAgent)
	if s.h.coding != nil {
		r.Header.Set("Content-Encoding", s.h.coding.name)
	}
	for name, value := range s.h.config.Client.Headers {
		httpclient.SetHeader(r, name, value)
	}
}

// httpHint explains the library's words for what is usually a wrong setting.
func httpHint(err error) string {
	text := err.Error()
	switch {
	case strings.Contains(text, "malformed HTTP"):
		return "this looks like OTLP/gRPC: use the HTTP port, usually 4318, or otelcol.exporter.otlp"
	case strings.Contains(text, "server gave HTTP response to HTTPS client"):
		return "the server speaks plain text: write the endpoint with http://"
	}
	return ""
}
