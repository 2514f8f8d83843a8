package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rs/cors"

	"collector/pkg/listen"
	"collector/pkg/otlp/compression"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/wire"
	"collector/pkg/pipeline"
	"collector/pkg/throttle"
)

// Bounds on what a slow client can hold.
const (
	readHeaderTimeout = 10 * time.Second
	maxHTTPHeader     = 64 << 10
)

// Protocol is what clients send to a server of HTTP. Its methods return at once.
type Protocol interface {
	// Signal is what is received on a path; false: nothing is.
	Signal(path string) (pipeline.Signal, bool)
	// Paths lists the paths of a signal.
	Paths(pipeline.Signal) []string
	// Transport is how metrics name the transport of a request.
	Transport(r *http.Request) string
	// Unsupported answers a request whose content type, a media type, is not supported,
	// and says why. A nil error is that it is.
	Unsupported(contentType string) (code int, text string, err error)
	// Decode makes a payload of what has arrived.
	Decode(b *Body) (Payload, error)
	// Accepted answers a request that was queued, and returns the status.
	Accepted(w http.ResponseWriter, contentType string, s pipeline.Signal, lost wire.Partial) int
	// Refused answers a request that was not queued, and returns the status. code is 0
	// for the status that err represents, see CodeOf.
	Refused(w http.ResponseWriter, contentType string, code int, err error) int
}

// HTTPOptions are what a server of HTTP is made with.
type HTTPOptions struct {
	Config   HTTPConfig
	Protocol Protocol
	Intake   *Intake
	Logger   *slog.Logger
	Paths    *listen.Paths
	Limit    *listen.Limit
	Block    string // where its arguments are, for messages: "http > "
	GRPCHint string // what a client that speaks gRPC is told
}

// HTTP is a server of HTTP.
type HTTP struct {
	HTTPOptions
	TLS *tls.Config // nil: plain text

	codings map[string]*compression.Coding
	cors    *cors.Cors // nil: no page of another site may send

	unwired, wrong throttle.Log
	takesPlain     bool // bodies that are not compressed
}

// NewHTTP makes a server.
func NewHTTP(o HTTPOptions) *HTTP {
	config := &o.Config
	if config.MaxRequestBodySize <= 0 {
		config.MaxRequestBodySize = defaultMaxRequestBodySize
	}
	h := &HTTP{HTTPOptions: o, codings: make(map[string]*compression.Coding)}
	h.takesPlain = slices.Contains(config.CompressionAlgorithms, "")
	if c := config.CORS; c != nil && len(c.AllowedOrigins) > 0 {
		h.cors = cors.New(cors.Options{
			AllowedOrigins: c.AllowedOrigins, AllowedHeaders: c.AllowedHeaders,
			AllowCredentials: true, MaxAge: c.MaxAge,
		})
	}
	for _, name := range config.CompressionAlgorithms {
		if name == "x-snappy-framed" {
			h.codings[name] = compression.New("snappy", compression.Fastest, 0)
		} else if name != "" {
			h.codings[name] = compression.New(name, compression.Fastest, int64(config.MaxRequestBodySize))
		}
	}
	return h
}

// Serve answers requests until ctx ends; it closes l.
func (h *HTTP) Serve(ctx context.Context, l net.Listener) error {
	s := &http.Server{
		Handler:           h.Handler(),
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       listen.IdleTimeout,
		MaxHeaderBytes:    maxHTTPHeader,
		ErrorLog:          log.New(&serverLog{logger: h.Logger}, "", 0),
		Protocols:         new(http.Protocols),
		TLSConfig:         h.TLS,
	}
	l = h.Limit.Listener(l)
	s.Protocols.SetHTTP1(true)
	if h.TLS != nil {
		s.Protocols.SetHTTP2(true)
	} else {
		s.Protocols.SetUnencryptedHTTP2(true)
		l = &sniffer{Listener: l, protocol: TransportHTTP, intake: h.Intake, logger: h.Logger}
	}
	s.SetKeepAlivesEnabled(h.Config.KeepAlivesEnabled)
	cutOff, err := listen.ServeHTTP(ctx, s, l, stopGrace)
	if cutOff > 0 {
		h.Logger.Warn("requests were cut off at shutdown", "transport", TransportHTTP, "connections", cutOff)
	}
	return err
}

// Handler answers all requests. CORS is off without allowed_origins.
func (h *HTTP) Handler() http.Handler {
	if h.cors != nil {
		return h.cors.Handler(http.HandlerFunc(h.timed))
	}
	return http.HandlerFunc(h.timed)
}

// otherSite says why a request comes from a page that may not send: of another
// site, unless CORS allows it. A browser sends some without asking.
func (h *HTTP) otherSite(r *http.Request) error {
	err := listen.OtherSite(r)
	if err == nil || h.cors != nil && h.cors.OriginAllowed(r) {
		return nil
	}
	return fmt.Errorf("%w: to let it send, list its origin in %scors > allowed_origins of the receiver", err, h.Block)
}

