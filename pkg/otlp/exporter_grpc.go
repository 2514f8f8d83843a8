package otlp

import (
	"context"
	"crypto/tls"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"collector/pkg/component"
	"collector/pkg/deliver"
	"collector/pkg/deliver/httpsend"
	"collector/pkg/httpclient"
	"collector/pkg/otlp/flow"
	"collector/pkg/pipeline"
	"collector/pkg/queue"
)

// ExporterGRPCConfig is the configuration of otelcol.exporter.otlp.
type ExporterGRPCConfig struct {
	Timeout      time.Duration     `alloy:"timeout,attr,optional"`
	Client       GRPCClient        `alloy:"client,block"`
	Queue        SendingQueue      `alloy:"sending_queue,block,optional"`
	Retry        Retry             `alloy:"retry_on_failure,block,optional"`
	DebugMetrics flow.DebugMetrics `alloy:"debug_metrics,block,optional"`
}

// SetToDefault sets the defaults.
func (c *ExporterGRPCConfig) SetToDefault() {
	*c = ExporterGRPCConfig{Timeout: 5 * time.Second}
	c.Client.SetToDefault()
	c.Queue.SetToDefault()
	c.Retry.SetToDefault()
	c.DebugMetrics.SetToDefault()
}

// Validate refuses what cannot work.
func (c *ExporterGRPCConfig) Validate() error {
	if c.Timeout <= 0 {
		return component.At("timeout", errors.New("it must be positive"))
	}
	return nil
}

// GRPCClient is the client block of otelcol.exporter.otlp.
type GRPCClient struct {
	Endpoint        string            `alloy:"endpoint,attr"`
	Compression     string            `alloy:"compression,attr,optional"`
	ReadBufferSize  component.Bytes   `alloy:"read_buffer_size,attr,optional"`
	WriteBufferSize component.Bytes   `alloy:"write_buffer_size,attr,optional"`
	WaitForReady    bool              `alloy:"wait_for_ready,attr,optional"`
	Headers         map[string]string `alloy:"headers,attr,optional"`
	BalancerName    string            `alloy:"balancer_name,attr,optional"`
	Authority       string            `alloy:"authority,attr,optional"`
	Auth            string            `alloy:"auth,attr,optional"`
	TLS             TLSClient         `alloy:"tls,block,optional"`
	Keepalive       *ClientKeepalive  `alloy:"keepalive,block,optional"`
}

// SetToDefault sets the defaults. The write buffer is 32 KiB, not Alloy's
// 512 KiB, which makes no request faster.
func (c *GRPCClient) SetToDefault() {
	*c = GRPCClient{
		Compression:     "gzip",
		WriteBufferSize: 32 * component.KiB,
		BalancerName:    "round_robin",
		Headers:         map[string]string{},
	}
}

// Validate refuses what cannot work.
func (c *GRPCClient) Validate() error {
	errs := []error{checkAuth(c.Auth)}
	switch c.Compression {
	case "", "none", "gzip", "zlib", "deflate", "snappy", "zstd":
	default:
		errs = append(errs, component.At("compression", fmt.Errorf("%q is not known: use gzip, zlib, deflate, snappy, zstd or none", c.Compression)))
	}
	if c.BalancerName != "" && balancer.Get(c.BalancerName) == nil {
		errs = append(errs, component.At("balancer_name", fmt.Errorf("%q is not known: use round_robin or pick_first", c.BalancerName)))
	}
	for name := range c.Headers {
		if namesAuthority(name) {
			continue
		}
		if !headerName.MatchString(strings.ToLower(name)) || strings.HasPrefix(strings.ToLower(name), "grpc-") {
			errs = append(errs, component.At("headers", fmt.Errorf("%q is no name that gRPC can send", name)))
		}
	}
	return errors.Join(errs...)
}

// namesAuthority reports whether a header stands for the host that is asked for:
// gRPC has a field of its own for it, and would send such a header beside it.
func namesAuthority(header string) bool {
	return strings.EqualFold(header, "Host") || header == ":authority"
}

