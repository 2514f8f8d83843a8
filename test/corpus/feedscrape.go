package corpus

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/profiles/profilestest"
)

// exported is how the names of an exporter's metrics begin.
var exported = map[string]*regexp.Regexp{
	"prometheus.exporter.unix":     regexp.MustCompile(`^node_`),
	"prometheus.exporter.cadvisor": regexp.MustCompile(`^(container|machine)_`),
	"prometheus.exporter.redis":    regexp.MustCompile(`^redis_`),
	"prometheus.exporter.postgres": regexp.MustCompile(`^pg_`),
	"prometheus.exporter.blackbox": regexp.MustCompile(`^probe_`),
	"prometheus.exporter.self":     regexp.MustCompile(`^(alloy|collector|go|process|prometheus|loki|otelcol)_`),
}

func (r *run) feedScrape(b *block) {
	for _, o := range r.c.origins(b, attribute(b.body, "targets")) {
		switch {
		case o.object != nil:
			r.feedTarget(b, o)
		case o.found.kind == "discovery.docker":
			r.feedContainerTarget(b, o)
		case o.found.kind == "discovery.dns":
			r.feedName(b, o)
		case exported[o.found.kind] != nil:
			r.feedExporter(b, o)
		default:
			why := unfed[o.found.kind]
			if why == "" {
				why = "the test has no targets for " + o.found.kind
			}
			r.newFeed(b, "of "+o.found.id, "metrics").lost = why
		}
	}
}

// scrapeLabels are what is known of the labels of a scrape: those of the target,
// which come before the job's name.
func (r *run) scrapeLabels(f *feed, b *block, o origin) {
	f.labels = map[string]string{"job": r.c.text(attribute(b.body, "job_name"))}
	if f.labels["job"] == "" {
		f.labels["job"] = b.id
	}
	f.loose = []string{"instance"}
	if o.found != nil {
		f.loose, f.labels = append(f.loose, "job"), nil // as the discovery has it
	} else {
		maps.Copy(f.labels, r.c.texts(o.object))
	}
	f.before = o.via
}

// serve serves a page with a series for each path, such as its rules keep.
func (r *run) serve(b *block, detail string, o origin) (*feed, string) {
	f := r.newFeed(b, detail, "metrics")
	value := r.valueOf(f)
	f.has = func(a arrival) bool { return a.value == value }
	r.scrapeLabels(f, b, o)
	page := fmt.Sprintf("corpus_feed %v\n", value)
	for _, all := range f.paths {
		for _, p := range all {
			if line := r.series(f, p, value); !strings.Contains(page, line) {
				page += line
			}
		}
	}
	handler := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		fmt.Fprint(w, page)
	}
	server := httptest.NewServer(http.HandlerFunc(handler))
	r.t.Cleanup(server.Close)
	address := strings.TrimPrefix(server.URL, "http://")
	if r.c.text(attribute(b.body, "scheme")) == "https" {
		address = r.secure(address, "http/1.1")
	}
	return f, address
}

// series is a line of a page that the rules of a path keep.
func (r *run) series(f *feed, p path, value float64) string {
	rules := r.c.allRules(p...)
	from := map[string]string{"__name__": "corpus_feed"}
	maps.Copy(from, f.labels)
	free := sources(rules, func(name string) bool { return name != "job" && name != "instance" })
	found, _ := satisfy(rules, from, free, nil, nil)
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if name != "__name__" && f.labels[name] == "" && found[name] != "" {
			fmt.Fprintf(&b, "%s=%q,", name, found[name])
		}
	}
	return fmt.Sprintf("%s{%s} %v\n", found["__name__"], strings.TrimSuffix(b.String(), ","), value)
}

// feedTarget serves a target that the file names.
func (r *run) feedTarget(b *block, o origin) {
	address := field(o.object, "__address__")
	if address == nil {
		r.newFeed(b, "of a target in the file", "metrics").lost = "its target has no __address__"
		return
	}
	before := r.c.text(address.Value)
	_, at := r.serve(b, "of "+before, o)
	o.in.file.replace(address.Value, quoted(before, at))
}

// feedExporter waits for what an exporter exports.
func (r *run) feedExporter(b *block, o origin) {
	f := r.newFeed(b, "of "+o.found.id, "metrics")
	r.scrapeLabels(f, b, o)
	names := exported[o.found.kind]
	f.has, f.marked = func(a arrival) bool { return names.MatchString(a.name) }, false
	switch o.found.kind {
	case "prometheus.exporter.redis":
		f.has = func(a arrival) bool { return a.name == "redis_up" && a.value == 1 }
		e := attribute(o.found.body, "redis_addr")
		if r.place.redis == "" {
			f.lost = "redis-server is not installed"
		} else if e != nil {
			o.found.file.replace(e, strconv.Quote(r.place.redis))
		}
	case "prometheus.exporter.postgres":
		f.has = func(a arrival) bool { return a.name == "pg_up" && a.value == 1 }
		source, err := startPostgres(r.t)
		if err != nil {
			f.lost = err.Error()
		}
		o.found.file.set(o.found.node, "data_source_names", fmt.Sprintf("[%q]", source))
	case "prometheus.exporter.blackbox":
		f.has = func(a arrival) bool { return a.name == "probe_success" && a.value == 1 }
		server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		r.t.Cleanup(server.Close)
		for _, target := range children(o.found.body, "target") {
			o.found.file.set(target, "address", strconv.Quote(server.URL))
		}
	}
}

// feedContainerTarget serves the metrics of a container.
func (r *run) feedContainerTarget(b *block, o origin) {
	f, address := r.serve(b, "of "+o.found.id, o)
	host, port, _ := strings.Cut(address, ":")
	made, ok := r.container(o.found, r.c.allRules(o.via...), port, func(out labels.Labels) int {
		gotHost, gotPort, _ := strings.Cut(out.Get("__address__"), ":")
		worse := 0
		if gotHost != host {
			worse++
		}
		if gotPort != port {
			worse++
		}
		return worse
	})
	if !ok {
		f.lost = "the test finds no container that its rules keep"
		return
	}
	r.engine(r.c.text(attribute(o.found.body, "host"))).Run(made)
}

// feedName serves a target that DNS finds.
func (r *run) feedName(b *block, o origin) {
	_, address := r.serve(b, "of "+o.found.id, o)
	_, port, _ := strings.Cut(address, ":")
	o.found.file.set(o.found.node, "names", `["localhost"]`)
	o.found.file.set(o.found.node, "type", `"A"`)
	o.found.file.set(o.found.node, "port", port)
}

// feedProfiles serves profiles at the targets that the file names.
func (r *run) feedProfiles(b *block) {
	for _, o := range r.c.origins(b, attribute(b.body, "targets")) {
		if o.object == nil {
			r.newFeed(b, "of "+o.found.id, "profiles").lost = "the test has no targets for " + o.found.kind
			continue
		}
		address := field(o.object, "__address__")
		if address == nil {
			r.newFeed(b, "of a target in the file", "profiles").lost = "its target has no __address__"
			continue
		}
		before := r.c.text(address.Value)
		f := r.newFeed(b, "of "+before, "profiles")
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/octet-stream")
			_, _ = w.Write(profilestest.Pprof(r.number(f)))
		}))
		r.t.Cleanup(server.Close)
		at := strings.TrimPrefix(server.URL, "http://")
		o.in.file.replace(address.Value, quoted(before, at))
		f.has = func(a arrival) bool { return contains(a, at) }
		f.labels, f.before = r.c.texts(o.object), o.via
	}
}
