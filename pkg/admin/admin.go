// Package admin is the HTTP server on :12345: readiness, health, reload, the
// collector's own metrics, and profiles of it.
package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"collector/pkg/listen"
)

// Program is the running program, as the server reports on it and steers it.
type Program interface {
	// Ready tells whether the first load of the configuration has succeeded;
	// it stays true from then on.
	Ready() bool
	// Unhealthy names the components that are unhealthy.
	Unhealthy() []string
	// Reload loads the configuration again, all or nothing.
	Reload(ctx context.Context) error
}

// Options make a Server.
type Options struct {
	Address   string // host:port to listen on
	Flag      string // the flag that set Address, for error messages
	Pprof     bool   // serve /debug/pprof
	Program   Program
	Gatherer  prometheus.Gatherer
	Listeners *listen.Pool
	Logger    *slog.Logger
}

// Server is the HTTP server.
type Server struct {
	options  Options
	listener net.Listener
}

// New makes a server that listens to nothing yet.
func New(o Options) *Server { return &Server{options: o} }

// Bind takes the port. Its error names the port and the flag.
func (s *Server) Bind() (err error) {
	s.listener, err = s.options.Listeners.Listen("tcp", s.options.Address, s.options.Flag)
	return err
}

// Addr is the address that Bind took.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// shutdownTime is how long requests under way may take once ctx has ended.
const shutdownTime = time.Second

// Run serves until ctx ends. Bind has been called.
func (s *Server) Run(ctx context.Context) error {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{
		Handler:           s.Handler(),
		Protocols:         protocols,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(s.options.Logger.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(s.listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve HTTP on %s: %w", s.options.Address, err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.Background(), shutdownTime)
	defer cancel()
	if err := server.Shutdown(stop); errors.Is(err, context.DeadlineExceeded) {
		server.Close()
	}
	<-failed
	return nil
}

// Handler serves everything that the server answers. The answers under /-/ are
// those of Alloy, to the byte, as health checks compare them.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/-/ready", s.ready)
	mux.HandleFunc("/-/healthy", s.healthy)
	mux.HandleFunc("HEAD /-/reload", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Allow", "GET, POST") // looking changes nothing
		w.WriteHeader(http.StatusMethodNotAllowed)
	})
	mux.HandleFunc("GET /-/reload", s.reload)
	mux.HandleFunc("POST /-/reload", s.reload)
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.options.Gatherer, promhttp.HandlerOpts{
		// One component's broken metric must not hide all others.
		ErrorHandling:     promhttp.ContinueOnError,
		ErrorLog:          slog.NewLogLogger(s.options.Logger.Handler(), slog.LevelWarn),
		EnableOpenMetrics: true,
	}))
	if s.options.Pprof {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	mux.HandleFunc("GET /{$}", s.index)
	return mux
}

func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	if !s.options.Program.Ready() {
		http.Error(w, "Alloy is not ready.", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "Alloy is ready.")
}

func (s *Server) healthy(w http.ResponseWriter, _ *http.Request) {
	if names := s.options.Program.Unhealthy(); len(names) > 0 {
		http.Error(w, "unhealthy components: "+strings.Join(names, ", "), http.StatusInternalServerError)
		return
	}
	fmt.Fprintln(w, "All Alloy components are healthy.")
}

func (s *Server) reload(w http.ResponseWriter, r *http.Request) {
	// A client that goes away must not leave a reload half done.
	if err := s.options.Program.Reload(context.WithoutCancel(r.Context())); err != nil {
		http.Error(w, fmt.Sprintf("error during the initial load: %s", err), http.StatusBadRequest)
		return
	}
	fmt.Fprintln(w, "config reloaded")
}

func (s *Server) index(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprint(w, "collector\n\n/-/ready    the configuration has been loaded\n/-/healthy  no component is unhealthy\n"+
		"/-/reload   load the configuration again (POST)\n/metrics    the collector's own metrics\n")
	if s.options.Pprof {
		fmt.Fprintln(w, "/debug/pprof/  profiles of the collector")
	}
}
