package consul

import (
	"errors"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"collector/pkg/component"
	"collector/pkg/httpclient"
)

// Config is the configuration of prometheus.exporter.consul.
type Config struct {
	Server             string        `alloy:"server,attr,optional"`
	CAFile             string        `alloy:"ca_file,attr,optional,file"`
	CertFile           string        `alloy:"cert_file,attr,optional,file"`
	KeyFile            string        `alloy:"key_file,attr,optional,file"`
	ServerName         string        `alloy:"server_name,attr,optional"`
	Timeout            time.Duration `alloy:"timeout,attr,optional"`
	InsecureSkipVerify bool          `alloy:"insecure_skip_verify,attr,optional"`
	RequestLimit       int           `alloy:"concurrent_request_limit,attr,optional"`
	AllowStale         bool          `alloy:"allow_stale,attr,optional"`
	RequireConsistent  bool          `alloy:"require_consistent,attr,optional"`
	KVPrefix           string        `alloy:"kv_prefix,attr,optional"`
	KVFilter           string        `alloy:"kv_filter,attr,optional"`
	HealthSummary      bool          `alloy:"generate_health_summary,attr,optional"`
}

// SetToDefault sets Alloy's defaults.
func (c *Config) SetToDefault() {
	*c = Config{Server: "http://localhost:8500", Timeout: 500 * time.Millisecond, AllowStale: true, KVFilter: ".*", HealthSummary: true}
}

// url is the server's.
func (c *Config) url() (*url.URL, error) {
	text := c.Server
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" { // the error would quote a password
		return nil, errors.New("it is not a valid URL; for example: http://consul:8500")
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host, User: u.User, Path: "/"}, nil
}

// client asks the server.
func (c *Config) client() (*client, error) {
	u, err := c.url()
	if err != nil {
		return nil, component.At("server", err)
	}
	filter, err := regexp.Compile(c.KVFilter)
	if err != nil {
		return nil, component.At("kv_filter", err)
	}
	secure := httpclient.TLS{CAFile: c.CAFile, CertFile: c.CertFile, KeyFile: c.KeyFile, ServerName: c.ServerName, InsecureSkipVerify: c.InsecureSkipVerify}
	config, err := secure.Client()
	if err != nil {
		return nil, err
	}
	made := &client{
		base: u, filter: filter, prefix: strings.TrimPrefix(c.KVPrefix, "/"), summary: c.HealthSummary, query: url.Values{}, token: os.Getenv("CONSUL_HTTP_TOKEN"),
		http: &http.Client{
			Timeout: c.Timeout, CheckRedirect: httpclient.FollowOwn, // another host would get the token
			Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: config, IdleConnTimeout: 90 * time.Second},
		},
	}
	limit := c.RequestLimit
	if limit <= 0 {
		limit = atOnce
	}
	made.limit = make(chan struct{}, limit)
	switch {
	case c.RequireConsistent: // both together are rejected by Consul
		made.query.Set("consistent", "")
	case c.AllowStale:
		made.query.Set("stale", "")
	}
	return made, nil
}

// atOnce is how many services are asked for at once by default.
const atOnce = 16
