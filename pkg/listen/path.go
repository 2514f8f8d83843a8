package listen

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/throttle"
)

// Paths tells users about clients that ask a receiver for what it does not serve: almost
// always a client's setting adds a path twice or not at all, or names another receiver's
// port, and neither side's library says so.
type Paths struct {
	// Tally counts the requests too, unless it is nil.
	Tally *Tally

	logger  *slog.Logger
	unknown *prometheus.CounterVec // by kind
	quiet   throttle.Log
}

// NewPaths makes the Paths of a receiver, with its metric.
func NewPaths(reg prometheus.Registerer, logger *slog.Logger) *Paths {
	p := &Paths{logger: logger, unknown: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "collector_receiver_unknown_path_requests_total",
		Help: "Requests to a receiver for a path that it does not serve, by what the path looks like.",
	}, []string{"kind"})}
	reg.MustRegister(p.unknown)
	return p
}

// Unknown counts and logs a request for a path that is none of those served, and
// returns what to tell its client; it is empty where the path gives no hint.
func (p *Paths) Unknown(serves []string, method, path, client string) (hint string) {
	kind, hint := pathKind(path, serves)
	p.unknown.WithLabelValues(kind).Inc()
	level := slog.LevelWarn
	if method != http.MethodPost || strings.HasPrefix(path, "/grpc.") {
		level = slog.LevelDebug // health checks, browsers, scanners
	} else if p.Tally != nil {
		p.Tally.Refuse("unknown_path", client, unknownPath(path, hint, serves))
	}
	attrs := []any{"path", shortened(path), "client", client, "valid_paths", strings.Join(serves, ", ")}
	if hint != "" {
		attrs = append(attrs, "hint", hint)
	}
	p.quiet.Log(p.logger, level, kind+level.String(), "a client sends requests to an unknown path", attrs...)
	return hint
}

func unknownPath(path, hint string, serves []string) error {
	if hint == "" {
		hint = "served: " + strings.Join(serves, ", ")
	}
	return fmt.Errorf("nothing is served at %s: %s", shortened(path), hint)
}

// shortened is a path for a log.
func shortened(path string) string {
	const most = 200
	if len(path) > most {
		path = path[:most] + "…"
	}
	return strings.ToValidUTF8(path, "\uFFFD")
}

// The paths of what clients send to other receivers.
const (
	otlpGRPC = "/opentelemetry.proto.collector."
	pyroPush = "/push.v1.PusherService/"
)

// pathKind says what a path that is not served looks like, and what to do.
func pathKind(path string, serves []string) (kind, hint string) {
	trimmed := strings.TrimRight(path, "/")
	if trimmed == "" {
		return "none", "the request has no path: some client settings take the whole URL, including the path"
	}
	for _, served := range serves {
		if trimmed == served {
			return "trailing_slash", "remove the slash at the end of the client's URL"
		}
		before, ends := strings.CutSuffix(trimmed, served)
		if !ends || served == "/" {
			continue
		}
		for _, first := range serves {
			if strings.HasSuffix(before, first) {
				return "doubled", "the client adds " + served + " to its URL by itself: remove " + first + " from the setting"
			}
		}
		return "prefixed", "remove " + before + " from the client's URL"
	}
	switch {
	case path == "/v1/traces", path == "/v1/metrics", path == "/v1/logs":
		return "otlp", "this looks like OTLP/HTTP: use the HTTP port of otelcol.receiver.otlp, usually 4318"
	case strings.HasPrefix(path, otlpGRPC) && strings.Contains(path, ".profiles."), strings.HasPrefix(path, "/v1development/"):
		return "otlp_profiles", "OTLP profiles are not supported: push them to pyroscope.receive_http with a Pyroscope SDK"
	case strings.HasPrefix(path, otlpGRPC):
		return "otlp", "this looks like OTLP/gRPC: use the gRPC port of otelcol.receiver.otlp, usually 4317"
	case strings.HasSuffix(trimmed, "/ingest"), strings.Contains(path, pyroPush):
		return "pyroscope", "this looks like a Pyroscope client: use the port of pyroscope.receive_http"
	case strings.HasPrefix(path, "/loki/api/"):
		return "loki", "this looks like a Loki client: use the port of loki.source.api"
	case strings.HasPrefix(path, "/api/v1/write"), strings.HasPrefix(path, "/api/v1/push"):
		return "remote_write", "this looks like Prometheus remote write, for which there is no receiver at this port"
	case strings.HasPrefix(path, "/api/v2/spans"), strings.HasPrefix(path, "/api/traces"):
		return "traces", "this looks like Zipkin or Jaeger, for which there is no receiver at this port: use an OTLP exporter"
	}
	return "other", ""
}

// RefuseGRPC answers a gRPC client, for which nothing is served here, in its own
// terms.
func RefuseGRPC(w http.ResponseWriter, message string) {
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("Grpc-Status", "12") // Unimplemented
	w.Header().Set("Grpc-Message", message)
	w.WriteHeader(http.StatusOK)
}
