package promtail

import (
	"cmp"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// defaultMaxAge is how far Promtail goes back in a journal without a position.
const defaultMaxAge = 7 * time.Hour

// journal makes what reads systemd's journal.
func (c *converter) journal(j *job) {
	rules := c.relabel(j, "loki.relabel")
	f, line := j.section("journal"), j.line("journal")
	b, _ := c.component(line, "loki.source.journal", j.label)
	b.set(line, "forward_to", j.forwardTo)
	b.text(f, "path", "path")
	b.time(f, "max_age", "max_age", defaultMaxAge)
	b.text(f, "matches", "matches")
	b.flag(f, "json", "format_as_json", false)
	b.pairs(f, "labels", "labels")
	if rules != "" {
		b.set(line, "relabel_rules", rules)
	}
	legacy := b.add(line, "legacy_position")
	legacy.set(line, "file", quote(c.positions))
	legacy.set(line, "name", quote(j.name))
	f.rest("json", "labels", "matches", "max_age", "path")
	c.sources = append(c.sources, b)
}

// syslog makes what receives syslog.
func (c *converter) syslog(j *job) {
	rules := c.relabel(j, "loki.relabel")
	f, line := j.section("syslog"), j.line("syslog")
	b, _ := c.component(line, "loki.source.syslog", j.label)
	b.set(line, "forward_to", j.forwardTo)
	if rules != "" {
		b.set(line, "relabel_rules", rules)
	}
	l := b.add(line, "listener")
	if l.text(f, "listen_address", "address") == "" {
		c.fail(f.node, f.path, "listen_address is missing")
	}
	l.text(f, "listen_protocol", "protocol")
	l.time(f, "idle_timeout", "idle_timeout", 2*time.Minute)
	l.whole(f, "max_message_length", "max_message_length", 8192)
	l.text(f, "syslog_format", "syslog_format")
	l.flag(f, "use_incoming_timestamp", "use_incoming_timestamp", false)
	l.flag(f, "use_rfc5424_message", "use_rfc5424_message", false)
	l.flag(f, "rfc3164_default_to_current_year", "rfc3164_default_to_current_year", false)
	l.flag(f, "label_structured_data", "label_structured_data", false)
	l.pairs(f, "labels", "labels")
	c.tls(f, l)
	f.rest("idle_timeout", "label_structured_data", "labels", "listen_address", "listen_protocol", "max_message_length",
		"syslog_format", "tls_config", "use_incoming_timestamp", "use_rfc5424_message")
	c.sources = append(c.sources, b)
}

// standardInput makes what reads standard input. As in Promtail, the first job has
// the labels and the pipeline, and nothing else has an effect.
func (c *converter) standardInput(jobs []*yaml.Node) {
	host, _ := os.Hostname()
	j := &job{label: "stdin", forwardTo: references(c.receivers)}
	labels, line := []entry{{"hostname", host}, {"job", "stdin"}}, 0
	var process *block
	if len(jobs) > 0 {
		j.fields, labels, line = c.fields(jobs[0], "scrape_configs"), nil, lineOf(jobs[0])
		j.name = j.plain("job_name")
		j.label = labelFor(cmp.Or(j.name, j.label))
		j.path = "scrape_configs > " + j.label
		for _, n := range j.list("static_configs") {
			labels = merged(labels, c.fields(n, j.at("static_configs")).entries("labels"))
		}
		process = c.pipeline(j)
	}
	if len(jobs) > 1 {
		c.warn(jobs[1], "scrape_configs", "only the first job counts for standard input, as in Promtail")
	}
	b, _ := c.component(line, "loki.source.stdin", j.label)
	b.set(line, "forward_to", j.forwardTo)
	if len(labels) > 0 {
		b.set(line, "labels", object(labels))
	}
	if c.sources = append(c.sources, b); process != nil {
		c.sources = append(c.sources, process)
	}
}

// pushAPI makes what receives pushes.
func (c *converter) pushAPI(j *job) {
	rules := c.relabel(j, "loki.relabel")
	f, line := j.section("loki_push_api"), j.line("loki_push_api")
	server := f.section("server")
	b, _ := c.component(line, "loki.source.api", j.label)
	b.set(line, "forward_to", j.forwardTo)
	b.flag(f, "use_incoming_timestamp", "use_incoming_timestamp", false)
	b.pairs(f, "labels", "labels")
	if rules != "" {
		b.set(line, "relabel_rules", rules)
	}
	http := b.add(f.line("server"), "http")
	http.set(server.line("http_listen_address"), "listen_address", quote(cmp.Or(server.text("http_listen_address"), "0.0.0.0")))
	http.set(server.line("http_listen_port"), "listen_port", strconv.Itoa(server.integer("http_listen_port", defaultPort)))
	http.whole(server, "http_listen_conn_limit", "conn_limit", 0)
	http.time(server, "http_server_read_timeout", "server_read_timeout", 30*time.Second)
	http.time(server, "http_server_write_timeout", "server_write_timeout", 30*time.Second)
	http.time(server, "http_server_idle_timeout", "server_idle_timeout", 2*time.Minute)
	if tls := c.serverTLS(server, "tls"); tls != nil {
		http.append(tls)
	}
	for i := range server.pairs { // the rest is of gRPC, or of the log of requests
		server.pairs[i].used = true
	}
	f.rest("labels", "server", "use_incoming_timestamp")
	c.sources = append(c.sources, b)
}

// pipeline makes a component of a job's stages and lets the job's source forward to
// it; it is nil if there are none.
func (c *converter) pipeline(j *job) *block {
	stages := j.take("pipeline_stages")
	if len(c.items(stages, j.at("pipeline_stages"))) == 0 {
		return nil
	}
	b, id := c.component(lineOf(stages), "loki.process", j.label)
	b.set(lineOf(stages), "forward_to", j.forwardTo)
	c.stages(b, stages, j.at("pipeline_stages"))
	j.forwardTo = "[" + id + ".receiver]"
	return b
}

// stages adds a block for each stage in the list n.
func (c *converter) stages(b *block, n *yaml.Node, path string) {
	for _, item := range c.items(n, path) {
		if item.Kind != yaml.MappingNode || len(item.Content) == 0 {
			c.fail(item, path, "a stage must be a mapping: write a colon after its name, such as - docker:")
			continue
		}
		if len(item.Content) > 2 {
			c.fail(item.Content[2], path, "a stage has one name: write a dash before %s too, or indent it below %s", item.Content[2].Value, item.Content[0].Value)
			continue
		}
		c.stage(b, item.Content[0], resolved(item.Content[1]), path)
	}
}

// stage adds the block for one stage.
func (c *converter) stage(to *block, key, value *yaml.Node, path string) {
	name := key.Value
	kinds := stageKinds()
	i := slices.IndexFunc(kinds, func(k stageKind) bool { return slices.Contains(k.names, name) })
	if i < 0 {
		var known []string
		for _, k := range kinds {
			known = append(known, k.names[0])
		}
		c.fail(key, path, "there is no stage %q; known: %s", name, strings.Join(known, ", "))
		return
	}
	kind := kinds[i]
	s := &stage{converter: c, block: newBlock(key.Line, "stage."+kind.block, ""), key: key, value: value, path: path + " > " + name}
	if !kind.list {
		s.fields = c.fields(value, s.path)
		s.fields.fold = true
		if s.fields.node == nil || isNull(s.fields.node) {
			s.fields.node = key
		}
	}
	kind.make(s)
	if s.fields != nil {
		s.fields.rest()
	}
	to.append(s.block)
}