// authority is the host that is asked for; "" for that of the endpoint.
func (c *GRPCClient) authority() string {
	if c.Authority != "" {
		return c.Authority
	}
	for name, value := range c.Headers {
		if namesAuthority(name) {
			return value
		}
	}
	return ""
}

// headerName is what gRPC takes as the name of metadata.
var headerName = regexp.MustCompile(`^[a-z0-9._-]+$`)

// scheme of a target as the gRPC library has it, with the slashes that lead
// to an authority.
var grpcScheme = regexp.MustCompile(`^(dns|passthrough):(//[^/]*/)?`)

// target is the endpoint as the gRPC library has it. http:// and https:// are
// taken off; that https:// means TLS, dialOptions knows.
func (c *GRPCClient) target() string {
	return strings.TrimPrefix(strings.TrimPrefix(c.Endpoint, "http://"), "https://")
}

// off says why nothing can be sent to the endpoint, as httpclient.Off does of a
// URL, or "" when something can.
func (c *GRPCClient) off() string {
	target := c.target()
	switch {
	case target == "" || target == ":":
		return httpclient.Off("")
	case strings.HasPrefix(target, "unix:") || strings.HasPrefix(target, "unix-abstract:"):
		return ""
	}
	host, port, err := c.hostPort()
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil || strings.ContainsAny(host, "/<>{}$ ") {
		return "it is not the address of a gRPC server: write HOST:PORT without a path, such as \"tempo:4317\""
	}
	return ""
}

// grpcPort is the library's, where an address has none.
const grpcPort = "443"

func (c *GRPCClient) hostPort() (host, port string, err error) {
	address := grpcScheme.ReplaceAllString(c.target(), "")
	if host, port, err = net.SplitHostPort(address); err == nil {
		return host, port, nil
	}
	if host, _, alone := net.SplitHostPort(address + ":"); alone == nil {
		return host, grpcPort, nil
	}
	return "", "", err
}

// ClientKeepalive is the client > keepalive block.
type ClientKeepalive struct {
	PingWait            time.Duration `alloy:"ping_wait,attr,optional"`
	PingResponseTimeout time.Duration `alloy:"ping_response_timeout,attr,optional"`
	PingWithoutStream   bool          `alloy:"ping_without_stream,attr,optional"`
}

//go:embed otelcol.exporter.otlp.md
var grpcPage string

func grpcDefinition() component.Definition {
	return component.Define("otelcol.exporter.otlp", NewExporterGRPC, component.Doc{Page: grpcPage, Exports: []component.Export{{Name: "input", Type: "otelcol.Consumer"}}})
}

// NewExporterGRPC checks c and starts nothing.
func NewExporterGRPC(c ExporterGRPCConfig, o component.Options) (*Exporter, error) {
	o = o.WithDefaults()
	setupGRPC()
	target := c.Client.target()
	transport, err := c.Client.credentials()
	if err != nil {
		return nil, err
	}
	off := c.Client.off()
	if _, port, _ := c.Client.hostPort(); off == "" && !strings.HasSuffix(target, ":"+port) {
		o.Warn("client/endpoint", "it names no port, so port "+grpcPort+" is used, as gRPC does")
	}
	e := newExporter(o, c.Retry, c.Queue, c.DebugMetrics, func(pipeline.Signal) (string, string) { return "client/endpoint", off })
	g := &grpcTransport{target: target, timeout: c.Timeout, plain: transport.Info().SecurityProtocol == "insecure"}
	g.dial = func() (*grpc.ClientConn, error) {
		return grpc.NewClient(target, c.Client.dialOptions(transport, o.UserAgent)...)
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
	g.options = append(g.options, grpc.ForceCodecV2(rawCodec{}), grpc.WaitForReady(c.Client.WaitForReady))
	e.transport = g
	e.metrics = newExporterMetrics(e, "otlp", prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "rpc_client_duration_milliseconds", Help: "Duration of the gRPC requests sent.", Buckets: durationBuckets(),
	}, []string{"rpc_service", "rpc_grpc_status_code"}))
	return e, nil
}

