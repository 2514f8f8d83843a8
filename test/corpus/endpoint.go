package corpus

import (
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/grafana/alloy/syntax/ast"

	"collector/pkg/logs/lokitest"
	"collector/pkg/profiles/profilestest"
	"collector/pkg/remotewrite/remotewritetest"
	"collector/test/harness"
)

// arrival is something that has arrived at an endpoint: a line, a sample, a span
// or a profile.
type arrival struct {
	signal string
	name   string            // of a metric or a span
	text   string            // of a line, with what is attached to it
	labels map[string]string // or attributes
	value  float64           // of a sample
}

// receiver is a server on the loopback interface that a writer delivers to. What
// breaks its protocol fails the test.
type receiver interface {
	// collect returns what has arrived since the last call.
	collect() []arrival
	// headers are the last request's; nil if there was none.
	headers() http.Header
}

// endpoint is one endpoint of a writer.
type endpoint struct {
	name string
	receiver
	// want are headers that each request must have.
	want map[string]string
}

// defaultPaths are where a URL from the environment points to.
var defaultPaths = map[string]string{
	"loki.write": "/loki/api/v1/push", "prometheus.remote_write": "/api/v1/write", "prometheus.write.queue": "/api/v1/write",
}

// connect starts a receiver for each endpoint of a writer, and makes it deliver there.
func (r *run) connect(w *block) {
	switch w.kind {
	case "loki.echo":
		r.endpoints[w.id] = []*endpoint{{name: w.id, receiver: &echoed{r: r, id: w.id}}}
	case "otelcol.exporter.debug":
		// Its output is for people, and arrives nowhere.
	case "otelcol.exporter.otlp", "otelcol.exporter.otlphttp":
		for _, client := range children(w.body, "client") {
			r.connectOTLP(w, client)
		}
	default:
		for n, e := range children(w.body, "endpoint") {
			name := w.id
			if n > 0 {
				name += fmt.Sprintf("[%d]", n)
			}
			var to receiver
			var base string
			switch w.kind {
			case "loki.write":
				s := lokitest.New(r.t)
				to, base = &lokiReceiver{server: s}, strings.TrimSuffix(s.URL(), "/loki/api/v1/push")
			case "pyroscope.write":
				s := profilestest.NewServer(r.t)
				to, base = &profileReceiver{server: s}, s.URL
			default:
				s := remotewritetest.New(r.t, nil)
				to, base = &sampleReceiver{server: s}, strings.TrimSuffix(s.URL, "/api/v1/write")
			}
			r.point(w, e, "url", base)
			r.endpoints[w.id] = append(r.endpoints[w.id], &endpoint{name: name, receiver: to, want: r.wantHeaders(e.Body)})
		}
	}
}

func (r *run) connectOTLP(w *block, client *ast.BlockStmt) {
	to := startOTLP(r.t)
	if w.kind == "otelcol.exporter.otlphttp" {
		for _, name := range []string{"endpoint", "logs_endpoint", "metrics_endpoint", "traces_endpoint"} {
			if attribute(client.Body, name) != nil {
				r.point(w, client, name, to.url)
			}
		}
		for _, name := range []string{"logs_endpoint", "metrics_endpoint", "traces_endpoint"} {
			if e := attribute(w.body, name); e != nil {
				w.file.replace(e, strconv.Quote(to.url+pathOf(r.c.text(e), "/v1/"+strings.TrimSuffix(name, "_endpoint"))))
			}
		}
	} else {
		e := attribute(client.Body, "endpoint")
		scheme, _, _ := strings.Cut(r.c.text(e), "://")
		address := to.grpc
		secure := true
		if tls := child(client.Body, "tls"); tls != nil {
			var insecure bool
			_ = r.c.eval(attribute(tls.Body, "insecure"), &insecure)
			secure = !insecure || scheme == "https"
		}
		if secure { // whatever the scheme is, as in the OpenTelemetry Collector
			address = r.secure(address, "h2")
		}
		if scheme == "http" || scheme == "https" {
			address = scheme + "://" + address
		}
		r.assign(w.file, e, address)
	}
	r.endpoints[w.id] = append(r.endpoints[w.id], &endpoint{name: w.id, receiver: to, want: r.wantHeaders(client.Body)})
}

var placed = regexp.MustCompile(`^https?://[^/]*(/.*)?$`)

// pathOf is the path and query of a URL, whatever its host; fallback if the URL is
// none, as it comes from the environment.
func pathOf(address, fallback string) string {
	if m := placed.FindStringSubmatch(address); m != nil {
		return m[1]
	}
	return fallback
}

// point makes an attribute of an endpoint point to a server at base, with the scheme and
// path that it has.
func (r *run) point(w *block, e *ast.BlockStmt, name, base string) {
	expression := attribute(e.Body, name)
	if expression == nil {
		return
	}
	before := r.c.text(expression)
	if strings.HasPrefix(before, "https://") {
		base = "https://" + r.secure(strings.TrimPrefix(base, "http://"), "http/1.1")
	}
	r.assign(w.file, expression, base+pathOf(before, defaultPaths[w.kind]))
}

