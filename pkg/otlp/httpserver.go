package otlp

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
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
	"collector/pkg/pipeline"
)

// The content types of OTLP/HTTP.
const (
	typeProtobuf = "application/x-protobuf"
	typeJSON     = "application/json"
)

// Bounds on what a slow client can hold.
const (
	readHeaderTimeout = 10 * time.Second
	readBodyTimeout   = 2 * time.Minute
	maxHTTPHeader     = 64 << 10
	keptBody          = 1 << 20 // larger buffers are not kept for reuse
)

// httpServer serves OTLP/HTTP.
type httpServer struct {
	config  HTTPServer
	tls     *tls.Config // nil: plain text
	intake  *intake
	logger  *slog.Logger
	codings map[string]*coding
	bodies  sync.Pool  // of *bytes.Buffer
	cors    *cors.Cors // nil: no page of another site may send

	unwired, wrong notice
}

func newHTTPServer(config HTTPServer, t *tls.Config, in *intake, logger *slog.Logger) *httpServer {
	if config.MaxRequestBodySize <= 0 {
		config.MaxRequestBodySize = defaultMaxRequestBodySize
	}
	h := &httpServer{config: config, tls: t, intake: in, logger: logger, codings: make(map[string]*coding)}
	h.bodies.New = func() any { return new(bytes.Buffer) }
	if c := config.CORS; c != nil && len(c.AllowedOrigins) > 0 {
		h.cors = cors.New(cors.Options{
			AllowedOrigins: c.AllowedOrigins, AllowedHeaders: c.AllowedHeaders,
			AllowCredentials: true, MaxAge: c.MaxAge,
		})
	}
	for _, name := range config.CompressionAlgorithms {
		if name == "x-snappy-framed" {
			h.codings[name] = newCoding("snappy", defaultLevel, 0)
		} else if name != "" {
			h.codings[name] = newCoding(name, defaultLevel, int64(config.MaxRequestBodySize))
		}
	}
	return h
}

