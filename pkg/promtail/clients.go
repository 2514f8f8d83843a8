package promtail

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// client is one of Promtail's clients: the endpoint that was made of it, and the
// labels that it alone adds.
type client struct {
	name     string
	line     int
	endpoint *block
	labels   []entry
}

// readClients makes writers of the clients. Those that add the same labels are
// endpoints of one writer, so that each entry is in the queue once.
func (c *converter) readClients(f *fields) {
	var clients []client
	for _, n := range f.list("clients") {
		clients = append(clients, c.readClient(c.fields(n, "clients")))
	}
	// The section client is older, and holds what the flags say.
	own := f.section("client")
	if own.plain("url") != "" {
		clients = append(clients, c.readClient(own))
	}
	for i := range clients {
		clients[i].labels = merged(own.entries("external_labels"), clients[i].labels)
	}
	switch {
	case c.options.DryRun:
		b, id := c.component(0, "loki.echo", "dry_run")
		c.writers, c.receivers = append(c.writers, b), []string{id + ".receiver"}
		c.limit()
		return
	case len(clients) == 0:
		c.fail(f.key("clients"), "", "there is no client: set clients to where the entries are sent, such as - url: http://loki:3100/loki/api/v1/push, or the flag -client.url")
		return
	}
	byLabels := map[string]*block{}
	for _, client := range clients {
		key := object(client.labels)
		b := byLabels[key]
		if b == nil {
			var id string
			b, id = c.component(client.line, "loki.write", cmp.Or(client.name, "default"))
			byLabels[key] = b
			c.writers, c.receivers = append(c.writers, b), append(c.receivers, id+".receiver")
		}
		b.append(client.endpoint)
	}
	for _, client := range clients {
		b := byLabels[object(client.labels)]
		if b == nil {
			continue
		}
		delete(byLabels, object(client.labels))
		if len(client.labels) > 0 {
			b.set(client.line, "external_labels", object(client.labels))
		}
		if c.maxStreams > 0 {
			b.set(client.line, "max_streams", strconv.Itoa(c.maxStreams))
		}
	}
	c.limit()
}

// limit puts the limits before the writers.
func (c *converter) limit() {
	if c.limits != nil {
		forward := item{line: c.limits.line, name: "forward_to", expr: references(c.receivers)}
		c.limits.body = slices.Insert(c.limits.body, 0, forward)
		c.receivers = []string{"loki.process.limits.receiver"}
	}
}

// merged is a with what b adds or overrides.
func merged(a, b []entry) []entry {
	values := map[string]string{}
	for _, e := range slices.Concat(a, b) {
		values[e.name] = e.value
	}
	var out []entry
	for _, name := range slices.Sorted(maps.Keys(values)) {
		out = append(out, entry{name, values[name]})
	}
	return out
}

// readClient makes an endpoint of a client.
func (c *converter) readClient(f *fields) client {
	b := newBlock(lineOf(f.node), "endpoint", "")
	out := client{line: lineOf(f.node), endpoint: b}
	out.name = b.text(f, "name", "name")
	address := f.text("url")
	const hint = "; set -config.expand-env to replace ${NAME} by environment variables"
	unexpanded := strings.Contains(address, "${")
	switch _, err := url.Parse(c.resolve(address)); {
	case address == "":
		c.fail(f.node, f.path, "url is missing: set it to Loki's push API, such as http://loki:3100/loki/api/v1/push")
	case err != nil && unexpanded:
		c.fail(f.key("url"), f.path, "url is not a valid URL%s", hint)
	case err != nil:
		c.fail(f.key("url"), f.path, "url is not a valid URL, such as http://loki:3100/loki/api/v1/push")
	case unexpanded:
		c.warn(f.key("url"), f.path, "url has ${ in it%s", hint)
	}
	b.set(f.line("url"), "url", quote(address))
	b.text(f, "tenant_id", "tenant_id")
	b.time(f, "batchwait", "batch_wait", time.Second)
	b.size(f, "batchsize", "batch_size")
	b.time(f, "timeout", "remote_timeout", 10*time.Second)
	b.pairs(f, "headers", "headers")
	backoff := f.section("backoff_config")
	b.time(backoff, "min_period", "min_backoff_period", 500*time.Millisecond)
	b.time(backoff, "max_period", "max_backoff_period", 5*time.Minute)
	backoff.accept("max_retries") // entries are retried for as long as the queue holds them
	backoff.rest("max_period", "max_retries", "min_period")
	if f.flag("drop_rate_limited_batches", false) {
		b.set(f.line("drop_rate_limited_batches"), "retry_on_http_429", "false")
	}
	f.ignore("Promtail removed it, as Loki accepts entries that are out of order", "stream_lag_labels")
	c.httpClient(f, b)
	out.labels = f.entries("external_labels")
	f.rest("backoff_config", "basic_auth", "batchsize", "batchwait", "external_labels", "headers", "tenant_id", "timeout", "tls_config", "url")
	return out
}

