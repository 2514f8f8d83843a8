package otlp

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
	"sync"
	"time"

	"github.com/rs/cors"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

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

// httpServer serves OTLP/HTTP.
type httpServer struct {
	config  HTTPServer
	tls     *tls.Config // nil: plain text
	intake  *intake
	logger  *slog.Logger
	codings map[string]*compression.Coding
	readers sync.Pool  // of *wire.JSONReader
	cors    *cors.Cors // nil: no page of another site may send

	unwired, wrong throttle.Log
	paths          *listen.Paths
	limit          *listen.Limit
	takesPlain     bool // bodies that are not compressed
}

func newHTTPServer(config HTTPServer, t *tls.Config, in *intake, logger *slog.Logger) *httpServer {
	if config.MaxRequestBodySize <= 0 {
		config.MaxRequestBodySize = defaultMaxRequestBodySize
	}
	h := &httpServer{config: config, tls: t, intake: in, logger: logger, codings: make(map[string]*compression.Coding)}
	h.readers.New = func() any { return new(wire.JSONReader) }
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

// serve answers requests until ctx ends; it closes l.
func (h *httpServer) serve(ctx context.Context, l net.Listener) error {
	s := &http.Server{
		Handler:           h.handler(),
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       listen.IdleTimeout,
		MaxHeaderBytes:    maxHTTPHeader,
		ErrorLog:          log.New(&serverLog{logger: h.logger}, "", 0),
		Protocols:         new(http.Protocols),
		TLSConfig:         h.tls,
	}
	l = h.limit.Listener(l)
	s.Protocols.SetHTTP1(true)
	if h.tls != nil {
		s.Protocols.SetHTTP2(true)
	} else {
		s.Protocols.SetUnencryptedHTTP2(true)
		l = &sniffer{Listener: l, protocol: transportHTTP, intake: h.intake, logger: h.logger}
	}
	s.SetKeepAlivesEnabled(h.config.KeepAlivesEnabled)
	cutOff, err := listen.ServeHTTP(ctx, s, l, stopGrace)
	if cutOff > 0 {
		h.logger.Warn("requests were cut off at shutdown", "transport", transportHTTP, "connections", cutOff)
	}
	return err
}

// handler answers all requests. CORS is off without allowed_origins.
func (h *httpServer) handler() http.Handler {
	if h.cors != nil {
		return h.cors.Handler(http.HandlerFunc(h.timed))
	}
	return http.HandlerFunc(h.timed)
}

// otherSite says why a request comes from a page that may not send: of another
// site, unless CORS allows it. A browser sends some without asking.
func (h *httpServer) otherSite(r *http.Request) error {
	err := listen.OtherSite(r)
	if err == nil || h.cors != nil && h.cors.OriginAllowed(r) {
		return nil
	}
	return fmt.Errorf("%w: to let it send, list its origin in http > cors > allowed_origins of the receiver", err)
}

func (h *httpServer) timed(w http.ResponseWriter, r *http.Request) {
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
	h.intake.metrics.httpDuration.WithLabelValues(method, scheme, strconv.Itoa(code)).
		Observe(float64(time.Since(start).Microseconds()) / 1000)
}

// answer answers a request and returns the status.
func (h *httpServer) answer(w http.ResponseWriter, r *http.Request) int {
	contentType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if strings.HasPrefix(contentType, "application/grpc") {
		return h.wrongProtocol(w, r)
	}
	known, err := h.intake.authenticate(h.config.Auth, flow.Metadata(r.Header), sender{transportHTTP, r.RemoteAddr})
	switch {
	case err != nil && contentType != wire.TypeProtobuf && contentType != wire.TypeJSON:
		return plain(w, http.StatusUnauthorized, err.Error())
	case err != nil:
		return h.refuse(w, contentType, 0, err)
	}
	s, ok := h.signalOf(r.URL.Path)
	if !ok {
		hint := h.paths.Unknown(h.serves(), r.Method, r.URL.Path, r.RemoteAddr)
		return notFound(w, strings.TrimSuffix("404 page not found: "+hint, ": "))
	}
	if h.intake.sinks[s] == nil {
		h.intake.count(sender{transportHTTP, r.RemoteAddr}, refusedUnwired, unwired(s))
		h.unwired.Log(h.logger, slog.LevelWarn, "", "a client sends a signal that is not connected; add it to the output block of the receiver", "signal", s)
		return notFound(w, "404 page not found: "+string(s)+" are not wired in the receiver's output")
	}
	from := sender{transportHTTP, r.RemoteAddr}
	if err := h.otherSite(r); err != nil {
		return h.refuse(w, contentType, http.StatusForbidden, h.intake.refuse(from, refusedOtherSite, pipeline.Permanent(err)))
	}
	if r.Method != http.MethodPost {
		_ = h.intake.refuse(from, refusedMethod, fmt.Errorf("the method is %.40q: OTLP/HTTP has only POST", r.Method))
		w.Header().Set("Allow", http.MethodPost)
		return plain(w, http.StatusMethodNotAllowed, "405 method not allowed, supported: [POST]")
	}
	if contentType != wire.TypeProtobuf && contentType != wire.TypeJSON {
		_ = h.intake.refuse(from, refusedType, fmt.Errorf("the content type is %.40q: send %s or %s", contentType, wire.TypeProtobuf, wire.TypeJSON))
		return plain(w, http.StatusUnsupportedMediaType, "415 unsupported media type, supported: ["+wire.TypeJSON+", "+wire.TypeProtobuf+"]")
	}
	arrival := h.intake.inFlight.ArriveHTTP(w, r)
	defer arrival.Release()
	body, code, err := h.read(arrival, s, contentType, w, r)
	if err != nil {
		return h.refuse(w, contentType, code, err)
	}
	defer arrival.Free(body.data)
	ctx := flow.WithAuth(r.Context(), known)
	if h.config.IncludeMetadata {
		r.Header.Set("Host", r.Host)
		ctx = flow.WithMetadata(ctx, flow.Metadata(r.Header))
	}
	if err := h.intake.take(ctx, s, body.data, arrival.Claim, from); err != nil {
		return h.refuse(w, contentType, 0, err)
	}
	return accepted(w, contentType, s, h.intake.lostIn(s, body.unheld, r.RemoteAddr))
}

// serves lists the paths of the wired signals.
func (h *httpServer) serves() (paths []string) {
	for _, path := range []string{h.config.TracesURLPath, h.config.MetricsURLPath, h.config.LogsURLPath} {
		if s, _ := h.signalOf(path); h.intake.sinks[s] != nil {
			paths = append(paths, path)
		}
	}
	return paths
}

func (h *httpServer) signalOf(path string) (pipeline.Signal, bool) {
	switch path {
	case h.config.TracesURLPath:
		return pipeline.SignalTraces, true
	case h.config.MetricsURLPath:
		return pipeline.SignalMetrics, true
	case h.config.LogsURLPath:
		return pipeline.SignalLogs, true
	}
	return "", false
}

// refuse answers with a google.rpc.Status in the encoding of the request. code is the
// HTTP status; 0: the one that matches err.
func (h *httpServer) refuse(w http.ResponseWriter, contentType string, code int, err error) int {
	st := statusOf(err).Proto()
	if code == 0 {
		code = httpCodeOf(st)
	}
	var body []byte
	if contentType == wire.TypeJSON {
		body, err = protojson.Marshal(st)
	} else {
		body, err = proto.Marshal(st)
	}
	if err != nil { // statusOf makes none that cannot be encoded
		return plain(w, code, st.GetMessage())
	}
	if code == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(code)
	_, _ = w.Write(body) // the client may have disconnected
	return code
}

// accepted answers with an Export…ServiceResponse, whose partial_success is empty or says
// which part of a request in JSON was lost.
func accepted(w http.ResponseWriter, contentType string, s pipeline.Signal, lost wire.Partial) int {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(http.StatusOK)
	answer := wire.EmptyAnswer()
	if contentType == wire.TypeJSON {
		answer = lost.JSON(s)
	}
	_, _ = w.Write(answer) // the client may have disconnected
	return http.StatusOK
}

// wrongProtocol answers a gRPC client in its own terms.
func (h *httpServer) wrongProtocol(w http.ResponseWriter, r *http.Request) int {
	const hint = "this port serves OTLP/HTTP, and this looks like OTLP/gRPC: use the gRPC port, usually 4317, or set the client's protocol to http/protobuf"
	h.intake.count(sender{transportHTTP, r.RemoteAddr}, refusedProtocol, errors.New(hint))
	h.wrong.Log(h.logger, slog.LevelWarn, "", "wrong protocol", "transport", transportHTTP, "client", r.RemoteAddr, "hint", hint)
	listen.RefuseGRPC(w, hint)
	return http.StatusOK
}

// plain answers with a text in the form that the receivers of OpenTelemetry give it.
func plain(w http.ResponseWriter, code int, text string) int {
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(code)
	_, _ = w.Write([]byte(text)) // the client may have disconnected
	return code
}

func notFound(w http.ResponseWriter, text string) int {
	http.Error(w, text, http.StatusNotFound)
	return http.StatusNotFound
}
