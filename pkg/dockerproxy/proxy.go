package dockerproxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/docker"
	"collector/pkg/listen"
	"collector/pkg/throttle"
)

const (
	// headerTime is how long a client may take to send a request.
	headerTime = 10 * time.Second
	// answerTime bounds the response to a request that is no stream, until the client
	// has read it. It is longer than the collector waits for any.
	answerTime = 3 * time.Minute
	// maxHeader bounds a request. The collector's have some 500 bytes, and as much as a
	// configuration has filters.
	maxHeader = 16 << 10
	// bufferSize is how much of a response is on its way. A message of a log is one
	// write of the Engine, and a container that is silent holds a buffer.
	bufferSize = 4 << 10
	// maxConnections bounds the connections of all clients together, one for each
	// container that is followed, and connectionCost is about what one takes.
	maxConnections = 2048
	connectionCost = 64 << 10
	minConnections = 64
	// farewell is how long requests in progress may take when the proxy stops.
	farewell = time.Second
)

// Proxy is a proxy in front of one Engine.
type Proxy struct {
	filter Filter
	engine *docker.Upstream
	logger *slog.Logger
	agent  string
	turns  *turns
	quiet  throttle.Log
}

// New makes a proxy for the Engine at host, unix://PATH or tcp://HOST:PORT, which
// names itself agent in requests. It connects to nothing yet.
func New(host string, filter Filter, agent string, logger *slog.Logger) (*Proxy, error) {
	engine, err := docker.NewUpstream(host)
	if err != nil {
		return nil, err
	}
	return &Proxy{filter: filter, engine: engine, logger: logger, agent: agent, turns: newTurns(perClient)}, nil
}

// Serve serves clients on l, which it closes, until ctx ends. Connections on which
// nothing passes are closed if others need theirs: a user's share is the limit divided
// by the number of users.
func (p *Proxy) Serve(ctx context.Context, l net.Listener) error {
	limit := listen.NewLimit(connections(), prometheus.NewRegistry(), p.logger)
	server := &http.Server{
		Handler: p, ReadHeaderTimeout: headerTime, IdleTimeout: listen.IdleTimeout, MaxHeaderBytes: maxHeader,
		DisableGeneralOptionsHandler: true, ErrorLog: slog.NewLogLogger(p.logger.Handler(), slog.LevelDebug),
	}
	_, err := listen.ServeHTTP(ctx, server, limit.Listener(l), farewell)
	return err
}

// connections is how many there may be: fewer where the program's memory limit is low.
func connections() int {
	return int(max(minConnections, min(maxConnections, debug.SetMemoryLimit(-1)/2/connectionCost)))
}

// ServeHTTP lets a request through, or rejects it.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	asked, err := p.filter.check(r)
	if err != nil {
		p.reject(w, r, err)
		return
	}
	ctx := r.Context()
	if !asked.streams {
		done, ok := p.turns.wait(ctx, r.RemoteAddr)
		if !ok {
			return // the client has gone
		}
		defer done()
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, answerTime)
		defer cancel()
		// For this request only; the responses of tests have none.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTime))
	}
	p.forward(ctx, w, asked)
}

// reject answers as an Engine with an authorization plugin does.
func (p *Proxy) reject(w http.ResponseWriter, r *http.Request, why error) {
	what := fmt.Sprintf("%.20s %.200s", r.Method, r.URL.Path)
	p.quiet.Warn(p.logger, what, "rejected a request to the Docker Engine", "request", what, "reason", why.Error())
	// Nothing that follows on this connection is read: it may be the body.
	w.Header().Set("Connection", "close")
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(headerTime))
	fail(w, http.StatusForbidden, fmt.Sprintf("collector docker-proxy rejects %s: %s", what, why))
}

// fail answers with an error in the Engine's form.
func fail(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": message}) // the client may have gone
}

// forward makes a request to the Engine and passes back the response, as it comes.
func (p *Proxy) forward(ctx context.Context, w http.ResponseWriter, asked request) {
	u := p.engine.Base
	u.Path += asked.path
	u.RawQuery = asked.query.Encode()
	out, err := http.NewRequestWithContext(ctx, asked.method, u.String(), nil)
	if err != nil {
		fail(w, http.StatusInternalServerError, err.Error())
		return
	}
	out.Header.Set("User-Agent", p.agent)
	resp, err := p.engine.Transport.RoundTrip(out)
	if err != nil {
		p.unreachable(ctx, w, err)
		return
	}
	defer resp.Body.Close()
	for name, values := range resp.Header {
		if !hopByHop(name) {
			w.Header()[name] = values
		}
	}
	w.WriteHeader(resp.StatusCode)
	if err := relay(w, resp.Body, asked.streams); err != nil {
		panic(http.ErrAbortHandler) // the client has to see that it is cut
	}
}

// unreachable answers that the Engine did not.
func (p *Proxy) unreachable(ctx context.Context, w http.ResponseWriter, err error) {
	switch {
	case errors.Is(ctx.Err(), context.Canceled): // the client has gone
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		fail(w, http.StatusGatewayTimeout, fmt.Sprintf("the Docker Engine has not answered collector docker-proxy within %v", answerTime))
	default:
		err = p.engine.Explain(err)
		p.quiet.Warn(p.logger, "", "cannot reach the Docker Engine", "err", err)
		fail(w, http.StatusBadGateway, "collector docker-proxy: "+err.Error())
	}
}

// hopByHop reports whether a field of a response's header is about the connection
// to the Engine.
func hopByHop(field string) bool {
	switch field {
	case "Connection", "Keep-Alive", "Proxy-Authenticate", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

// relay copies a body, of a stream piece by piece as it comes.
func relay(w http.ResponseWriter, body io.Reader, streams bool) error {
	connection, buf := http.NewResponseController(w), make([]byte, bufferSize)
	for {
		if streams { // first, so that the client knows that the stream is open
			if err := connection.Flush(); err != nil {
				return err
			}
		}
		n, err := body.Read(buf)
		if _, failed := w.Write(buf[:n]); failed != nil {
			return failed
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
