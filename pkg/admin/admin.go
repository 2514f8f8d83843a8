// Package admin is the HTTP server on :12345: the debug UI and its API,
// readiness, health, reload, the collector's own metrics, and profiles of it.
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

	"collector/pkg/admin/ui"
	"collector/pkg/admin/ui/flow"
	"collector/pkg/admin/ui/page"
	"collector/pkg/admin/ui/support"
	"collector/pkg/component"
	"collector/pkg/config"
	"collector/pkg/explore"
	"collector/pkg/graph"
	"collector/pkg/listen"
	"collector/pkg/live"
	"collector/pkg/spans"
	"collector/pkg/throttle"
)

// Program is the running program, as the server reports and controls it.
type Program interface {
	// Ready reports whether the configuration has been loaded once; it stays true
	// from then on.
	Ready() bool
	// NotRunning returns the ids of the components that should run and do not.
	NotRunning() []string
	// Observe records the components' health in their history.
	Observe()
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
	Spans     *spans.Provider // of requests; nil for none
	Logger    *slog.Logger

	Source ui.Source  // what the UI shows
	Rates  flow.Rates // may be nil
	// Destinations, Live and Explore are what else the UI shows; each may be nil.
	Destinations flow.Destinations
	Inventory    ui.Inventory // may be nil
	Orphans      func() []flow.OrphanedQueue
	// OnDisk is how the files of the configuration differ from what runs; nil if there
	// are none.
	OnDisk  func() ([]config.FileDiff, error)
	Support *support.Program // nil for a server without support bundles
	// Handlers finds the components' handlers below component.HandlersPath; nil for
	// none.
	Handlers interface {
		Handler(path string) (h http.Handler, rest string)
	}
	Live    *live.Hub
	Explore *explore.Window
	// Promtail is set if the configuration is Promtail's file.
	Promtail *Promtail

	Version string
	// Prefix is where a browser sees the UI, as CleanPrefix gives it.
	Prefix string
	// AllowedHosts are host names that browsers may use over plain HTTP without a
	// password, besides those that cannot belong to another site.
	AllowedHosts []string
	// Access is shared with the block http; nil for a server without one.
	Access *Access
}

// Server is the HTTP server.
type Server struct {
	options  Options
	listener net.Listener
	ui       *ui.UI // set by Handler, if there is one
	limits   *limits
	guesses  guesses
	quiet    throttle.Log
	refused  *prometheus.CounterVec
}

// Why requests and connections are rejected.
const (
	refusedForeign     = "other_site"
	refusedBusy        = "busy"
	refusedTooLong     = "profile_too_long"
	refusedPassword    = "wrong_password"
	refusedGuesses     = "too_many_wrong_passwords"
	refusedConnections = "too_many_connections"
)

// New makes a server that does not listen yet.
func New(o Options) *Server {
	if o.Access == nil {
		o.Access = &Access{}
	}
	s := &Server{options: o, limits: newLimits(), refused: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "collector_http_refused_total", Help: "Rejected requests and connections to the HTTP server.",
	}, []string{"reason"})}
	for _, reason := range []string{refusedForeign, refusedBusy, refusedTooLong, refusedPassword, refusedGuesses, refusedConnections} {
		s.refused.WithLabelValues(reason)
	}
	return s
}

// Register registers the server's own metrics.
func (s *Server) Register(r prometheus.Registerer) { r.MustRegister(s.refused) }

// Bind opens the port. Its error names the port and the flag.
func (s *Server) Bind() (err error) {
	s.listener, err = s.options.Listeners.Listen("tcp", s.options.Address, s.options.Flag)
	return err
}

// Addr is the address opened by Bind.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// shutdownTime is how long requests in progress may take once ctx has ended.
const shutdownTime = time.Second

// Run serves until ctx ends. Bind has been called.
func (s *Server) Run(ctx context.Context) error {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{
		Handler:           s.Handler(),
		Protocols:         protocols,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    maxHeader,
		// The only write deadline of HTTP/2 connections.
		HTTP2:    &http.HTTP2Config{MaxConcurrentStreams: 100, WriteByteTimeout: writeTime, SendPingTimeout: writeTime, PingTimeout: writeTime},
		ErrorLog: slog.NewLogLogger(s.options.Logger.Handler(), slog.LevelDebug),
	}
	if s.ui != nil {
		server.RegisterOnShutdown(s.ui.Close)
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(secured{bounded{s.listener, s}, s.options.Access}) }()
	go s.observe(ctx)
	if err := s.serveUntil(ctx, failed); err != nil {
		return fmt.Errorf("serve HTTP on %s: %w", s.options.Address, err)
	}
	stop, cancel := context.WithTimeout(context.Background(), shutdownTime)
	defer cancel()
	if err := server.Shutdown(stop); errors.Is(err, context.DeadlineExceeded) {
		server.Close()
	}
	<-failed
	return nil
}

