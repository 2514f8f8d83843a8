package promtail

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// job is one of the scrape_configs.
type job struct {
	*fields
	name      string
	label     string
	rules     []*block // of relabel_configs
	forwardTo string   // an expression
	target    bool     // relabeling needs the label __address__
	host      int      // the line at which the label __host__ is set
}

// kinds are what a job may read from; Promtail uses the first that is there. Those
// that find files come first.
var kinds = []struct {
	key  string
	make func(*converter, *job)
}{
	{"journal", (*converter).journal},
	{"syslog", (*converter).syslog},
	{"gcplog", unavailable("gcplog", "no component reads Google Cloud's logs")},
	{"loki_push_api", (*converter).pushAPI},
	{"windows_events", (*converter).windowsEvents},
	{"kafka", unavailable("kafka", "no component reads from Kafka")},
	{"azure_event_hubs", unavailable("azure_event_hubs", "no component reads from Azure Event Hubs")},
	{"gelf", unavailable("gelf", "no component receives GELF; Docker's containers are read with docker_sd_configs")},
	{"cloudflare", unavailable("cloudflare", "no component reads from Cloudflare")},
	{"docker_sd_configs", (*converter).docker},
	{"heroku_drain", unavailable("heroku_drain", "no component receives from Heroku")},
}

func unavailable(key, why string) func(*converter, *job) {
	return func(c *converter, j *job) {
		c.unsupported(j.fields.key(key), j.path, "%s is not supported: %s", key, why)
	}
}

// readJob makes the components of a job. seen are the names of those before it, with
// their lines.
func (c *converter) readJob(n *yaml.Node, seen map[string]int) {
	f := c.fields(n, "scrape_configs")
	j := &job{fields: f, name: f.plain("job_name")}
	if j.name != "" {
		f.path = "scrape_configs > " + j.name
	}
	switch line, ok := seen[j.name]; {
	case ok && j.name == "":
		c.fail(n, "scrape_configs", "the job has no job_name, as the one in line %d; one at most may have none", line)
	case ok:
		c.fail(f.key("job_name"), "", "the job in line %d is also named %q", line, j.name)
	}
	seen[j.name] = n.Line
	before := len(c.notes.Errors())
	j.label = labelFor(j.name)
	j.forwardTo = references(c.receivers)
	j.rules = c.rules(j)
	j.host = c.wantsHost(j)
	kind := c.kind(j)
	if kind == nil && !c.findsFiles(j) {
		switch {
		case f.take("static_configs") != nil || f.take("file_sd_configs") != nil:
			c.warn(n, f.path, "the job reads nothing: its list of targets is empty")
		case len(c.notes.Errors()) == before && !c.options.Lenient:
			c.fail(n, f.path, "the job reads nothing: it needs static_configs, file_sd_configs, docker_sd_configs, journal, syslog or loki_push_api")
		}
		c.finish(j)
		return
	}
	made := len(c.sources)
	process := c.pipeline(j)
	if c.findsFiles(j) {
		c.files(j)
	} else {
		kind(c, j)
	}
	if process != nil && len(c.sources) > made {
		c.sources = append(c.sources, process)
	}
	c.finish(j)
}

// finish takes what a job has besides.
func (c *converter) finish(j *job) {
	for _, kind := range kinds {
		if n := j.take(kind.key); n != nil && !j.mentioned(kind.key) {
			c.warn(j.key(kind.key), j.path, "%s has no effect, as in Promtail: the job reads from something else", kind.key)
		}
	}
	j.accept("pipeline_stages", "relabel_configs", "encoding", "decompression")
	if j.has("entry_parser") {
		c.fail(j.key("entry_parser"), j.path, "entry_parser no longer exists in Promtail: begin pipeline_stages with - docker: {} or - cri: {}")
		j.accept("entry_parser")
	}
	j.rest("docker_sd_configs", "file_sd_configs", "job_name", "journal", "loki_push_api", "pipeline_stages", "relabel_configs", "static_configs", "syslog")
}

// mentioned reports whether a name was reported or used.
func (f *fields) mentioned(name string) bool { return slices.Contains(f.done, name) }

// kind is how a job's source is made, unless it finds files.
func (c *converter) kind(j *job) func(*converter, *job) {
	for _, kind := range kinds {
		if n := j.take(kind.key); n != nil {
			if !c.findsFiles(j) {
				j.done = append(j.done, kind.key)
			}
			return kind.make
		}
	}
	return nil
}

// files makes what finds and reads the files of a job.
func (c *converter) files(j *job) {
	targets := c.targets(j)
	if len(targets) == 0 {
		return
	}
	line := lineOf(j.node)
	found := targets[0]
	if len(targets) > 1 {
		found = "array.concat(" + strings.Join(targets, ", ") + ")"
		if strings.Contains(found, "\n") || len(found) > maxWidth {
			found = "array.concat(\n" + strings.Join(targets, ",\n") + ",\n)"
		}
	}
	if len(j.rules) > 0 || j.host > 0 {
		b, id := c.component(line, "discovery.relabel", j.label)
		b.set(line, "targets", found)
		for _, rule := range j.rules {
			b.append(rule)
		}
		if j.host > 0 {
			rule := b.add(j.host, "rule")
			rule.set(j.host, "source_labels", list([]string{"__host__"}))
			rule.set(j.host, "regex", `constants.hostname + "|"`)
			rule.set(j.host, "action", quote("keep"))
		}
		c.sources = append(c.sources, b)
		found = id + ".output"
	}
	match, id := c.component(line, "local.file_match", j.label)
	match.set(line, "path_targets", found)
	if c.syncPeriod != defaultSync {
		match.set(line, "sync_period", duration(c.syncPeriod))
	}
	c.sources = append(c.sources, match)
	b, _ := c.component(line, "loki.source.file", j.label)
	b.set(line, "targets", id+".targets")
	b.set(line, "forward_to", j.forwardTo)
	b.text(j.fields, "encoding", "encoding")
	b.set(line, "legacy_positions_file", quote(c.positions))
	c.decompression(j, b)
	if c.watch.min != c.watch.max || c.watch.line > 0 {
		w := newBlock(c.watch.line, "file_watch", "")
		w.set(c.watch.line, "min_poll_frequency", duration(c.watch.min))
		w.set(c.watch.line, "max_poll_frequency", duration(c.watch.max))
		b.append(w)
	}
	c.sources = append(c.sources, b)
}

