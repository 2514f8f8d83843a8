package remote

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/aws"
	"collector/pkg/component"
	"collector/pkg/httpclient"
	"collector/pkg/mask"
)

//go:embed remote.s3.md
var s3Page string

func s3Definition() component.Definition {
	return component.Define("remote.s3", NewS3, component.Doc{
		Page:    s3Page,
		Exports: []component.Export{{Name: "content", Type: "string or secret", Note: "The object's content; a secret with `is_secret`."}},
	})
}

// S3Config configures remote.s3.
type S3Config struct {
	Path          string        `alloy:"path,attr"`
	PollFrequency time.Duration `alloy:"poll_frequency,attr,optional"`
	IsSecret      bool          `alloy:"is_secret,attr,optional"`
	Client        S3Client      `alloy:"client,block,optional"`
}

// S3Client is how the object is reached.
type S3Client struct {
	AccessKey     string           `alloy:"key,attr,optional"`
	Secret        component.Secret `alloy:"secret,attr,optional"`
	Endpoint      string           `alloy:"endpoint,attr,optional"`
	DisableSSL    bool             `alloy:"disable_ssl,attr,optional"`
	UsePathStyle  bool             `alloy:"use_path_style,attr,optional"`
	Region        string           `alloy:"region,attr,optional"`
	SigningRegion string           `alloy:"signing_region,attr,optional"`
}

// SetToDefault sets Alloy's defaults.
func (c *S3Config) SetToDefault() { *c = S3Config{PollFrequency: 10 * time.Minute} }

const (
	// minS3Poll is what each poll_frequency has to exceed.
	minS3Poll = 30 * time.Second
	s3Timeout = time.Minute
)

// Validate reports what cannot work.
func (c *S3Config) Validate() error {
	if _, _, err := c.object(); err != nil {
		return component.At("path", err)
	}
	if c.PollFrequency <= minS3Poll {
		return component.At("poll_frequency", fmt.Errorf("must be more than %s", minS3Poll))
	}
	return nil
}

// object is the bucket and the key of the object.
func (c *S3Config) object() (bucket, key string, err error) {
	rest, ok := strings.CutPrefix(c.Path, "s3://")
	bucket, key, _ = strings.Cut(rest, "/")
	if !ok || bucket == "" || key == "" {
		return "", "", errors.New("it is not the path of an object: use s3://bucket/key")
	}
	return bucket, key, nil
}

// Validate reports what cannot work.
func (c *S3Client) Validate() error {
	if (c.AccessKey == "") != (c.Secret == "") {
		return errors.New("key and secret must be set together, or neither of them")
	}
	if u, err := url.Parse(c.Endpoint); c.Endpoint != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		return component.At("endpoint", errors.New("it is not a valid URL: use https://host:port"))
	}
	return nil
}

// S3 is the component remote.s3: the content of an object in S3, or in storage that
// is compatible with it.
type S3 struct {
	*content
	url      *url.URL
	region   string // signed for
	client   *http.Client
	identity *aws.Identity
	errors   prometheus.Counter
	accessed prometheus.Gauge
}

