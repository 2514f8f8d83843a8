package corpus

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/grafana/alloy/syntax/ast"

	"collector/pkg/docker/dockertest"
	"collector/pkg/otlp/otlptest"
	"collector/test/harness"
)

// place is what configurations are given of this machine.
type place struct {
	ca, cert, key string // files
	redis         string // the address of a server; "" if there is none
}

// prepare makes what all runs share.
func prepare(t *testing.T) place {
	t.Helper()
	dir := t.TempDir()
	authority := otlptest.NewAuthority(t)
	p := place{ca: authority.File, cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem")}
	authority.Issue(t, 2, p.cert, p.key)
	if _, err := tls.LoadX509KeyPair(p.cert, p.key); err != nil {
		t.Fatal(err)
	}
	return p
}

// run is one configuration that is being run.
type run struct {
	t         *testing.T
	c         *configuration
	place     place
	dir       string
	collector *harness.Collector
	endpoints map[string][]*endpoint // by the writer
	engines   map[string]*dockertest.Daemon
	assigned  map[string]bool   // variables and files that have a value by now
	contents  map[string]string // of local.file, by its id
	feeds     []*feed
	unknown   []string // components of which the test does not know whether they are sources
}

// adapt prepares a configuration for this machine: what it delivers to, where it
// listens, and the files that it reads.
func (r *run) adapt() {
	for _, b := range r.c.blocks {
		for _, kind := range writers {
			if b.kind == kind {
				r.connect(b)
			}
		}
	}
	r.feedAll()
	for _, b := range r.c.blocks {
		r.engineOf(b)
		r.speedUp(b)
		r.filesIn(b, b.body)
		if b.kind == "local.file" {
			r.localFile(b)
		}
		if b.kind == "prometheus.exporter.unix" {
			r.textfiles(b)
		}
	}
}

// launch starts the collector with what was made of the configuration.
func (r *run) launch() {
	var env []string
	for name, value := range r.c.env {
		env = append(env, name+"="+value)
	}
	env = append(env, "SSL_CERT_FILE="+r.place.ca)
	config := r.path("config")
	for _, f := range r.c.files {
		r.write(filepath.Join(config, f.name), f.edited())
	}
	r.collector = harness.NewCollector(r.t, "", env...)
	r.collector.Dir = r.dir
	r.collector.Launch(r.t, r.argument(config))
}

// argument is the file or the folder that the collector runs.
func (r *run) argument(config string) string {
	if len(r.c.files) == 1 {
		return filepath.Join(config, r.c.files[0].name)
	}
	return config
}

// path is a path of the configuration's own.
func (r *run) path(name string) string { return filepath.Join(r.dir, name) }

func (r *run) write(path, text string) {
	r.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// engine is the Engine in the place of the one at host.
func (r *run) engine(host string) *dockertest.Daemon {
	if host == "" {
		host = "unix:///var/run/docker.sock"
	}
	if r.engines[host] == nil {
		r.engines[host] = dockertest.New(r.t)
	}
	return r.engines[host]
}

// engineOf points a component that asks Docker to the Engine of the test.
func (r *run) engineOf(b *block) {
	name := map[string]string{"discovery.docker": "host", "loki.source.docker": "host", "prometheus.exporter.cadvisor": "docker_host"}[b.kind]
	if name == "" {
		return
	}
	b.file.set(b.node, name, strconv.Quote(r.engine(r.c.text(attribute(b.body, name))).Host()))
}

// speedUp shortens what a run would only wait for.
func (r *run) speedUp(b *block) {
	switch b.kind {
	case "prometheus.scrape":
		b.file.set(b.node, "scrape_interval", `"3s"`)
		b.file.set(b.node, "scrape_timeout", `"3s"`)
	case "pyroscope.scrape":
		b.file.set(b.node, "scrape_interval", `"3s"`)
		b.file.set(b.node, "delta_profiling_duration", `"2s"`)
	case "otelcol.connector.spanmetrics", "otelcol.connector.servicegraph":
		b.file.set(b.node, "metrics_flush_interval", `"1s"`)
	}
}

// own are attributes whose paths are the machine's own.
var own = map[string]string{"procfs_path": "/proc", "sysfs_path": "/sys", "rootfs_path": "/", "udev_data_path": "/run/udev/data"}

// others are attributes with paths of files that the collector makes or may miss.
var others = regexp.MustCompile(`^(legacy_positions_file|directory|root_path)$`)

// filesIn provides the files that a block names.
func (r *run) filesIn(b *block, body ast.Body) {
	for _, stmt := range body {
		switch stmt := stmt.(type) {
		case *ast.BlockStmt:
			r.filesIn(b, stmt.Body)
		case *ast.AttributeStmt:
			r.fileOf(b, stmt)
		}
	}
}

func (r *run) fileOf(b *block, a *ast.AttributeStmt) {
	name := a.Name.Name
	switch {
	case own[name] != "":
		b.file.replace(a.Value, strconv.Quote(own[name]))
	case name == "ca_file":
		b.file.replace(a.Value, strconv.Quote(r.place.ca))
	case name == "cert_file":
		b.file.replace(a.Value, strconv.Quote(r.place.cert))
	case name == "key_file":
		b.file.replace(a.Value, strconv.Quote(r.place.key))
	case name == "config_file" && b.kind == "prometheus.exporter.blackbox":
		b.file.replace(a.Value, strconv.Quote(r.modules(b)))
	case name == "config_file" && b.kind == "prometheus.exporter.snmp":
		b.file.replace(a.Value, strconv.Quote(r.mibs(b)))
	case name == "file" && b.kind == "otelcol.auth.basic":
		path := r.path("htpasswd")
		r.write(path, clientUser+":"+clientPassword+"\n")
		r.assign(b.file, a.Value, path)
	case strings.HasSuffix(name, "_file") && !others.MatchString(name):
		path := r.path(fmt.Sprintf("files/%d", ast.StartPos(a).Offset()))
		r.write(path, "what-"+name+"-has")
		b.file.replace(a.Value, strconv.Quote(path))
	case others.MatchString(name):
		if path := r.c.text(a.Value); strings.HasPrefix(path, "/") {
			b.file.replace(a.Value, strconv.Quote(r.path(path)))
		}
	}
}

// clientUser and clientPassword are what clients of receivers use that ask for them.
const clientUser, clientPassword = "corpus", "secret"

// localFile provides the file of a local.file.
func (r *run) localFile(b *block) {
	path := r.path("local/" + b.label)
	content := r.contents[b.id]
	if content == "" {
		content = "what-" + strings.ReplaceAll(b.label, "_", "-") + "-has"
	}
	r.write(path, content)
	if e := attribute(b.body, "filename"); e != nil {
		b.file.replace(e, strconv.Quote(path))
	}
}

// textfiles puts a file into the folder of the textfile collector.
func (r *run) textfiles(b *block) {
	if block := child(b.body, "textfile"); block != nil {
		if path := r.c.text(attribute(block.Body, "directory")); path != "" {
			r.write(filepath.Join(r.path(path), "corpus.prom"), "corpus_textfile 1\n")
		}
	}
}

// modules writes the modules that the targets of a blackbox exporter name.
func (r *run) modules(b *block) string {
	var text strings.Builder
	text.WriteString("modules:\n")
	seen := map[string]bool{}
	for _, target := range children(b.body, "target") {
		if name := r.c.text(attribute(target.Body, "module")); name != "" && !seen[name] {
			seen[name] = true
			fmt.Fprintf(&text, "  %s:\n    prober: http\n", name)
		}
	}
	path := r.path("blackbox/" + b.label + ".yml")
	r.write(path, text.String())
	return path
}

// mibs writes the modules and the ways to log in that the targets of an SNMP exporter
// name.
func (r *run) mibs(b *block) string {
	auths, modules := map[string]bool{}, map[string]bool{}
	add := func(module, auth string) {
		for name := range strings.SplitSeq(module, ",") {
			modules[name] = true
		}
		auths[auth] = true
	}
	for _, o := range r.c.origins(b, attribute(b.body, "targets")) {
		named := r.c.texts(o.object)
		add(named["module"], named["auth"])
	}
	for _, target := range children(b.body, "target") {
		add(r.c.text(attribute(target.Body, "module")), r.c.text(attribute(target.Body, "auth")))
	}
	text := "auths:\n"
	for name := range auths {
		if name != "" {
			text += fmt.Sprintf("  %s: {community: public, version: 2}\n", name)
		}
	}
	text += "modules:\n"
	for name := range modules {
		if name != "" {
			text += fmt.Sprintf("  %s: {walk: [1.3.6.1.2.1.2]}\n", name)
		}
	}
	path := r.path("snmp/" + b.label + ".yml")
	r.write(path, text)
	return path
}