func (c *converter) decompression(j *job, b *block) {
	d := j.section("decompression")
	if d.flag("enabled", false) {
		inner := b.add(lineOf(d.node), "decompression")
		inner.set(d.line("enabled"), "enabled", "true")
		inner.text(d, "format", "format")
		inner.time(d, "initial_delay", "initial_delay", 0)
	}
	d.accept("format", "initial_delay")
	d.rest("enabled", "format", "initial_delay")
}

// docker makes what reads Docker's containers.
func (c *converter) docker(j *job) {
	rules := ""
	for i, n := range j.list("docker_sd_configs") {
		f := c.fields(n, j.at("docker_sd_configs"))
		line := lineOf(n)
		b, id := c.component(line, "discovery.docker", j.label)
		host := f.text("host")
		if host == "" {
			c.fail(n, f.path, "host is missing")
		}
		b.set(f.line("host"), "host", quote(host))
		b.whole(f, "port", "port", 80)
		b.text(f, "host_networking_host", "host_networking_host")
		b.flag(f, "match_first_network", "match_first_network", true)
		b.time(f, "refresh_interval", "refresh_interval", 60e9)
		for _, filter := range f.list("filters") {
			one := c.fields(filter, f.at("filters"))
			inner := b.add(lineOf(filter), "filter")
			inner.text(one, "name", "name")
			inner.texts(one, "values", "values")
			one.rest("name", "values")
		}
		http := &block{}
		c.httpClient(f, http)
		b.body = append(b.body, http.body...)
		f.rest("filters", "host", "host_networking_host", "match_first_network", "port", "refresh_interval")
		c.sources = append(c.sources, b)
		if i == 0 {
			rules = c.relabel(j, "discovery.relabel")
		}
		source, _ := c.component(line, "loki.source.docker", j.label)
		source.set(f.line("host"), "host", quote(host))
		source.set(line, "targets", id+".targets")
		source.set(line, "forward_to", j.forwardTo)
		if rules != "" {
			source.set(line, "relabel_rules", rules)
		}
		source.set(line, "legacy_positions_file", quote(c.positions))
		if len(http.body) > 0 {
			client := source.add(line, "http_client_config")
			client.body = http.body
		}
		c.sources = append(c.sources, source)
	}
	if rules == "" {
		c.warn(j.key("docker_sd_configs"), j.path, "without relabel_configs the entries have no labels but those of the pipeline; Loki rejects entries without any")
	}
}

// windowsEvents does nothing, as Promtail on Linux.
func (c *converter) windowsEvents(j *job) {
	c.warn(j.key("windows_events"), j.path, "windows_events has no effect, as in Promtail on Linux")
}

// relabel makes a component of a job's rules that others take the rules of, and
// returns the reference; it is empty if there are none.
func (c *converter) relabel(j *job, name string) string {
	if len(j.rules) == 0 {
		return ""
	}
	line := j.line("relabel_configs")
	b, id := c.component(line, name, j.label)
	if name == "loki.relabel" {
		b.set(line, "forward_to", "[]")
	} else {
		b.set(line, "targets", "[]")
	}
	for _, rule := range j.rules {
		b.append(rule)
	}
	c.sources = append(c.sources, b)
	return id + ".rules"
}

// rules makes blocks of relabel_configs.
func (c *converter) rules(j *job) []*block {
	var out []*block
	for _, n := range j.list("relabel_configs") {
		f := c.fields(n, j.at("relabel_configs"))
		b := newBlock(lineOf(n), "rule", "")
		from := b.texts(f, "source_labels", "source_labels")
		b.exact(f, "separator", "separator")
		b.exact(f, "regex", "regex")
		b.whole(f, "modulus", "modulus", 0)
		to := b.exact(f, "target_label", "target_label")
		b.exact(f, "replacement", "replacement")
		action := strings.ToLower(f.plain("action"))
		if action != "" && action != "replace" {
			b.set(f.line("action"), "action", quote(action))
		}
		f.rest("action", "modulus", "regex", "replacement", "separator", "source_labels", "target_label")
		if slices.Contains(from, "__address__") || strings.HasPrefix(action, "label") {
			j.target = true
		}
		if to == "__host__" {
			j.host = f.line("target_label")
		}
		out = append(out, b)
	}
	return out
}

// wantsHost is the line at which a job sets the label __host__, or 0. Promtail
// reads a target only on the host of that name.
func (c *converter) wantsHost(j *job) int {
	for _, n := range j.list("static_configs") {
		for i := range n.Content {
			if n.Kind == yaml.MappingNode && i%2 == 1 {
				for _, key := range resolved(n.Content[i]).Content {
					if key.Value == "__host__" && n.Content[i-1].Value == "labels" {
						return key.Line
					}
				}
			}
		}
	}
	return j.host
}