// maxReconnectWait is the longest wait between attempts to connect: a backend
// that is back is to be found soon.
const maxReconnectWait = 5 * time.Second

// credentials are how connections are made: in plain text or by TLS.
func (c *GRPCClient) credentials() (credentials.TransportCredentials, error) {
	t, err := c.TLS.config()
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

func (c *GRPCClient) dialOptions(transport credentials.TransportCredentials, userAgent string) []grpc.DialOption {
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
		grpc.WithSharedWriteBuffer(true),
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

// grpcTransport sends by gRPC. All signals share one connection, which is made
// when the first request is sent.
type grpcTransport struct {
	target     string
	timeout    time.Duration
	plain      bool
	compressed bool
	headers    []string // names and values in turn
	options    []grpc.CallOption
	dial       func() (*grpc.ClientConn, error)

	mu       sync.Mutex
	conn     *grpc.ClientConn // guarded by mu
	timeouts int              // in a row; guarded by mu
	gaveUp   error            // why answered closed the connection before; guarded by mu
}

func (g *grpcTransport) sender(l *lane) deliver.Sender { return &grpcSender{g: g, lane: l} }

// tenantHeaders are the headers of which one may name the tenant.
func (g *grpcTransport) tenantHeaders() map[string]string {
	headers := map[string]string{}
	for i := 0; i+1 < len(g.headers); i += 2 {
		headers[g.headers[i]] = g.headers[i+1]
	}
	return headers
}

func (g *grpcTransport) url(pipeline.Signal) string {
	if g.plain {
		return "http://" + g.target
	}
	return "https://" + g.target
}

func (g *grpcTransport) connection() (*grpc.ClientConn, error) {
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

func (g *grpcTransport) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.conn != nil {
		g.conn.Close()
		g.conn = nil
	}
}

// maxTimeouts is after how many requests in a row that were not answered in
// time a connection is given up: a peer that has vanished without a word is
// otherwise missed for as long as TCP sends again, a quarter of an hour.
const maxTimeouts = 3

// answered takes note of what came of a request over conn. A client that has no
// connection waits in its own time before it looks the name up or connects
// again, up to two minutes; deliver has chosen the time already, so that the
// next request is made with a new client.
func (g *grpcTransport) answered(conn *grpc.ClientConn, err error) {
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

// closing tells whether a request failed only as answered has closed the
// connection, because of another request.
func closing(err error) bool {
	st := status.Convert(err)
	return st.Code() == codes.Canceled && strings.Contains(st.Message(), "connection is closing")
}

// failure is what a failed call means. One that only another's failure ended
// has that one's reason.
func (g *grpcTransport) failure(err error) *deliver.Error {
	e := g.judge(err)
	g.mu.Lock()
	reason := g.gaveUp
	g.mu.Unlock()
	if closing(err) && reason != nil {
		e.Err = g.judge(reason).Err
	}
	return e
}

// judge is grpcError without the headers that were sent, which some servers
// repeat.
func (g *grpcTransport) judge(err error) *deliver.Error {
	e := grpcError(err, g.plain)
	e.Err = errors.New(g.withoutHeaders(e.Err.Error()))
	return e
}

// grpcSender sends one signal.
type grpcSender struct {
	g    *grpcTransport
	lane *lane
}

// Split implements deliver.Sender.
func (s *grpcSender) Split(b queue.Block) []queue.Block { return splitBlock(s.lane.signal, b) }

// Send implements deliver.Sender. The blocks are sent as they are, one after
// the other: requests that follow each other are one request.
func (s *grpcSender) Send(ctx context.Context, blocks []queue.Block) (deliver.Result, error) {
	start := time.Now()
	answer, err := s.call(ctx, blocks)
	s.lane.e.metrics.duration.WithLabelValues(serviceOf(s.lane.signal), statusNumber(err)).
		Observe(float64(time.Since(start).Microseconds()) / 1000)
	if err != nil {
		return deliver.Result{}, s.g.failure(err)
	}
	s.lane.delivered(blocks)
	_, items := sizeOf(blocks)
	return bounded(answer, items), nil
}

// withoutHeaders is text without the values of headers that were sent.
func (g *grpcTransport) withoutHeaders(text string) string {
	for i := 0; i+1 < len(g.headers); i += 2 {
		if !component.ShowsHeader(g.headers[i]) {
			text = httpclient.WithoutValues(text, g.headers[i+1])
		}
	}
	return component.WithoutPasswords(text)
}

func (s *grpcSender) call(ctx context.Context, blocks []queue.Block) (res deliver.Result, err error) {
	conn, err := s.g.connection()
	if err != nil {
		return res, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.g.timeout)
	defer cancel()
	if len(s.g.headers) > 0 {
		ctx = metadata.AppendToOutgoingContext(ctx, s.g.headers...)
	}
	message := make(mem.BufferSlice, 0, len(blocks))
	for i := range blocks {
		if s.g.compressed { // read before the call returns
			message = append(message, mem.SliceBuffer(blocks[i].Data))
		} else { // the library may write for longer than the call lasts
			message = append(message, mem.Copy(blocks[i].Data, mem.DefaultBufferPool()))
		}
	}
	var answer received
	err = conn.Invoke(ctx, "/"+serviceOf(s.lane.signal)+"/Export", message, &answer, s.g.options...)
	defer answer.free()
	s.g.answered(conn, err)
	if err != nil {
		return res, err
	}
	res = partialSuccess(answer.data())
	res.Message = s.g.withoutHeaders(httpclient.OneLine(res.Message))
	return res, nil
}

// grpcError says what a failed call means, as OTLP has it. Besides, what a
// change of either side's configuration mends is held back rather than lost:
// wrong credentials, and a server that lacks the service.
func grpcError(err error, plain bool) *deliver.Error {
	st := status.Convert(err)
	text := st.Message()
	said := st.Proto()
	said.Code = 0 // which is shown in any case
	e := &deliver.Error{Err: fmt.Errorf("%s: %s%s", st.Code(), httpclient.OneLine(httpclient.StatusWords(said)), grpcHint(text, plain))}
	switch st.Code() {
	case codes.InvalidArgument, codes.FailedPrecondition, codes.AlreadyExists:
		e.Rejected = true
	case codes.Internal:
		// A server that cannot decode a request answers so, and will again.
		e.Rejected = strings.Contains(text, "unmarshal")
	case codes.ResourceExhausted:
		if tooLargeText(text) {
			e.Rejected, e.TooLarge = true, true
		}
	}
	if !e.Rejected {
		e.RetryAfter = httpsend.RetryInfo(said)
		// The client itself says so of a connection that it cannot make.
		e.Unreachable = st.Code() == codes.Unavailable && e.RetryAfter == 0 ||
			st.Code() == codes.DeadlineExceeded && strings.Contains(text, "waiting for connection") ||
			closing(err)
	}
	return e
}

// tooLargeText tells whether a server speaks of the size of a message. Such an
// answer has the code of an exhausted quota.
func tooLargeText(text string) bool {
	text = strings.ToLower(text)
	return strings.Contains(text, "larger than max") || strings.Contains(text, "message size") || strings.Contains(text, "exceeds maximum size")
}

// grpcHint explains the library's words for what is usually a wrong setting.
func grpcHint(text string, plain bool) string {
	switch {
	case strings.Contains(text, "first record does not look like a TLS handshake"):
		return "; the server speaks plain text: set client > tls > insecure = true"
	case strings.Contains(text, "looked like an HTTP/1.1 header"), strings.Contains(text, "unexpected HTTP status code received from server"):
		return "; this looks like OTLP/HTTP: use the gRPC port, usually 4317, or otelcol.exporter.otlphttp"
	case plain && strings.Contains(text, "error reading server preface: EOF"):
		return "; the server may want TLS: remove client > tls > insecure"
	}
	return ""
}