// httpClient adds f's settings of an HTTP client to b, which f has in Prometheus's form.
func (c *converter) httpClient(f *fields, b *block) {
	b.text(f, "bearer_token", "bearer_token")
	b.text(f, "bearer_token_file", "bearer_token_file")
	b.text(f, "proxy_url", "proxy_url")
	b.text(f, "no_proxy", "no_proxy")
	b.flag(f, "proxy_from_environment", "proxy_from_environment", false)
	b.flag(f, "follow_redirects", "follow_redirects", true)
	b.flag(f, "enable_http2", "enable_http2", true)
	c.headers(f, b, "proxy_connect_header")
	c.httpHeaders(f, b)
	if auth := f.section("basic_auth"); auth.node != nil {
		inner := b.add(lineOf(auth.node), "basic_auth")
		inner.text(auth, "username", "username")
		if file := auth.text("username_file"); file != "" {
			c.unsupported(auth.key("username_file"), auth.path, "username_file is not read: set username")
		}
		inner.text(auth, "password", "password")
		inner.text(auth, "password_file", "password_file")
		auth.rest("password", "password_file", "username")
	}
	if auth := f.section("authorization"); auth.node != nil {
		inner := b.add(lineOf(auth.node), "authorization")
		inner.text(auth, "type", "type")
		inner.text(auth, "credentials", "credentials")
		inner.text(auth, "credentials_file", "credentials_file")
		auth.rest("credentials", "credentials_file", "type")
	}
	if auth := f.section("oauth2"); auth.node != nil {
		inner := b.add(lineOf(auth.node), "oauth2")
		for _, name := range []string{"client_id", "client_secret", "client_secret_file", "token_url", "proxy_url", "no_proxy"} {
			inner.text(auth, name, name)
		}
		inner.texts(auth, "scopes", "scopes")
		inner.pairs(auth, "endpoint_params", "endpoint_params")
		inner.flag(auth, "proxy_from_environment", "proxy_from_environment", false)
		c.headers(auth, inner, "proxy_connect_header")
		c.tls(auth, inner)
		auth.rest("client_id", "client_secret", "client_secret_file", "endpoint_params", "scopes", "tls_config", "token_url")
	}
	c.tls(f, b)
}

// tls adds the block tls_config.
func (c *converter) tls(f *fields, b *block) {
	t := f.section("tls_config")
	if t.node == nil {
		return
	}
	inner := newBlock(lineOf(t.node), "tls_config", "")
	inner.text(t, "ca", "ca_pem")
	inner.text(t, "ca_file", "ca_file")
	inner.text(t, "cert", "cert_pem")
	inner.text(t, "cert_file", "cert_file")
	inner.text(t, "key", "key_pem")
	inner.text(t, "key_file", "key_file")
	inner.text(t, "server_name", "server_name")
	inner.text(t, "min_version", "min_version")
	inner.flag(t, "insecure_skip_verify", "insecure_skip_verify", false)
	t.ignore("the default is at least as strict", "max_version")
	t.rest("ca_file", "cert_file", "insecure_skip_verify", "key_file", "min_version", "server_name")
	if len(inner.body) > 0 {
		b.append(inner)
	}
}

// headers adds an object of lists of texts.
func (c *converter) headers(f *fields, b *block, name string) {
	h := f.section(name)
	var parts []string
	for i := range h.pairs {
		key := h.pairs[i].key.Value
		if !plainName(key) {
			c.fail(h.pairs[i].key, h.path, "%q has characters that a name cannot have", key)
		}
		parts = append(parts, strconv.Quote(key)+" = "+list(h.texts(key)))
	}
	if parts != nil {
		b.set(f.line(name), name, enclose("{", parts, "}"))
	}
}

// httpHeaders adds http_headers, each of which has values, secrets or files.
func (c *converter) httpHeaders(f *fields, b *block) {
	h := f.section("http_headers")
	var parts []string
	for i := range h.pairs {
		name := h.pairs[i].key.Value
		if !plainName(name) {
			c.fail(h.pairs[i].key, h.path, "%q has characters that a name cannot have", name)
		}
		one := h.section(name)
		values := slices.Concat(one.texts("values"), one.texts("secrets"))
		if files := one.texts("files"); files != nil {
			c.unsupported(one.key("files"), one.path, "files of headers are not read: set the values of %s", name)
		}
		one.rest("secrets", "values")
		parts = append(parts, strconv.Quote(name)+" = "+list(values))
	}
	if parts != nil {
		b.set(f.line("http_headers"), "http_headers", enclose("{", parts, "}"))
	}
}

// setting is a value of the command line: where it belongs in the file.
type setting struct {
	flag  string
	path  []string
	value *yaml.Node
}

// Settings are what the command line says besides the file.
type Settings []setting

// apply writes the settings into the mapping root, over what it has.
func (s Settings) apply(root *yaml.Node) {
	for _, one := range s {
		n := root
		for i, name := range one.path {
			value := one.value
			if i < len(one.path)-1 {
				value = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
			}
			n = put(n, name, value, i == len(one.path)-1, "-"+strings.TrimLeft(one.flag, "-"))
		}
	}
}

// put gives the mapping n a value under a name, unless it has one already that has to
// stay.
func put(n *yaml.Node, name string, value *yaml.Node, over bool, flag string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value != name {
			continue
		}
		old := resolved(n.Content[i+1])
		if !over && old.Kind == yaml.MappingNode {
			return old
		}
		n.Content[i+1] = value
		if over {
			n.Content[i] = &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: name, HeadComment: flag}
		}
		return value
	}
	key := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: name, HeadComment: flag}
	n.Content = append(n.Content, key, value)
	return value
}
