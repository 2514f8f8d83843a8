package elasticsearch

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"collector/pkg/component"
	"collector/pkg/httpclient"
)

// Config is the configuration of prometheus.exporter.elasticsearch.
type Config struct {
	Address             string                `alloy:"address,attr,optional"`
	Timeout             time.Duration         `alloy:"timeout,attr,optional"`
	AllNodes            bool                  `alloy:"all,attr,optional"`
	Node                string                `alloy:"node,attr,optional"`
	Indices             bool                  `alloy:"indices,attr,optional"`
	IndicesSettings     bool                  `alloy:"indices_settings,attr,optional"`
	ClusterSettings     bool                  `alloy:"cluster_settings,attr,optional"`
	Shards              bool                  `alloy:"shards,attr,optional"`
	Aliases             bool                  `alloy:"aliases,attr,optional"`
	Snapshots           bool                  `alloy:"snapshots,attr,optional"`
	ClusterInfoInterval time.Duration         `alloy:"clusterinfo_interval,attr,optional"`
	CA                  string                `alloy:"ca,attr,optional,file"`
	ClientPrivateKey    string                `alloy:"client_private_key,attr,optional,file"`
	ClientCert          string                `alloy:"client_cert,attr,optional,file"`
	InsecureSkipVerify  bool                  `alloy:"ssl_skip_verify,attr,optional"`
	DataStreams         bool                  `alloy:"data_stream,attr,optional"`
	SLM                 bool                  `alloy:"slm,attr,optional"`
	BasicAuth           *httpclient.BasicAuth `alloy:"basic_auth,block,optional"`
}

// SetToDefault sets Alloy's defaults.
func (c *Config) SetToDefault() {
	*c = Config{Address: "http://localhost:9200", Timeout: 5 * time.Second, Node: "_local", ClusterInfoInterval: 5 * time.Minute, Aliases: true}
}

// Validate reports what cannot work.
func (c *Config) Validate() error {
	_, err := c.url()
	if c.Timeout <= 0 {
		err = errors.Join(err, component.At("timeout", errors.New("it must be above 0")))
	}
	if (c.ClientCert == "") != (c.ClientPrivateKey == "") {
		err = errors.Join(err, component.At("client_cert", errors.New("it and client_private_key must be set together, or neither of them")))
	}
	return err
}

func (c *Config) url() (*url.URL, error) {
	u, err := url.Parse(c.Address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" { // the error would quote a password
		return nil, component.At("address", errors.New("it is not a valid URL; for example: http://elasticsearch:9200"))
	}
	return u, nil
}

// maxAnswer is how large an answer may be.
const maxAnswer = 64 << 20

// client makes what asks the server.
func (c *Config) client(o component.Options) (*http.Client, error) {
	for argument, file := range map[string]string{"ca": c.CA, "client_cert": c.ClientCert, "client_private_key": c.ClientPrivateKey} {
		if file == "" {
			continue
		}
		if f, err := os.Open(file); err != nil {
			return nil, component.At(argument, err)
		} else {
			f.Close()
		}
	}
	settings := httpclient.Config{
		BasicAuth: c.BasicAuth, FollowRedirects: true, ProxyFromEnvironment: true,
		TLS: &httpclient.TLS{CAFile: c.CA, CertFile: c.ClientCert, KeyFile: c.ClientPrivateKey, InsecureSkipVerify: c.InsecureSkipVerify},
	}
	client, err := settings.New(o.ID, o.UserAgent)
	if err != nil {
		return nil, err
	}
	client.Timeout, client.Transport = c.Timeout, bounded{client.Transport}
	return client, nil
}

// bounded is a transport whose answers have a bound: the library reads them whole.
type bounded struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		answer.Body = limited{io.LimitReader(answer.Body, maxAnswer), answer.Body}
	}
	return answer, err
}

// CloseIdleConnections is what http.Client looks for.
func (b bounded) CloseIdleConnections() {
	if c, ok := b.RoundTripper.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

type limited struct {
	io.Reader
	io.Closer
}
