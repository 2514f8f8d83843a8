package otlp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"collector/pkg/cause"
	"collector/pkg/component"
	"collector/pkg/deliver"
	"collector/pkg/httpclient"
	"collector/pkg/mask"
	"collector/pkg/otlp/auth"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/rawgrpc"
	"collector/pkg/otlp/wire"
	"collector/pkg/pipeline"
	"collector/pkg/queue"
)

// transport sends by gRPC. All signals share one connection, which is made
// when the first request is sent.
type transport struct {
	target     string
	off        string        // why nothing can be sent; "" when something can
	timeout    time.Duration // of a request; 0: none
	plain      bool
	compressed bool
	headers    []string    // names and values in turn
	auth       auth.Client // nil: there is none
	options    []grpc.CallOption
	dial       func() (*grpc.ClientConn, error)
	duration   *prometheus.HistogramVec // of requests, by service and code

	mu       sync.Mutex
	conn     *grpc.ClientConn // guarded by mu
	timeouts int              // in a row; guarded by mu
	gaveUp   error            // why answered closed the connection before; guarded by mu
}

// newTransport makes the transport, and connects to nothing.
func newTransport(c Config, o component.Options) (*transport, error) {
	rawgrpc.Setup()
	creds, err := c.Client.credentials()
	if err != nil {
		return nil, err
	}
	g := &transport{
		target: c.Client.target(), off: c.Client.off(), timeout: c.Timeout, plain: creds.Info().SecurityProtocol == "insecure",
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "rpc_client_duration_milliseconds", Help: "Duration of the gRPC requests sent.", Buckets: flow.DurationBuckets(),
		}, []string{"rpc_service", "rpc_grpc_status_code"}),
	}
	o.Metrics.MustRegister(g.duration)
	g.dial = func() (*grpc.ClientConn, error) {
		return grpc.NewClient(g.target, c.Client.dialOptions(creds, o.UserAgent)...)
	}
	if g.auth = c.Client.Auth.Client(); g.auth != nil && g.plain && g.auth.Secret() {
		o.Warn("client/auth", errPlain.Error())
	}
	for name, value := range c.Client.Headers {
		if !namesAuthority(name) {
			g.headers = append(g.headers, name, value)
		}
	}
	if name := c.Client.Compression; name != "" && name != "none" {
		g.compressed = true
		g.options = append(g.options, grpc.UseCompressor(name))
	}
	g.options = append(g.options, grpc.ForceCodecV2(rawgrpc.Codec{}), grpc.WaitForReady(c.Client.WaitForReady))
	return g, nil
}

// maxReconnectWait is the longest wait between attempts to connect: a backend
// that is back must be found soon.
const maxReconnectWait = 5 * time.Second

// credentials are how connections are made: in plain text or by TLS.
func (c *Client) credentials() (credentials.TransportCredentials, error) {
	t, err := c.TLS.Config()
	switch {
	case component.Lacks(err):
		return &lateTLS{settings: &c.TLS}, nil
	case err != nil:
		return nil, component.At("client/tls", err)
	case t == nil && strings.HasPrefix(c.Endpoint, "https://"):
		t = &tls.Config{MinVersion: tls.VersionTLS12}
	case t == nil:
		return insecure.NewCredentials(), nil
	}
	return credentials.NewTLS(t), nil
}

func (c *Client) dialOptions(transport credentials.TransportCredentials, userAgent string) []grpc.DialOption {
	reconnect := backoff.DefaultConfig
	reconnect.MaxDelay = maxReconnectWait
	name := c.BalancerName
	if name == "" {
		name = "round_robin"
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithUserAgent(userAgent),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: reconnect, MinConnectTimeout: maxReconnectWait}),
		grpc.WithDefaultServiceConfig(fmt.Sprintf(`{"loadBalancingConfig":[{%q:{}}]}`, name)),
		grpc.WithDisableServiceConfig(),
	}
	if c.ReadBufferSize > 0 {
		options = append(options, grpc.WithReadBufferSize(int(c.ReadBufferSize)))
	}
	if c.WriteBufferSize > 0 {
		options = append(options, grpc.WithWriteBufferSize(int(c.WriteBufferSize)))
	}
	if authority := c.authority(); authority != "" {
		options = append(options, grpc.WithAuthority(authority))
	}
	if k := c.Keepalive; k != nil {
		options = append(options, grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: k.PingWait, Timeout: k.PingResponseTimeout, PermitWithoutStream: k.PingWithoutStream,
		}))
	}
	return options
}

// TenantHeaders implements exporter.Transport.
func (g *transport) TenantHeaders() map[string]string {
	headers := map[string]string{}
	for i := 0; i+1 < len(g.headers); i += 2 {
		headers[g.headers[i]] = g.headers[i+1]
	}
	return headers
}

// Off implements exporter.Transport.
func (g *transport) Off(pipeline.Signal) (argument, why string) { return "client/endpoint", g.off }

// URL implements exporter.Transport.
func (g *transport) URL(pipeline.Signal) string {
	if g.plain {
		return "http://" + g.target
	}
	return "https://" + g.target
}

func (g *transport) connection() (*grpc.ClientConn, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.conn == nil {
		var err error
		if g.conn, err = g.dial(); err != nil {
			return nil, err
		}
	}
	return g.conn, nil
}

// Close implements exporter.Transport.
func (g *transport) Close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.conn != nil {
		g.conn.Close()
		g.conn = nil
	}
}

// maxTimeouts is after how many requests in a row that were not answered in time a
// connection is given up: otherwise a peer that has vanished silently goes unnoticed for
// as long as TCP retransmits, a quarter of an hour.
const maxTimeouts = 3

