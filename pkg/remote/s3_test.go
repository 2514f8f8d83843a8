package remote

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"collector/pkg/aws"
	"collector/pkg/component"
)

// storage is storage like S3: it has one object, and checks signatures.
type storage struct {
	*httptest.Server
	region string
	text   string // "": there is none
}

func newStorage(t *testing.T, serve func(http.Handler) *httptest.Server) *storage {
	s := &storage{region: "us-east-1", text: "one"}
	s.Server = serve(s)
	t.Cleanup(s.Close)
	return s
}

// ServeHTTP implements http.Handler.
func (s *storage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	signed := r.Clone(r.Context())
	at, _ := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	signed.URL.Host, signed.Header = r.Host, http.Header{}
	aws.Sign(signed, nil, aws.Request{Service: "s3", Region: s.region, Plain: true}, aws.Keys{Access: "AK", Secret: "hunter2"}, at)
	fails := func(status int, code string) {
		w.WriteHeader(status)
		fmt.Fprintf(w, `<?xml version="1.0"?><Error><Code>%s</Code><Message>no</Message></Error>`, code)
	}
	switch {
	case signed.Header.Get("Authorization") != r.Header.Get("Authorization"):
		w.Header().Set("X-Amz-Bucket-Region", s.region)
		fails(http.StatusForbidden, "SignatureDoesNotMatch")
	case r.URL.EscapedPath() != "/bucket/a%20b/c%2Bd" || s.text == "":
		fails(http.StatusNotFound, "NoSuchKey")
	default:
		fmt.Fprint(w, s.text)
	}
}

func (s *storage) config() S3Config {
	var c S3Config
	c.SetToDefault()
	c.Path = "s3://bucket/a b/c+d"
	c.Client = S3Client{Endpoint: s.URL, AccessKey: "AK", Secret: "hunter2"}
	return c
}

func TestTheContentIsTheObject(t *testing.T) {
	s := newStorage(t, httptest.NewServer)
	registry := prometheus.NewRegistry()
	o := component.Options{Metrics: registry, Dir: filepath.Join(t.TempDir(), "remote.s3.x")}
	c := s.config()
	o3, err := NewS3(c, o)
	if err != nil {
		t.Fatal(err)
	}
	if o3.every != c.PollFrequency {
		t.Errorf("it is read every %v", o3.every)
	}
	is := func(want any) {
		t.Helper()
		if got := o3.Exports()["content"]; got != want {
			t.Errorf("the content is %v, want %v", got, want)
		}
	}
	is("one")
	s.text = "two\n"
	o3.look(t.Context())
	is("two\n")
	run(t, o3)()
	s.text = ""
	o3.look(t.Context())
	is("two\n")
	if err := o3.Health(); err == nil || !strings.Contains(err.Error(), "404 Not Found: NoSuchKey: no") || testutil.ToFloat64(o3.errors) != 1 || testutil.ToFloat64(o3.accessed) == 0 {
		t.Errorf("health %v, %v errors", err, testutil.ToFloat64(o3.errors))
	}
	o.Metrics = nil
	if o3, err = NewS3(c, o); err != nil {
		t.Fatalf("with the last content on disk: %v", err)
	}
	is("two\n")
	c.IsSecret = true
	if _, err = NewS3(c, o); !component.Lacks(err) || !strings.Contains(err.Error(), "path: read the object") {
		t.Errorf("a secret is kept on disk: %v", err)
	}
	s.text = "pw"
	if o3, err = NewS3(c, o); err != nil {
		t.Fatal(err)
	}
	is(component.Secret("pw"))
	s.text = strings.Repeat("x", maxContent+1)
	o3.look(t.Context())
	if err := o3.Health(); err == nil || !strings.Contains(err.Error(), "larger than 16 MiB") {
		t.Errorf("health %v", err)
	}
}

