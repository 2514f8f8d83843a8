package promtail

import (
	"cmp"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// What Promtail starts from.
const (
	defaultPort      = 80
	defaultPositions = "/var/log/positions.yaml"
	defaultSync      = 10 * time.Second
)

// converter makes blocks of a file.
type converter struct {
	*reader
	options Options

	server    Server
	positions string
	head      []*block // logging, http
	sources   []*block // of all jobs
	limits    *block   // of all entries, if there are limits
	writers   []*block

	labels     map[string]bool // component names with labels that are taken
	receivers  []string        // of the writers, or of the limits
	maxStreams int
	stdin      bool // standard input is read, and nothing else
	syncPeriod time.Duration
	watch      fileWatch
}

type fileWatch struct {
	line     int
	min, max time.Duration
}

var sections = []string{"clients", "global", "limits_config", "positions", "scrape_configs", "server", "target_config"}

func (c *converter) convert(root *yaml.Node) {
	c.labels = map[string]bool{}
	f := c.fields(root, "")
	c.readServer(f.section("server"))
	positions := f.section("positions")
	c.positions = cmp.Or(positions.plain("filename"), defaultPositions)
	positions.accept("ignore_invalid_yaml", "sync_period")
	positions.rest("filename", "ignore_invalid_yaml", "sync_period")
	c.readTargets(f)
	c.readLimits(f.section("limits_config"))
	c.readClients(f)
	if n := f.section("wal"); n.flag("enabled", false) {
		c.warn(f.key("wal"), "wal", "entries wait in the queue on disk, whether this is set or not")
	}
	if n := f.section("tracing"); n.flag("enabled", false) {
		c.warn(f.key("tracing"), "tracing", "the collector sends its own traces to what a block tracing names, in Alloy's language")
	}
	f.accept("options")
	jobs := f.list("scrape_configs")
	if c.stdin {
		c.standardInput(jobs)
		jobs = nil
	} else if len(jobs) == 0 {
		c.warn(root, "", "the file has no scrape_configs: nothing is collected")
	}
	names := map[string]int{}
	for _, n := range jobs {
		c.readJob(n, names)
	}
	f.rest(sections...)
	c.leftOut()
}

// blocks are all blocks, in the order in which a person would write them.
func (c *converter) blocks() []*block {
	all := slices.Concat(c.head, c.sources)
	if c.limits != nil {
		all = append(all, c.limits)
	}
	return append(all, c.writers...)
}

// leftOut lists in a comment, at the top, what is in the file but not in the
// configuration.
func (c *converter) leftOut() {
	b := &block{}
	for _, d := range c.notes.Warnings() {
		text := d.Message
		if d.At.Line > 0 {
			text = "line " + strconv.Itoa(d.At.Line) + ": " + text
		}
		b.comment(d.At.Line, text)
	}
	if len(b.body) > 0 {
		title := item{comment: "Notes about Promtail's file:"}
		b.body = append([]item{title}, b.body...)
		c.head = append([]*block{b}, c.head...)
	}
}

// label is a label for a component of this name that no other one has.
func (c *converter) label(name, wanted string) string {
	wanted = labelFor(wanted)
	for i, label := 1, wanted; ; i++ {
		if i > 1 {
			label = wanted + "_" + strconv.Itoa(i)
		}
		if !c.labels[name+" "+label] {
			c.labels[name+" "+label] = true
			return label
		}
	}
}

var notInLabels = regexp.MustCompile(`[^A-Za-z0-9_]+`)

func labelFor(name string) string {
	name = strings.Trim(notInLabels.ReplaceAllString(name, "_"), "_")
	switch {
	case name == "":
		return "job"
	case name[0] >= '0' && name[0] <= '9':
		return "job_" + name
	}
	return name
}

// component begins a component with a label like wanted, and returns it with the
// name by which others refer to it.
func (c *converter) component(line int, name, wanted string) (b *block, id string) {
	label := c.label(name, wanted)
	return newBlock(line, name, label), name + "." + label
}

// readServer reads the section server, most of which belongs to the program rather
// than to its configuration.
func (c *converter) readServer(f *fields) {
	port := f.integer("http_listen_port", defaultPort)
	address := f.plain("http_listen_address")
	c.server = Server{
		Address:  net.JoinHostPort(address, strconv.Itoa(port)),
		Set:      f.has("http_listen_port") || f.has("http_listen_address"),
		Disabled: f.flag("disable", false),
		Prefix:   f.plain("http_path_prefix"),
		Pprof:    f.flag("profiling_enabled", false),
		Reload:   f.flag("enable_runtime_reload", false),
	}
	if port < 0 || port > 65535 {
		c.fail(f.key("http_listen_port"), f.at("http_listen_port"), "%d is not a port", port)
	}
	c.readLogging(f)
	c.readServerTLS(f)
	f.ignore("the PROXY protocol is not supported", "proxy_protocol_enabled")
	// These are about the HTTP server, which the collector configures itself; nothing is
	// served over gRPC.
	f.accept("external_url", "health_check_target", "graceful_shutdown_timeout", "http_listen_conn_limit", "http_listen_network",
		"http_server_read_timeout", "http_server_read_header_timeout", "http_server_write_timeout", "http_server_idle_timeout",
		"grpc_listen_address", "grpc_listen_network", "grpc_tls_config")
	f.accept("grpc_listen_port", "grpc_listen_conn_limit", "grpc_server_max_recv_msg_size", "grpc_server_max_send_msg_size",
		"grpc_server_max_concurrent_streams", "grpc_server_max_connection_idle", "grpc_server_max_connection_age",
		"grpc_server_max_connection_age_grace", "grpc_server_keepalive_time", "grpc_server_keepalive_timeout",
		"grpc_server_min_time_between_pings", "grpc_server_ping_without_stream_allowed", "grpc_server_num_workers",
		"register_instrumentation", "log_source_ips_enabled", "log_source_ips_full", "log_source_ips_header", "log_source_ips_regex",
		"log_request_headers", "log_request_at_info_level_enabled", "log_request_exclude_headers_list",
		"http_log_closed_connections_without_response_enabled")
	f.rest("http_listen_address", "http_listen_port", "log_level", "log_format", "http_path_prefix", "disable")
}

func (c *converter) readLogging(f *fields) {
	level, format := f.plain("log_level"), f.plain("log_format")
	b := newBlock(lineOf(f.node), "logging", "")
	switch level {
	case "", "info":
	case "debug", "warn", "error":
		b.set(f.line("log_level"), "level", quote(level))
	default:
		c.fail(f.take("log_level"), f.at("log_level"), "%q is unknown: use debug, info, warn or error", level)
	}
	switch format {
	case "", "logfmt":
	case "json":
		b.set(f.line("log_format"), "format", quote(format))
	default:
		c.fail(f.take("log_format"), f.at("log_format"), "%q is unknown: use logfmt or json", format)
	}
	if len(b.body) > 0 {
		c.head = append(c.head, b)
	}
}

// readServerTLS makes the block http of the certificates of Promtail's server.
func (c *converter) readServerTLS(f *fields) {
	if tls := c.serverTLS(f, "tls"); tls != nil {
		b := newBlock(tls.line, "http", "")
		b.append(tls)
		c.head = append(c.head, b)
	}
}

// serverTLS is the certificates of an HTTP server, or nil if it has none.
func (c *converter) serverTLS(f *fields, name string) *block {
	t := f.section("http_tls_config")
	b := newBlock(lineOf(t.node), name, "")
	b.text(t, "cert", "cert_pem")
	b.text(t, "key", "key_pem")
	b.text(t, "cert_file", "cert_file")
	b.text(t, "key_file", "key_file")
	b.text(t, "client_auth_type", "client_auth_type")
	b.text(t, "client_ca_file", "client_ca_file")
	b.text(t, "client_ca", "client_ca_pem")
	t.rest("cert_file", "key_file", "client_auth_type", "client_ca_file")
	if len(b.body) == 0 {
		f.accept("tls_cipher_suites", "tls_min_version")
		return nil
	}
	f.ignore("the default is at least as strict", "tls_cipher_suites", "tls_min_version")
	return b
}

// readTargets reads how files are looked for and watched.
func (c *converter) readTargets(f *fields) {
	t := f.section("target_config")
	c.syncPeriod = t.duration("sync_period", defaultSync)
	if t.flag("stdin", false) {
		if c.stdin = c.options.Stdin; !c.stdin {
			c.unsupported(t.key("stdin"), t.path, "standard input is read only by Promtail's own command line, such as promtail -stdin -config.file=PATH")
		}
	}
	t.rest("sync_period")
	global := f.section("global")
	w := global.section("file_watch_config")
	c.watch = fileWatch{
		line: lineOf(w.node),
		min:  w.duration("min_poll_frequency", 250*time.Millisecond),
		max:  w.duration("max_poll_frequency", 250*time.Millisecond),
	}
	w.rest("min_poll_frequency", "max_poll_frequency")
	global.rest("file_watch_config")
}

// lineTooLong is Promtail's reason for what its clients drop.
const lineTooLong = "line_too_long"

// readLimits makes a component of the limits, through which all entries go.
func (c *converter) readLimits(f *fields) {
	b := newBlock(lineOf(f.node), "loki.process", "limits")
	if f.flag("readline_rate_enabled", false) {
		limit := newBlock(f.line("readline_rate_enabled"), "stage.limit", "")
		limit.set(f.line("readline_rate"), "rate", decimal(f.number("readline_rate", 10000)))
		limit.set(f.line("readline_burst"), "burst", strconv.Itoa(f.integer("readline_burst", 10000)))
		if f.flag("readline_rate_drop", true) {
			limit.set(f.line("readline_rate_drop"), "drop", "true")
		}
		b.append(limit)
	}
	f.accept("readline_rate", "readline_burst", "readline_rate_drop")
	size, cut := f.bytes("max_line_size"), f.flag("max_line_size_truncate", false)
	switch line := f.line("max_line_size"); {
	case size > 0 && cut:
		rule := b.add(line, "stage.truncate").add(line, "rule")
		rule.set(line, "limit", quote(size.String()))
		rule.set(line, "source_type", quote("line"))
	case size > 0:
		drop := b.add(line, "stage.drop")
		drop.set(line, "longer_than", quote(size.String()))
		drop.set(line, "drop_counter_reason", quote(lineTooLong))
	}
	c.maxStreams = f.integer("max_streams", 0)
	f.rest("max_line_size", "max_line_size_truncate", "max_streams", "readline_burst", "readline_rate", "readline_rate_drop", "readline_rate_enabled")
	if len(b.body) > 0 {
		c.limits = b
		c.labels["loki.process limits"] = true
	}
}