// NewS3 makes a remote.s3. It fetches the object, unless the last content is on disk.
func NewS3(c S3Config, o component.Options) (*S3, error) {
	if err := errors.Join(c.Validate(), component.At("client", c.Client.Validate())); err != nil {
		return nil, err
	}
	o = o.WithDefaults()
	settings := httpclient.Config{ProxyFromEnvironment: true, TLS: &httpclient.TLS{InsecureSkipVerify: c.Client.DisableSSL}}
	client, err := settings.New(o.ID, o.UserAgent)
	if err != nil {
		return nil, component.At("client", err)
	}
	client.Timeout = s3Timeout
	identity, err := aws.New(aws.Config{Region: c.Client.Region, AccessKey: c.Client.AccessKey, SecretKey: c.Client.Secret}, &settings, o.UserAgent)
	if err != nil {
		return nil, err
	}
	s := &S3{
		client: client, identity: identity,
		errors:   prometheus.NewCounter(prometheus.CounterOpts{Name: "remote_s3_errors_total", Help: "Failed requests for the object."}),
		accessed: prometheus.NewGauge(prometheus.GaugeOpts{Name: "remote_s3_timestamp_last_accessed_unix_seconds", Help: "When the object was last read successfully."}),
	}
	region, err := identity.Region()
	if s.region = cmp.Or(c.Client.SigningRegion, region); c.Client.Endpoint != "" {
		s.region, err = cmp.Or(s.region, "us-east-1"), nil // which compatible storage accepts
	}
	if err != nil {
		return nil, component.At("client/region", component.Absent(err))
	}
	s.url = c.url(region)
	o.Metrics.MustRegister(s.errors, s.accessed)
	s.content, err = newContent(source{where: s.url.String(), key: s.url.String(), every: c.PollFrequency, secret: c.IsSecret, fetch: s.read}, o)
	if err != nil {
		return nil, component.At("path", err)
	}
	return s, nil
}

// url is where the object is: the bucket is the first part of the host, or of the path.
func (c *S3Config) url(region string) *url.URL {
	bucket, key, _ := c.object() // Validate has checked it
	u := &url.URL{Scheme: "https", Host: "s3." + region + ".amazonaws.com"}
	if strings.HasPrefix(region, "cn-") {
		u.Host += ".cn"
	}
	if c.Client.Endpoint != "" {
		u, _ = url.Parse(c.Client.Endpoint) // likewise
	}
	// A certificate for all buckets has none with a dot, and an address has no buckets
	// in front.
	if c.Client.UsePathStyle || strings.Contains(bucket, ".") || net.ParseIP(u.Hostname()) != nil {
		key = bucket + "/" + key
	} else {
		u.Host = bucket + "." + u.Host
	}
	base := strings.TrimSuffix(u.Path, "/") + "/"
	u.Path, u.RawPath = base+key, aws.Escape(base+key, true)
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u
}

// read reads the object, and counts how that went.
func (s *S3) read(ctx context.Context) (string, error) {
	text, err := s.get(ctx)
	if err != nil {
		s.errors.Inc()
		return "", fmt.Errorf("read the object: %w", err)
	}
	s.accessed.SetToCurrentTime()
	return text, nil
}

func (s *S3) get(ctx context.Context) (string, error) {
	// An idle connection would outlive a component that is made and never run.
	defer s.client.CloseIdleConnections()
	keys, err := s.identity.Keys(ctx)
	if err != nil {
		return "", err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url.String(), nil)
	if err != nil {
		return "", err
	}
	aws.Sign(r, nil, aws.Request{Service: "s3", Region: s.region, Plain: true}, keys, time.Now())
	answer, err := s.client.Do(r)
	if err != nil {
		return "", errors.New(mask.WithoutPasswords(err.Error()))
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxContent+1))
	switch {
	case err != nil:
		return "", err
	case answer.StatusCode != http.StatusOK:
		return "", s.refusal(answer, text)
	case len(text) > maxContent:
		return "", fmt.Errorf("it is larger than %d MiB", maxContent>>20)
	}
	return string(text), nil
}

// refusal is what S3 says of a request that it does not fulfil.
func (s *S3) refusal(answer *http.Response, text []byte) error {
	var said struct{ Code, Message string }
	if xml.Unmarshal(text, &said) != nil || said.Code == "" {
		return fmt.Errorf("the server answers %s", answer.Status)
	}
	err := fmt.Errorf("the server answers %s: %s: %s", answer.Status, httpclient.OneLine(said.Code), httpclient.OneLine(said.Message))
	if region := answer.Header.Get("X-Amz-Bucket-Region"); region != "" && region != s.region {
		err = fmt.Errorf("%w: the bucket is in the region %s: set client > region", err, httpclient.OneLine(region))
	}
	return err
}