func TestRequestsAreSignedForTheRegion(t *testing.T) {
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_CONFIG_FILE"} {
		t.Setenv(name, "")
	}
	t.Setenv("HOME", t.TempDir())
	for region, client := range map[string]S3Client{"eu-1": {Region: "eu-1"}, "eu-2": {Region: "eu-1", SigningRegion: "eu-2"}, "us-east-1": {}} {
		s := newStorage(t, httptest.NewServer)
		s.region = region
		c := s.config()
		c.Client.Region, c.Client.SigningRegion = client.Region, client.SigningRegion
		if _, err := NewS3(c, component.Options{}); err != nil {
			t.Errorf("%s: %v", region, err)
		}
		s.region = "elsewhere"
		if _, err := NewS3(c, component.Options{}); err == nil || !strings.Contains(err.Error(), "the bucket is in the region elsewhere: set client > region") {
			t.Errorf("%s: %v", region, err)
		}
	}
	c := S3Config{Path: "s3://b/k", PollFrequency: time.Hour, Client: S3Client{AccessKey: "a", Secret: "hunter2"}}
	if _, err := NewS3(c, component.Options{}); err == nil || !component.Lacks(err) || !strings.Contains(err.Error(), "client > region: find the AWS region") {
		t.Errorf("without a region: %v", err)
	}
}

func TestKeysOfTheEnvironmentAreUsed(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "AK")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
	t.Setenv("AWS_SESSION_TOKEN", "")
	s := newStorage(t, httptest.NewServer)
	c := s.config()
	c.Client.AccessKey, c.Client.Secret = "", ""
	if _, err := NewS3(c, component.Options{}); err != nil {
		t.Error(err)
	}
	c.Client.AccessKey, c.Client.Secret = "AK", "another"
	if _, err := NewS3(c, component.Options{}); err == nil || !strings.Contains(err.Error(), "SignatureDoesNotMatch") || strings.Contains(err.Error(), "another") {
		t.Error(err)
	}
}

// quietTLS starts a server that does not log clients that distrust it.
func quietTLS(h http.Handler) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	return s
}

func TestDisableSSLAcceptsAnyCertificate(t *testing.T) {
	s := newStorage(t, quietTLS)
	c := s.config()
	if _, err := NewS3(c, component.Options{}); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Error(err)
	}
	c.Client.DisableSSL = true
	if _, err := NewS3(c, component.Options{}); err != nil {
		t.Error(err)
	}
}

func TestTheURLOfAnObject(t *testing.T) {
	for want, c := range map[string]S3Config{
		"https://b.s3.eu-1.amazonaws.com/k/l":    {Path: "s3://b/k/l"},
		"https://s3.eu-1.amazonaws.com/b/k":      {Path: "s3://b/k", Client: S3Client{UsePathStyle: true}},
		"https://s3.eu-1.amazonaws.com/b.c/k":    {Path: "s3://b.c/k"},
		"http://b.minio:9000/k":                  {Path: "s3://b/k", Client: S3Client{Endpoint: "http://minio:9000"}},
		"http://minio:9000/base/b/k%20%C3%A4%3F": {Path: "s3://b/k ä?", Client: S3Client{Endpoint: "http://minio:9000/base/", UsePathStyle: true}},
		"https://10.0.0.1/b/k":                   {Path: "s3://b/k", Client: S3Client{Endpoint: "https://me:pw@10.0.0.1?x=y"}},
	} {
		if got := c.url("eu-1").String(); got != want {
			t.Errorf("%+v: %s, want %s", c, got, want)
		}
	}
	if got := (&S3Config{Path: "s3://b/k"}).url("cn-north-1").Host; got != "b.s3.cn-north-1.amazonaws.com.cn" {
		t.Errorf("in China: %s", got)
	}
}

func TestAnObjectThatCannotBeReadIsRejected(t *testing.T) {
	for want, change := range map[string]func(*S3Config){
		"path: it is not the path":           func(c *S3Config) { c.Path = "bucket/key" },
		"path: it is not the":                func(c *S3Config) { c.Path = "s3://bucket" },
		"poll_frequency: must be more":       func(c *S3Config) { c.PollFrequency = minS3Poll },
		"client: key and secret":             func(c *S3Config) { c.Client.AccessKey = "" },
		"client > endpoint: it is not a val": func(c *S3Config) { c.Client.Endpoint = "minio:9000" },
	} {
		c := (&storage{Server: &httptest.Server{URL: "http://h"}}).config()
		change(&c)
		if _, err := NewS3(c, component.Options{}); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
