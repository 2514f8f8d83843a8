package remotewrite

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/httpclient"
)

func TestDefaultsAreAlloys(t *testing.T) {
	want := Config{
		Endpoints: []Endpoint{{
			URL: "http://vm", RemoteTimeout: 30 * time.Second, SendExemplars: true, ProtobufMessage: "prometheus.WriteRequest",
			Client: httpclient.Config{FollowRedirects: true},
			Queue: QueueConfig{Capacity: 10000, MaxShards: 50, MinShards: 1, MaxSamplesPerSend: 2000, BatchSendDeadline: 5 * time.Second,
				MinBackoff: 30 * time.Millisecond, MaxBackoff: 5 * time.Second, RetryOnHTTP429: true},
			Metadata: MetadataConfig{Send: true, SendInterval: time.Minute, MaxSamplesPerSend: 2000},
		}},
		WAL: WAL{TruncateFrequency: 2 * time.Hour, MinKeepaliveTime: 5 * time.Minute, MaxKeepaliveTime: 8 * time.Hour},
	}
	if diff := cmp.Diff(want, testConfig("http://vm"), cmp.AllowUnexported(QueueConfig{})); diff != "" {
		t.Errorf("defaults differ (-want +got):\n%s", diff)
	}
}

func TestDefaultsAreValid(t *testing.T) {
	c := testConfig("https://vm:8428/api/v1/write")
	e := &c.Endpoints[0]
	for _, v := range []interface{ Validate() error }{&c, e, &e.Queue, &e.Metadata, &c.WAL} {
		if err := v.Validate(); err != nil {
			t.Errorf("%T: %v", v, err)
		}
	}
}

func TestValidateSaysWhatIsWrong(t *testing.T) {
	endpoint := func(change func(*Endpoint)) error {
		e := testConfig("http://vm").Endpoints[0]
		change(&e)
		return e.Validate()
	}
	configured := func(change func(*Config)) error {
		c := testConfig("http://vm", "http://vm")
		change(&c)
		return c.Validate()
	}
	queueConfig := func(change func(*QueueConfig)) error {
		q := testConfig("http://vm").Endpoints[0].Queue
		change(&q)
		return q.Validate()
	}
	for want, err := range map[string]error{
		"use http://host:port/path":          endpoint(func(e *Endpoint) { e.URL = "127.0.0.1:8428" }),
		"url: it is not a valid URL":         endpoint(func(e *Endpoint) { e.URL = "http://u:secret@v m/%zz" }),
		"remote_timeout: it must be above 0": endpoint(func(e *Endpoint) { e.RemoteTimeout = 0 }),
		`protobuf_message: "x" is unknown`:   endpoint(func(e *Endpoint) { e.ProtobufMessage = "x" }),
		"is not a header name":               endpoint(func(e *Endpoint) { e.Headers = map[string]string{"a b": "c"} }),
		"at most one of sigv4": endpoint(func(e *Endpoint) {
			e.SigV4 = &SigV4{}
			e.Client.BasicAuth = &httpclient.BasicAuth{Username: "u"}
		}),
		"write_relabel_config 1 > action": endpoint(func(e *Endpoint) {
			e.WriteRelabel = []discovery.Rule{{Action: "nonsense"}}
		}),
		`"" is not a label name`:                           configured(func(c *Config) { c.ExternalLabels = map[string]string{"": "b"} }),
		"not valid UTF-8":                                  configured(func(c *Config) { c.ExternalLabels = map[string]string{"a": "\xff"} }),
		`endpoint 2 > name: another endpoint is named "x"`: configured(func(c *Config) { c.Endpoints[0].Name, c.Endpoints[1].Name = "x", "x" }),
		"min_backoff: it and max_backoff must":             queueConfig(func(q *QueueConfig) { q.MinBackoff = -1 }),
		"max_samples_per_send: it must":                    queueConfig(func(q *QueueConfig) { q.MaxSamplesPerSend = -1 }),
		"must not be negative":                             queueConfig(func(q *QueueConfig) { q.SampleAgeLimit = -1 }),
		"send_interval: it must be above":                  (&MetadataConfig{Send: true}).Validate(),
		"truncate_frequency: it must not":                  (&WAL{}).Validate(),
		"min_keepalive_time: it must be smaller":           (&WAL{TruncateFrequency: 1, MinKeepaliveTime: 1, MaxKeepaliveTime: 1}).Validate(),
		"access_key and secret_key must be set together":   (&SigV4{AccessKey: "a"}).Validate(),
		"exactly one of the blocks":                        (&AzureAD{Cloud: "AzurePublic"}).Validate(),
	} {
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret@") {
			t.Errorf("want an error that says %q, got %v", want, err)
		}
	}
}