// answered records the outcome of a request over conn. A client without a connection has
// its own back-off, of up to two minutes, before it looks up the name or connects again;
// deliver has its own already, so the next request is made with a new client.
func (g *transport) answered(conn *grpc.ClientConn, err error) {
	code := status.Code(err)
	late := code == codes.DeadlineExceeded
	lost := (late || code == codes.Unavailable) && conn.GetState() != connectivity.Ready
	g.mu.Lock()
	defer g.mu.Unlock()
	if !late && !lost {
		g.timeouts = 0
		return
	}
	if g.timeouts++; (lost || g.timeouts >= maxTimeouts) && g.conn == conn {
		g.conn, g.timeouts, g.gaveUp = nil, 0, err
		conn.Close()
	}
}

// closing reports whether a request failed only because answered closed the connection,
// on account of another request.
func closing(err error) bool {
	st := status.Convert(err)
	return st.Code() == codes.Canceled && strings.Contains(st.Message(), "connection is closing")
}

// failure is what a failed call means. A call that ended only because another one failed
// has the reason of that one.
func (g *transport) failure(err error, headers []string) *deliver.Error {
	e := judge(err, g.plain, headers)
	g.mu.Lock()
	reason := g.gaveUp
	g.mu.Unlock()
	if closing(err) && reason != nil {
		e.Err = judge(reason, g.plain, headers).Err
	}
	return e
}

// judge is grpcError without the headers that were sent, which some servers
// repeat.
func judge(err error, plain bool, headers []string) *deliver.Error {
	e := grpcError(err, plain)
	if said := (*cause.RPC)(nil); errors.As(e.Err, &said) {
		e.Err = &cause.RPC{Err: errors.New(withoutHeaders(said.Error(), headers)), Code: said.Code, Words: withoutHeaders(said.Words, headers)}
	}
	return e
}

// Send implements exporter.Transport.
func (g *transport) Send(ctx context.Context, s pipeline.Signal, blocks []queue.Block) (deliver.Result, error) {
	start := time.Now()
	headers, err := g.headersFor(ctx)
	if err != nil {
		return deliver.Result{}, &deliver.Error{Err: fmt.Errorf("authenticate: %w", err)}
	}
	answer, err := g.call(ctx, s, blocks, headers)
	g.duration.WithLabelValues(rawgrpc.Service(s), rawgrpc.StatusNumber(err)).
		Observe(float64(time.Since(start).Microseconds()) / 1000)
	if err != nil {
		if g.auth != nil && status.Code(err) == codes.Unauthenticated {
			auth.Refused(g.auth)
		}
		return deliver.Result{}, g.failure(err, headers)
	}
	return deliver.Result{Dropped: answer.Items, Message: answer.Message}, nil
}

// errPlain keeps credentials from being sent in plain text.
var errPlain = errors.New("its credentials are not sent without TLS; data waits in the queue: remove client > tls > insecure, or send the data to a server with TLS")

// headersFor are the headers of a request, names and values in turn, with what the
// authentication adds.
func (g *transport) headersFor(ctx context.Context) ([]string, error) {
	if g.auth == nil {
		return g.headers, nil
	}
	if g.plain && g.auth.Secret() {
		return nil, errPlain
	}
	h := headers(metadata.Pairs(g.headers...))
	ctx, cancel := context.WithTimeout(ctx, g.timeout)
	defer cancel()
	if err := g.auth.Add(ctx, auth.Carried(ctx), h); err != nil {
		return nil, err
	}
	var all []string
	for name, values := range h {
		for _, value := range values {
			all = append(all, name, value)
		}
	}
	return all, nil
}

// headers are metadata as an auth.Client sees it.
type headers metadata.MD

// Get implements auth.Headers.
func (h headers) Get(name string) string {
	if values := metadata.MD(h).Get(name); len(values) > 0 {
		return values[0]
	}
	return ""
}

// Set implements auth.Headers.
func (h headers) Set(name, value string) { metadata.MD(h).Set(name, value) }

// Del implements auth.Headers.
func (h headers) Del(name string) { metadata.MD(h).Delete(name) }

// withoutHeaders is text without the values of headers that were sent.
func withoutHeaders(text string, headers []string) string {
	for i := 0; i+1 < len(headers); i += 2 {
		if !mask.ShowsHeader(headers[i]) {
			text = httpclient.WithoutValues(text, headers[i+1])
		}
	}
	return mask.WithoutPasswords(text)
}

func (g *transport) call(ctx context.Context, s pipeline.Signal, blocks []queue.Block, headers []string) (res wire.Partial, err error) {
	conn, err := g.connection()
	if err != nil {
		return res, err
	}
	if g.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, g.timeout)
		defer cancel()
	}
	if len(headers) > 0 {
		ctx = metadata.AppendToOutgoingContext(ctx, headers...)
	}
	message := make(mem.BufferSlice, 0, len(blocks))
	for i := range blocks {
		if g.compressed { // read before the call returns
			message = append(message, mem.SliceBuffer(blocks[i].Data))
		} else { // the library may write for longer than the call lasts
			message = append(message, mem.Copy(blocks[i].Data, mem.DefaultBufferPool()))
		}
	}
	var answer rawgrpc.Message
	err = conn.Invoke(ctx, "/"+rawgrpc.Service(s)+"/Export", message, &answer, g.options...)
	defer answer.Free()
	g.answered(conn, err)
	if err != nil {
		return res, err
	}
	res = wire.PartialOf(answer.Data())
	res.Message = withoutHeaders(httpclient.OneLine(res.Message), headers)
	return res, nil
}