func (h *HTTP) timed(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	code := h.answer(w, r)
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	method := r.Method
	if method != http.MethodPost && method != http.MethodGet && method != http.MethodOptions {
		method = "_OTHER" // clients can send any method
	}
	h.Intake.metrics.httpDuration.WithLabelValues(method, scheme, strconv.Itoa(code)).
		Observe(float64(time.Since(start).Microseconds()) / 1000)
}

// answer answers a request and returns the status.
func (h *HTTP) answer(w http.ResponseWriter, r *http.Request) int {
	contentType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	from := Sender{h.Protocol.Transport(r), r.RemoteAddr}
	if strings.HasPrefix(contentType, "application/grpc") {
		return h.wrongProtocol(w, from)
	}
	known, err := h.Intake.authenticate(h.Config.Auth, flow.Metadata(r.Header), from)
	if err != nil {
		return h.Protocol.Refused(w, contentType, 0, err)
	}
	s, ok := h.Protocol.Signal(r.URL.Path)
	if !ok {
		hint := h.Paths.Unknown(h.serves(), r.Method, r.URL.Path, r.RemoteAddr)
		return notFound(w, strings.TrimSuffix("404 page not found: "+hint, ": "))
	}
	if !h.Intake.Wired(s) {
		h.Intake.count(from, refusedUnwired, unwired(s))
		h.unwired.Log(h.Logger, slog.LevelWarn, "", "a client sends a signal that is not connected; add it to the output block of the receiver", "signal", s)
		return notFound(w, "404 page not found: "+string(s)+" are not wired in the receiver's output")
	}
	if err := h.otherSite(r); err != nil {
		return h.Protocol.Refused(w, contentType, http.StatusForbidden, h.Intake.Refuse(from, refusedOtherSite, pipeline.Permanent(err)))
	}
	if r.Method != http.MethodPost {
		_ = h.Intake.Refuse(from, refusedMethod, fmt.Errorf("the method is %.40q: only POST is supported", r.Method))
		w.Header().Set("Allow", http.MethodPost)
		return Plain(w, http.StatusMethodNotAllowed, "405 method not allowed, supported: [POST]")
	}
	if code, text, err := h.Protocol.Unsupported(contentType); err != nil {
		_ = h.Intake.Refuse(from, refusedType, err)
		return Plain(w, code, text)
	}
	return h.receive(w, r, s, contentType, known, from)
}

// receive answers a request that is worth reading.
func (h *HTTP) receive(w http.ResponseWriter, r *http.Request, s pipeline.Signal, contentType string, known map[string]string, from Sender) int {
	arrival := h.Intake.Budget.ArriveHTTP(w, r)
	defer arrival.Release()
	body, code, err := h.read(arrival, w, r, from)
	if err != nil {
		return h.Protocol.Refused(w, contentType, code, err)
	}
	body.Signal, body.Type = s, contentType
	payload, err := decoded(func() (Payload, error) { return h.Protocol.Decode(body) })
	body.free(payload.Data)
	if err != nil {
		code, err = h.unreadable(from, err)
		return h.Protocol.Refused(w, contentType, code, err)
	}
	defer arrival.Free(payload.Data)
	ctx := flow.WithAuth(r.Context(), known)
	if h.Config.IncludeMetadata {
		r.Header.Set("Host", r.Host)
		ctx = flow.WithMetadata(ctx, flow.Metadata(r.Header))
	}
	if err := h.Intake.Take(ctx, s, payload, arrival.Claim, from); err != nil {
		return h.Protocol.Refused(w, contentType, 0, err)
	}
	return h.Protocol.Accepted(w, contentType, s, h.Intake.lostIn(s, payload.Unheld, from))
}

// serves lists the paths of the wired signals.
func (h *HTTP) serves() (paths []string) {
	for _, s := range flow.Signals() {
		if h.Intake.Wired(s) {
			paths = append(paths, h.Protocol.Paths(s)...)
		}
	}
	return paths
}

// wrongProtocol answers a gRPC client in its own terms.
func (h *HTTP) wrongProtocol(w http.ResponseWriter, from Sender) int {
	h.Intake.count(from, refusedProtocol, errors.New(h.GRPCHint))
	h.wrong.Log(h.Logger, slog.LevelWarn, "", "wrong protocol", "transport", from.Transport, "client", from.Client, "hint", h.GRPCHint)
	listen.RefuseGRPC(w, h.GRPCHint)
	return http.StatusOK
}

// Plain answers with a text in the form that the receivers of OpenTelemetry give it.
func Plain(w http.ResponseWriter, code int, text string) int {
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(code)
	_, _ = w.Write([]byte(text)) // the client may have disconnected
	return code
}

func notFound(w http.ResponseWriter, text string) int {
	http.Error(w, text, http.StatusNotFound)
	return http.StatusNotFound
}
