package promtail

import (
	"slices"
	"strings"
	"time"
)

// finders are the ways to find files beside static_configs, and how the targets of
// one entry are made.
var finders = []struct {
	key  string
	make func(c *converter, j *job, f *fields) *block
}{
	{"file_sd_configs", (*converter).fileTargets},
	{"dns_sd_configs", (*converter).dnsTargets},
	{"consul_sd_configs", (*converter).consulTargets},
}

// discoveries are the ways to find files that are not there, and what to do instead.
var discoveries = map[string]string{
	"azure_sd_configs": "", "consulagent_sd_configs": "", "digitalocean_sd_configs": "",
	"dockerswarm_sd_configs": "", "ec2_sd_configs": "", "gce_sd_configs": "", "marathon_sd_configs": "", "nerve_sd_configs": "",
	"openstack_sd_configs": "", "serverset_sd_configs": "", "triton_sd_configs": "",
	"kubernetes_sd_configs": "; on a node, static_configs with the path /var/log/pods/*/*/*.log find the same files",
}

// findsFiles reports whether a job has static_configs or another discovery of
// files.
func (c *converter) findsFiles(j *job) bool {
	if len(j.list("static_configs")) > 0 {
		return true
	}
	for _, f := range finders {
		if len(j.list(f.key)) > 0 {
			return true
		}
	}
	return slices.ContainsFunc(j.pairs, func(p pair) bool {
		_, ok := discoveries[p.key.Value]
		return ok
	})
}

// targets are expressions, each of a list of targets.
func (c *converter) targets(j *job) []string {
	var out []string
	if static := c.static(j); static != "" {
		out = append(out, static)
	}
	for _, finder := range finders {
		for _, n := range j.list(finder.key) {
			b := finder.make(c, j, c.fields(n, j.at(finder.key)))
			c.sources = append(c.sources, b)
			out = append(out, b.name+"."+b.label+".targets")
		}
	}
	for i := range j.pairs {
		name := j.pairs[i].key.Value
		if more, ok := discoveries[name]; ok {
			j.take(name)
			c.unsupported(j.pairs[i].key, j.path, "%s is not supported%s", name, more)
		}
	}
	return out
}

func (c *converter) fileTargets(j *job, f *fields) *block {
	b, _ := c.component(lineOf(f.node), "discovery.file", j.label)
	b.texts(f, "files", "files")
	b.time(f, "refresh_interval", "refresh_interval", 5*time.Minute)
	f.rest("files", "refresh_interval")
	return b
}

func (c *converter) dnsTargets(j *job, f *fields) *block {
	b, _ := c.component(lineOf(f.node), "discovery.dns", j.label)
	b.texts(f, "names", "names")
	b.time(f, "refresh_interval", "refresh_interval", 30*time.Second)
	b.text(f, "type", "type")
	b.whole(f, "port", "port", 0)
	f.rest("names", "port", "refresh_interval", "type")
	return b
}

func (c *converter) consulTargets(j *job, f *fields) *block {
	b, _ := c.component(lineOf(f.node), "discovery.consul", j.label)
	for _, name := range []string{"server", "token", "datacenter", "namespace", "partition", "scheme", "username", "password", "tag_separator"} {
		b.text(f, name, name)
	}
	b.flag(f, "allow_stale", "allow_stale", true)
	b.texts(f, "services", "services")
	b.texts(f, "tags", "tags")
	b.pairs(f, "node_meta", "node_meta")
	b.time(f, "refresh_interval", "refresh_interval", 30*time.Second)
	for _, name := range []string{"filter", "health_filter", "path_prefix"} {
		if f.take(name) != nil {
			c.unsupported(f.key(name), f.path, "%s is not supported", name)
		}
	}
	c.httpClient(f, b)
	f.rest("allow_stale", "datacenter", "node_meta", "partition", "refresh_interval", "server", "services", "tags", "token")
	return b
}

// static is a list of the targets of static_configs, or nothing.
func (c *converter) static(j *job) string {
	var targets []string
	for _, n := range j.list("static_configs") {
		f := c.fields(n, j.at("static_configs"))
		addresses := f.texts("targets")
		labels := f.entries("labels")
		f.rest("labels", "targets")
		hasPath := slices.ContainsFunc(labels, func(e entry) bool { return e.name == "__path__" })
		if !hasPath && len(j.rules) == 0 {
			c.warn(f.node, f.path, "without the label __path__ nothing is read")
			continue
		}
		if len(addresses) == 0 {
			addresses = []string{"localhost"}
		}
		for _, address := range addresses {
			all := labels
			if j.target {
				all = merged([]entry{{"__address__", address}}, labels)
			}
			// Targets that differ in their address alone are one, as the address is
			// not sent.
			if t := object(all); !slices.Contains(targets, t) {
				targets = append(targets, t)
			}
		}
	}
	if len(targets) == 0 {
		return ""
	}
	if short := "[" + strings.Join(targets, ", ") + "]"; len(targets) == 1 || !strings.Contains(short, "\n") && len(short) <= maxWidth {
		return short
	}
	return "[\n" + strings.Join(targets, ",\n") + ",\n]"
}