// serveUntil also serves the components themselves, once one of them asks for it,
// until ctx ends or the server fails.
func (s *Server) serveUntil(ctx context.Context, failed <-chan error) error {
	memory := s.options.Listeners.Memory()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return nil
	case <-memory.Wanted():
	}
	within := s.withinProcess()
	ended := make(chan error, 1)
	go func() { ended <- within.Serve(memory) }()
	defer func() {
		within.Close()
		<-ended
	}()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return nil
	}
}

// observeEvery is how often the components' health is recorded, so that their
// history is complete even if nobody watches.
const observeEvery = 5 * time.Second

func (s *Server) observe(ctx context.Context) {
	ticker := time.NewTicker(observeEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.options.Program.Observe()
		}
	}
}

// Handler is the whole server, below the prefix and without it, behind the block
// http.
func (s *Server) Handler() http.Handler {
	mux := s.mux()
	handler := belowPrefix(s.options.Prefix, s.refuseForeign(s.bound(compress(mux))))
	return s.traced(mux, timely(secureHeaders(s.authenticate(handler))))
}

// Paths that other files use too.
const (
	readyPath   = "/-/ready"
	healthyPath = "/-/healthy"
	reloadPath  = "/-/reload"
	metricsPath = "/metrics"
	pprofPath   = "/debug/pprof"
)

// mux is all paths. The responses below /-/ are byte for byte those of Alloy, as
// health checks compare them.
func (s *Server) mux() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc(readyPath, s.ready)
	mux.HandleFunc(healthyPath, s.healthy)
	s.registerReload(mux, reloadPath)
	mux.Handle("GET "+metricsPath, s.metrics())
	if s.options.Handlers != nil {
		mux.HandleFunc(component.HandlersPath, s.serveComponent)
	}
	if s.options.Pprof {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	s.registerPromtail(mux)
	if s.options.Source != nil {
		s.registerAlloyAPI(mux)
		s.ui = ui.New(ui.Options{
			Source: s.options.Source, Reload: s.options.Program.Reload, Rates: s.options.Rates,
			Destinations: s.options.Destinations, Live: s.options.Live, Explore: s.options.Explore,
			Inventory: s.options.Inventory, Orphans: s.options.Orphans, OnDisk: s.options.OnDisk, Support: s.options.Support,
			Prefix: s.options.Prefix, Version: s.options.Version, Logger: s.options.Logger,
		})
		s.ui.Register(mux)
	}
	return mux
}

// metrics serves the collector's own metrics.
func (s *Server) metrics() http.Handler {
	return promhttp.HandlerFor(s.options.Gatherer, promhttp.HandlerOpts{
		// One component's broken metric must not hide all others.
		ErrorHandling:     promhttp.ContinueOnError,
		ErrorLog:          slog.NewLogLogger(s.options.Logger.Handler(), slog.LevelWarn),
		EnableOpenMetrics: true,
	})
}

func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	if !s.options.Program.Ready() {
		http.Error(w, "Alloy is not ready.", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "Alloy is ready.")
}

// healthy fails for components that do not run. It must not fail for a dead destination:
// an orchestrator may restart the program then, which does not bring the destination
// back.
func (s *Server) healthy(w http.ResponseWriter, _ *http.Request) {
	if names := s.options.Program.NotRunning(); len(names) > 0 {
		http.Error(w, "unhealthy components: "+strings.Join(names, ", "), http.StatusInternalServerError)
		return
	}
	fmt.Fprintln(w, "All Alloy components are healthy.")
}

// registerReload has a path reload the configuration.
func (s *Server) registerReload(mux *http.ServeMux, path string) {
	mux.HandleFunc("HEAD "+path, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Allow", "GET, POST") // a HEAD changes nothing
		w.WriteHeader(http.StatusMethodNotAllowed)
	})
	mux.HandleFunc("GET "+path, s.reload)
	mux.HandleFunc("POST "+path, s.reload)
}

func (s *Server) reload(w http.ResponseWriter, r *http.Request) {
	// A client that disconnects must not stop a reload halfway.
	ctx := graph.TriggeredBy(context.WithoutCancel(r.Context()), "HTTP "+r.Method+" "+r.URL.Path+" from "+page.Client(r))
	if err := s.options.Program.Reload(ctx); err != nil {
		http.Error(w, fmt.Sprintf("error during the initial load: %s", err), http.StatusBadRequest)
		return
	}
	fmt.Fprintln(w, "config reloaded")
}