// assign gives an expression a value: through the variable or the file that it is read
// from, if it is the only use of it, so that the value is read in the same way.
func (r *run) assign(f *file, e ast.Expr, value string) {
	if name := variable(e); name != "" && !r.assigned[name] {
		r.assigned[name] = true
		r.c.env[name] = value
		return
	}
	if name, isContent := strings.CutSuffix(dotted(e), ".content"); isContent && r.c.byID[name] != nil && !r.assigned[name] {
		r.assigned[name] = true
		r.contents[name] = value
		return
	}
	f.replace(e, strconv.Quote(value))
}

// secure puts TLS in front of a server and returns the address.
func (r *run) secure(backend, protocol string) string {
	cert, err := tls.LoadX509KeyPair(r.place.cert, r.place.key)
	if err != nil {
		r.t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{protocol}})
	if err != nil {
		r.t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", backend)
			if err != nil {
				in.Close()
				continue
			}
			both := func(to, from net.Conn) {
				_, _ = io.Copy(to, from)
				to.Close()
			}
			running.Go(func() { both(out, in) })
			running.Go(func() { both(in, out) })
		}
	})
	r.t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

// wantHeaders are the headers that the settings of a client lead to.
func (r *run) wantHeaders(body ast.Body) map[string]string {
	want := map[string]string{}
	for name, value := range r.c.texts(attribute(body, "headers")) {
		want[http.CanonicalHeaderKey(name)] = value
	}
	if tenant := r.c.text(attribute(body, "tenant_id")); tenant != "" {
		want["X-Scope-Orgid"] = tenant
	}
	if token := r.c.text(attribute(body, "bearer_token")); token != "" {
		want["Authorization"] = "Bearer " + token
	}
	basic := func(body ast.Body) {
		user, password := r.c.text(attribute(body, "username")), r.c.text(attribute(body, "password"))
		if user != "" && password != "" {
			want["Authorization"] = "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
		}
	}
	if b := child(body, "basic_auth"); b != nil {
		basic(b.Body)
	}
	for _, by := range r.c.references(attribute(body, "auth")) {
		if by.kind == "otelcol.auth.basic" {
			basic(by.body)
		}
	}
	return want
}

type lokiReceiver struct {
	server *lokitest.Server
	read   int
}

// collect returns what is stored, which is not all that was sent: Loki rejects
// streams without labels.
func (l *lokiReceiver) collect() []arrival {
	entries := l.server.Entries()
	var out []arrival
	for _, e := range entries[l.read:] {
		parsed, _ := lokitest.ParseLabels(e.Labels) // the server has parsed them
		out = append(out, arrival{signal: "logs", text: e.Line + " " + e.Metadata, labels: parsed})
	}
	l.read = len(entries)
	return out
}

func (l *lokiReceiver) headers() http.Header {
	if requests := l.server.Requests(); len(requests) > 0 {
		return requests[len(requests)-1].Header
	}
	return nil
}

type sampleReceiver struct {
	server *remotewritetest.Receiver
	read   int
	last   http.Header
}

func (s *sampleReceiver) collect() []arrival {
	requests := s.server.Requests()
	var out []arrival
	for _, request := range requests[s.read:] {
		s.last = request.Header
		for _, series := range request.Write.Timeseries {
			found := map[string]string{}
			for _, l := range series.Labels {
				found[l.Name] = l.Value
			}
			a := arrival{signal: "metrics", name: found["__name__"], labels: found}
			for _, sample := range series.Samples {
				a.value = sample.Value
			}
			out = append(out, a)
		}
	}
	s.read = len(requests)
	return out
}

func (s *sampleReceiver) headers() http.Header { return s.last }

type profileReceiver struct {
	server *profilestest.Server
	read   int
	last   http.Header
}

func (p *profileReceiver) collect() []arrival {
	requests := p.server.Requests()
	var out []arrival
	for _, request := range requests[p.read:] {
		p.last = request.Header
		query, _ := url.QueryUnescape(request.Query)
		if request.Push == nil {
			out = append(out, arrival{signal: "profiles", text: query, labels: maps.Clone(request.Labels)})
			continue
		}
		for _, series := range request.Push.Series {
			found := map[string]string{}
			for _, l := range series.Labels {
				found[l.Name] = l.Value
			}
			out = append(out, arrival{signal: "profiles", labels: found})
		}
	}
	p.read = len(requests)
	return out
}

func (p *profileReceiver) headers() http.Header { return p.last }

// echoed is what loki.echo writes among the collector's own messages.
type echoed struct {
	r    *run
	id   string
	seen int
}

func (e *echoed) collect() []arrival {
	output := e.r.collector.Output()
	if len(output) <= e.seen {
		return nil
	}
	var out []arrival
	for line := range strings.Lines(output[e.seen:]) {
		if strings.Contains(line, e.id) {
			out = append(out, arrival{signal: "logs", text: line, labels: map[string]string{}})
		}
	}
	e.seen = strings.LastIndexByte(output, '\n') + 1
	return out
}

func (e *echoed) headers() http.Header { return nil }

// freeAddress is an address where nobody listens.
func freeAddress(t testing.TB) string { return harness.Address(harness.FreePort(t)) }