func TestSettingsWithoutEffectCauseAWarning(t *testing.T) {
	warnings := func(c Config) map[string]bool {
		got := make(map[string]bool)
		if _, err := New(c, component.Options{Dir: t.TempDir(), Warn: func(name, _ string) { got[name] = true }}); err != nil {
			t.Fatal(err)
		}
		return got
	}
	c := testConfig("http://vm")
	if got := warnings(c); len(got) != 0 {
		t.Errorf("the defaults draw %v", got)
	}
	c.WAL = WAL{TruncateFrequency: 1, MinKeepaliveTime: 1, MaxKeepaliveTime: 2}
	q := &c.Endpoints[0].Queue
	q.Capacity, q.MaxShards, q.MinShards = 1, 1, 2
	c.Endpoints[0].Headers = map[string]string{"content-type": "x", "X-Scope-OrgID": "y"}
	want := map[string]bool{
		"wal/truncate_frequency": true, "wal/min_keepalive_time": true, "wal/max_keepalive_time": true,
		"endpoint[0]/queue_config/capacity": true, "endpoint[0]/queue_config/max_shards": true, "endpoint[0]/queue_config/min_shards": true,
		"endpoint[0]/headers": true,
	}
	if diff := cmp.Diff(want, warnings(c)); diff != "" {
		t.Errorf("warnings differ (-want +got):\n%s", diff)
	}
}

func TestSigningWithoutKeysCausesAWarning(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true") // else this may be an instance
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE", "AWS_REGION", "AWS_DEFAULT_REGION"} {
		t.Setenv(name, "")
	}
	keys := SigV4{Region: "eu-1", AccessKey: "a", SecretKey: "b"}
	for want, sigv4 := range map[string]SigV4{
		"":                          keys,
		"set region, or":            {AccessKey: "a", SecretKey: "b"},
		"credentials: no such file": {Region: "eu-1", Profile: "absent"},
		"METADATA_DISABLED is true": {Region: "eu-1", RoleARN: "arn:aws:iam::1:role/r"},
	} {
		got := ""
		c := testConfig("http://vm")
		c.Endpoints[0].SigV4 = &sigv4
		if _, err := New(c, component.Options{Dir: t.TempDir(), Warn: func(path, why string) { got += path + ": " + why }}); err != nil {
			t.Fatal(err)
		}
		if (got == "") != (want == "") || !strings.Contains(got, want) || want != "" && !strings.HasPrefix(got, "endpoint[0]/sigv4: ") {
			t.Errorf("%s: %q", want, got)
		}
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "a")
	c := testConfig("http://vm")
	c.Endpoints[0].SigV4 = &SigV4{Region: "eu-1"}
	c.warn(func(path, why string) { t.Errorf("%s: %s", path, why) })
}

func TestBatchFollowsTheSettings(t *testing.T) {
	e := testEndpoint(t, "http://vm", nil)
	if got := e.destination().Batch; got.MaxItems != 10_000 || got.MaxWait > time.Second {
		t.Errorf("by default: %+v", got)
	}
	e = testEndpoint(t, "http://vm", func(e *Endpoint) {
		e.Queue.MaxSamplesPerSend, e.Queue.BatchSendDeadline = 77, 9*time.Second
		e.Queue.MinBackoff, e.Queue.MaxBackoff, e.Queue.SampleAgeLimit = time.Second, time.Minute, time.Hour
	})
	d := e.destination()
	if d.Batch.MaxItems != 77 || d.Batch.MinItems != 77 || d.Batch.MaxWait != 9*time.Second {
		t.Errorf("as set: %+v", d.Batch)
	}
	if d.Backoff.Min != time.Second || d.Backoff.Max != time.Minute || d.MaxAge != time.Hour {
		t.Errorf("as set: %+v", d)
	}
}

func TestEndpointWithoutAHostIsSwitchedOff(t *testing.T) {
	warned := 0
	c, err := New(testConfig("", "http://vm"), component.Options{Dir: t.TempDir(), Warn: func(string, string) { warned++ }})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.endpoints) != 1 || warned != 1 {
		t.Errorf("%d endpoints and %d warnings, want 1 and 1", len(c.endpoints), warned)
	}
}