// serve answers requests until ctx ends; it closes l.
func (h *httpServer) serve(ctx context.Context, l net.Listener) error {
	s := &http.Server{
		Handler:           h.handler(),
		ReadHeaderTimeout: readHeaderTimeout,
		MaxHeaderBytes:    maxHTTPHeader,
		ErrorLog:          log.New(&serverLog{logger: h.logger}, "", 0),
		Protocols:         new(http.Protocols),
		TLSConfig:         h.tls,
	}
	s.Protocols.SetHTTP1(true)
	if h.tls != nil {
		s.Protocols.SetHTTP2(true)
	} else {
		s.Protocols.SetUnencryptedHTTP2(true)
		l = &sniffer{Listener: l, protocol: transportHTTP, logger: h.logger}
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

// otherSite says why a request is that of a page that may not send: of another
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
		method = "_OTHER" // anyone can send any word
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
	s, ok := h.signalOf(r.URL.Path)
	if !ok {
		return plain(w, http.StatusNotFound, "404 page not found")
	}
	if h.intake.sinks[s] == nil {
		h.unwired.log(h.logger, slog.LevelWarn, "a client sends a signal that leads nowhere; add it to the output block of the receiver", "signal", s)
		return plain(w, http.StatusNotFound, "404 page not found: "+string(s)+" are not wired in the receiver's output")
	}
	if err := h.otherSite(r); err != nil {
		return h.refuse(w, contentType, http.StatusForbidden, h.intake.refuse(transportHTTP, refusedOtherSite, pipeline.Permanent(err)))
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return plain(w, http.StatusMethodNotAllowed, "405 method not allowed, supported: [POST]")
	}
	if contentType != typeProtobuf && contentType != typeJSON {
		return plain(w, http.StatusUnsupportedMediaType, "415 unsupported media type, supported: ["+typeJSON+", "+typeProtobuf+"]")
	}
	buffer := h.bodies.Get().(*bytes.Buffer)
	defer func() {
		if buffer.Cap() <= keptBody {
			h.bodies.Put(buffer)
		}
	}()
	buffer.Reset()
	claim := h.intake.inFlight.Claim(listen.ClientOf(r.RemoteAddr), nil)
	defer claim.Release()
	if code, err := h.read(buffer, claim, w, r); err != nil {
		return h.refuse(w, contentType, code, err)
	}
	data, err := buffer.Bytes(), error(nil)
	if contentType == typeJSON {
		if data, err = fromJSON(s, data); err != nil {
			err = h.intake.refuse(transportHTTP, refusedMalformed, pipeline.Permanent(err))
			return h.refuse(w, contentType, http.StatusBadRequest, err)
		}
	}
	ctx := r.Context()
	if h.config.IncludeMetadata {
		ctx = withMetadata(ctx, r.Header.Values)
	}
	if err := h.intake.take(ctx, s, data, true, transportHTTP); err != nil {
		return h.refuse(w, contentType, 0, err)
	}
	return accepted(w, contentType)
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

// claimed takes what is read out of a budget.
type claimed struct {
	io.Reader
	claim *listen.Claim
}

func (c *claimed) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if c.claim.Grow(n) != nil {
		err = errOverload
	}
	return n, err
}

// read reads the body, decompressed, and claims it. On failure it counts the
// refusal and says with which status to answer; 0: the one that the error
// stands for.
func (h *httpServer) read(buffer *bytes.Buffer, claim *listen.Claim, w http.ResponseWriter, r *http.Request) (code int, err error) {
	// A body that trickles in holds a connection, but not for ever. Where the
	// deadline cannot be set, nothing is lost but this.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(readBodyTimeout))
	limit := int64(h.config.MaxRequestBodySize)
	var body io.Reader = http.MaxBytesReader(w, r.Body, limit)
	name := strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding")))
	switch c := h.codings[name]; {
	case c != nil:
		body, err = c.Decompress(body)
	case name == "identity" || name == "" && slices.Contains(h.config.CompressionAlgorithms, ""):
	default:
		err = errors.New("content encoding " + strconv.Quote(name) + " is not supported; supported: [" + strings.Join(h.config.CompressionAlgorithms, ", ") + "]")
		return http.StatusUnsupportedMediaType, h.intake.refuse(transportHTTP, refusedEncoding, err)
	}
	if err == nil {
		err = readLimited(buffer, &claimed{body, claim}, limit)
	}
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil:
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
		return 0, nil
	case errors.Is(err, errOverload):
		return 0, h.intake.refuse(transportHTTP, refusedOverload, err)
	case errors.As(err, &tooLarge) || errors.Is(err, errTooLarge):
		err = fmt.Errorf("%w; send smaller batches, or raise http > max_request_body_size above %s", errTooLarge, h.config.MaxRequestBodySize)
		return http.StatusRequestEntityTooLarge, h.intake.refuse(transportHTTP, refusedTooLarge, err)
	default:
		return http.StatusBadRequest, h.intake.refuse(transportHTTP, refusedMalformed, pipeline.Permanent(err))
	}
}

// refuse answers with a google.rpc.Status in the encoding of the request. code
// is the HTTP status; 0: the one that err stands for.
func (h *httpServer) refuse(w http.ResponseWriter, contentType string, code int, err error) int {
	st := statusOf(err).Proto()
	if code == 0 {
		code = httpCodeOf(st)
	}
	var body []byte
	if contentType == typeJSON {
		body, err = protojson.Marshal(st)
	} else {
		body, err = proto.Marshal(st)
	}
	if err != nil {
		return plain(w, http.StatusInternalServerError, err.Error())
	}
	if code == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(code)
	_, _ = w.Write(body) // the client may have gone
	return code
}

// accepted answers with an empty Export…ServiceResponse.
func accepted(w http.ResponseWriter, contentType string) int {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(http.StatusOK)
	if contentType == typeJSON {
		_, _ = io.WriteString(w, `{"partialSuccess":{}}`)
	}
	return http.StatusOK
}

// wrongProtocol answers a gRPC client in its own terms.
func (h *httpServer) wrongProtocol(w http.ResponseWriter, r *http.Request) int {
	const hint = "this port serves OTLP/HTTP, and this looks like OTLP/gRPC: use the gRPC port, usually 4317, or set the client's protocol to http/protobuf"
	h.wrong.log(h.logger, slog.LevelWarn, "wrong protocol", "transport", transportHTTP, "client", r.RemoteAddr, "hint", hint)
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("Grpc-Status", "12") // Unimplemented
	w.Header().Set("Grpc-Message", hint)
	w.WriteHeader(http.StatusOK)
	return http.StatusOK
}

func plain(w http.ResponseWriter, code int, text string) int {
	http.Error(w, text, code)
	return code
}
