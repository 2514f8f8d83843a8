package vault

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"collector/pkg/aws"
	"collector/pkg/component"
	"collector/pkg/httpclient"
)

// server is a Vault: it gives secrets to those who have logged in.
type server struct {
	*httptest.Server

	mu       sync.Mutex
	answers  map[string]string // by method and path; guarded by mu, as all below
	token    string            // that may read
	failures int               // requests that fail from now on
	heard    []string          // method, path, namespace, body
}

func newServer(t *testing.T, serve func(http.Handler) *httptest.Server) *server {
	s := &server{token: "tok", answers: map[string]string{
		"GET /v1/secret/data/db": `{"lease_duration": 0, "data": {"data": {"password": "hunter2", "user": "me", "port": 5432}, "metadata": {"version": 3}}}`,
	}}
	s.Server = serve(s)
	t.Cleanup(s.Close)
	return s
}

// ServeHTTP implements http.Handler.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = append(s.heard, strings.Join([]string{r.Method, r.URL.EscapedPath(), r.Header.Get("X-Vault-Namespace"), string(body)}, " "))
	fails := func(status int, why string) {
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"errors": [%q]}`, why)
	}
	answer, ok := s.answers[r.Method+" "+r.URL.Path]
	login := strings.HasPrefix(r.URL.Path, "/v1/auth/") && !strings.HasPrefix(r.URL.Path, "/v1/auth/token/") || r.URL.Path == "/v1/sys/wrapping/unwrap"
	switch {
	case s.failures > 0:
		s.failures--
		fails(http.StatusServiceUnavailable, "Vault is sealed")
	case r.Header.Get("X-Vault-Request") != "true":
		fails(http.StatusBadRequest, "required header missing")
	case !login && r.Header.Get("X-Vault-Token") != s.token:
		fails(http.StatusForbidden, "permission denied: "+r.Header.Get("X-Vault-Token"))
	case !ok:
		fails(http.StatusNotFound, "no handler for route")
	default:
		io.WriteString(w, answer)
	}
}

func (s *server) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// asked is what was heard of requests that begin with text.
func (s *server) asked(text string) (heard []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.heard {
		if strings.HasPrefix(h, text) {
			heard = append(heard, h)
		}
	}
	return heard
}

func (s *server) config(auth Auth) Config {
	var c Config
	c.SetToDefault()
	c.Server, c.Path, c.Auth = s.URL, "secret/db", []Auth{auth}
	c.Client.MinRetryWait, c.Client.MaxRetryWait = time.Millisecond, time.Millisecond
	return c
}

func byToken() Auth { return Auth{Token: &Token{Token: "tok"}} }

func logIn(t *testing.T, c Config, o component.Options) *Vault {
	t.Helper()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	v, err := New(c, o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (v *Vault) is(t *testing.T, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	for name, value := range v.Exports()["data"].(map[string]any) {
		got[name] = string(value.(component.Secret))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the secret: %s", diff)
	}
}

func TestTheFieldsOfTheSecretAreExported(t *testing.T) {
	t.Setenv("VAULT_NAMESPACE", "of the environment")
	s := newServer(t, httptest.NewServer)
	want := map[string]string{"password": "hunter2", "user": "me"}
	c := s.config(byToken())
	v := logIn(t, c, component.Options{})
	v.is(t, want)
	c.Namespace = "team"
	logIn(t, c, component.Options{}).is(t, want)
	c.Path, c.Key = "a/b/", "deep/c d"
	s.answers["GET /v1/a/b/data/deep/c d"] = s.answers["GET /v1/secret/data/db"]
	logIn(t, c, component.Options{}).is(t, want)
	if got := strings.Join(s.asked("GET"), "|"); got != "GET /v1/secret/data/db of the environment |GET /v1/secret/data/db team |GET /v1/a/b/data/deep/c%20d team " {
		t.Errorf("heard %s", got)
	}
	if shown := fmt.Sprint(v.Exports(), v.Status()); strings.Contains(shown, "hunter2") {
		t.Errorf("it shows %s", shown)
	}
	if s := v.Status().(Status); s.Fields != 2 || s.LastRead.IsZero() || s.Error != "" {
		t.Errorf("status %+v", s)
	}
}

func TestAnEngineOfTheFirstVersionIsRead(t *testing.T) {
	s := newServer(t, httptest.NewServer)
	s.answers = map[string]string{"GET /v1/secret/db": `{"lease_duration": 3600, "data": {"password": "old"}}`}
	v := logIn(t, s.config(byToken()), component.Options{})
	v.is(t, map[string]string{"password": "old"})
	if left := time.Until(v.readAt); left < 50*time.Minute || left > time.Hour {
		t.Errorf("it is read again in %v", left)
	}
	c := s.config(byToken())
	c.RereadFrequency = time.Minute
	if left := time.Until(logIn(t, c, component.Options{}).readAt); left > time.Minute {
		t.Errorf("it is read again in %v", left)
	}
}

func TestTheSecretIsReadAgain(t *testing.T) {
	s := newServer(t, httptest.NewServer)
	c := s.config(byToken())
	c.RereadFrequency = time.Millisecond
	c.Client.MaxRetries = 0
	changed := make(chan struct{}, 100)
	v := logIn(t, c, component.Options{Changed: func() { changed <- struct{}{} }})
	v.pause = time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := v.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	defer func() { cancel(); running.Wait() }()
	await := func(ok func() bool) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("health %v", v.Health())
			}
		}
	}
	s.set(func() { s.answers["GET /v1/secret/data/db"] = `{"data": {"data": {"password": "new"}}}` })
	<-changed
	v.is(t, map[string]string{"password": "new"})
	s.set(func() { s.failures = 1 << 20 })
	await(func() bool { return v.Health() != nil })
	if err := v.Health(); !strings.Contains(err.Error(), "the last secret is kept: read the secret: secret/data/db: Vault answers 503 Service Unavailable: Vault is sealed") {
		t.Error(err)
	}
	v.is(t, map[string]string{"password": "new"})
	s.set(func() { s.failures = 0 })
	await(func() bool { return v.Health() == nil })
	if n := testutil.ToFloat64(v.metrics.reads); n < 3 {
		t.Errorf("%v reads are counted", n)
	}
}

func TestRequestsThatFailAreRepeated(t *testing.T) {
	s := newServer(t, httptest.NewServer)
	c := s.config(byToken())
	s.failures = 2
	logIn(t, c, component.Options{})
	s.failures = 3
	if _, err := New(c, component.Options{}); err == nil || !component.Lacks(err) || !strings.Contains(err.Error(), "server: read the secret: secret/data/db: Vault answers 503") {
		t.Error(err)
	}
	c.Client.MinRetryWait, c.Client.MaxRetryWait = time.Hour, time.Hour
	s.failures = 1
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := New(c, component.Options{Context: ctx}); err == nil { // it waits longer than the test does
		t.Error("it does not wait")
	}
	c.Client.MaxRetries, s.failures = 0, 1
	if _, err := New(c, component.Options{}); err == nil {
		t.Error("a request is repeated")
	}
	c.Client.Timeout = 20 * time.Millisecond
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(hanging.Close)
	c.Server = hanging.URL
	if _, err := New(c, component.Options{}); err == nil || !strings.Contains(err.Error(), "exceeded") {
		t.Error(err)
	}
	s.token = "another-token"
	c = s.config(Auth{Token: &Token{Token: "my-secret-token"}})
	if _, err := New(c, component.Options{}); err == nil || !strings.Contains(err.Error(), "403 Forbidden: permission denied") || strings.Contains(err.Error(), "my-secret-token") || len(s.asked("GET")) > 20 {
		t.Error(err)
	}
}

const granted = `{"auth": {"client_token": "tok", "lease_duration": 3600, "renewable": true}}`

// logsIn checks what a login sends.
func logsIn(t *testing.T, auth Auth, path string, want map[string]string, m func(*machine)) map[string]string {
	t.Helper()
	s := newServer(t, httptest.NewServer)
	s.answers["PUT /v1/"+path] = granted
	c := s.config(auth)
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	client, err := newClient(&c, component.Options{})
	if err != nil {
		t.Fatal(err)
	}
	of := newMachine(component.Options{})
	of.now = func() time.Time { return time.Date(2024, 2, 3, 4, 5, 6, 0, time.UTC) }
	if m != nil {
		m(&of)
	}
	token, err := auth.login(client, of, component.Options{})(t.Context())
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if token.Token != "tok" || token.Duration != 3600 || !token.Renewable {
		t.Errorf("%s: %+v", path, token)
	}
	heard := s.asked("PUT /v1/" + strings.ReplaceAll(path, " ", "%20"))
	if len(heard) != 1 {
		t.Fatalf("heard %q", s.heard)
	}
	got := map[string]string{}
	if err := json.Unmarshal([]byte(heard[0][strings.Index(heard[0], "{"):]), &got); err != nil {
		t.Fatal(err)
	}
	if want != nil {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
	}
	return got
}

func TestEachAuthBlockLogsIn(t *testing.T) {
	file := filepath.Join(t.TempDir(), "jwt")
	if err := os.WriteFile(file, []byte("a.b.c\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	logsIn(t, Auth{AppRole: &AppRole{RoleID: "r", Secret: "s", MountPath: "own/role/"}}, "auth/own/role/login", map[string]string{"role_id": "r", "secret_id": "s"}, nil)
	logsIn(t, Auth{UserPass: &UserPass{Username: "me too", Password: "p", MountPath: "userpass"}}, "auth/userpass/login/me too", map[string]string{"password": "p"}, nil)
	logsIn(t, Auth{LDAP: &LDAP{Username: "me", Password: "p", MountPath: "dir"}}, "auth/dir/login/me", map[string]string{"password": "p"}, nil)
	logsIn(t, Auth{Kubernetes: &Kubernetes{Role: "r", TokenFile: file, MountPath: "kubernetes"}}, "auth/kubernetes/login", map[string]string{"role": "r", "jwt": "a.b.c"}, nil)
	logsIn(t, Auth{Custom: &Custom{Path: "/auth/okta/login/me", Data: map[string]component.Secret{"password": "p"}}}, "auth/okta/login/me", map[string]string{"password": "p"}, nil)
}

func TestACustomLoginMayHaveANamespaceOfItsOwn(t *testing.T) {
	s := newServer(t, httptest.NewServer)
	s.answers["PUT /v1/auth/x/login"] = granted
	c := s.config(Auth{Custom: &Custom{Path: "auth/x/login", Data: map[string]component.Secret{}, Namespace: "admin"}})
	c.Namespace = "team"
	logIn(t, c, component.Options{})
	if got := strings.Join(s.heard, "|"); got != "PUT /v1/auth/x/login admin {}|GET /v1/secret/data/db team " {
		t.Errorf("heard %s", got)
	}
}

func TestAWrappingTokenIsUsedOnce(t *testing.T) {
	s := newServer(t, httptest.NewServer)
	s.answers["PUT /v1/sys/wrapping/unwrap"] = `{"data": {"secret_id": "inner"}}`
	s.answers["PUT /v1/auth/approle/login"] = granted
	c := s.config(Auth{AppRole: &AppRole{RoleID: "r", Secret: "wrapping", WrappingToken: true, MountPath: "approle"}})
	if _, err := New(c, component.Options{CheckOnly: true}); !component.Lacks(err) || len(s.heard) != 0 {
		t.Errorf("a check: %v, %q", err, s.heard)
	}
	v := logIn(t, c, component.Options{})
	if err := v.authenticate(t.Context()); err != nil {
		t.Error(err)
	}
	if a, b := s.asked("PUT /v1/sys"), s.asked("PUT /v1/auth"); len(a) != 1 || len(b) != 2 || !strings.Contains(b[1], `"secret_id":"inner"`) {
		t.Errorf("heard %q", s.heard)
	}
}

// metadata is a service of the machine, which answers paths with their queries.
func metadata(t *testing.T, header, value string, answers map[string]string) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, ok := answers[r.Method+" "+r.URL.RequestURI()]
		if !ok || header != "" && r.Header.Get(header) != value && r.Header.Get("Authorization") == "" {
			t.Errorf("asked for %s with %v", r.URL, r.Header)
			http.NotFound(w, r)
			return
		}
		io.WriteString(w, text)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestAnAzureMachineLogsIn(t *testing.T) {
	url := metadata(t, "Metadata", "true", map[string]string{
		"GET /metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fown%2F": `{"access_token": "jwt"}`,
		"GET /metadata/instance?api-version=2021-12-13":                                            `{"compute": {"name": "vm", "resourceGroupName": "rg", "subscriptionId": "sub", "vmScaleSetName": "set"}}`,
	})
	logsIn(t, Auth{Azure: &Azure{Role: "r", ResourceURL: "https://own/", MountPath: "azure"}}, "auth/azure/login", map[string]string{
		"role": "r", "jwt": "jwt", "vm_name": "vm", "vmss_name": "set", "subscription_id": "sub", "resource_group_name": "rg",
	}, func(m *machine) { m.azure = url })
}

func TestAGoogleMachineLogsIn(t *testing.T) {
	url := metadata(t, "Metadata-Flavor", "Google", map[string]string{
		"GET /computeMetadata/v1/instance/service-accounts/default/identity?audience=http%3A%2F%2Fvault%2Fr&format=full": "jwt\n",
		"GET /computeMetadata/v1/instance/service-accounts/default/token":                                                `{"access_token": "own"}`,
		"POST /v1/projects/-/serviceAccounts/sa@p:signJwt":                                                               `{"signedJwt": "signed"}`,
	})
	there := func(m *machine) { m.gcp, m.iam = url, url }
	logsIn(t, Auth{GCP: &GCP{Role: "r", Type: typeGCE, MountPath: "gcp"}}, "auth/gcp/login", map[string]string{"role": "r", "jwt": "jwt"}, there)
	logsIn(t, Auth{GCP: &GCP{Role: "r", Type: typeIAM, IAMServiceAccount: "sa@p", MountPath: "gcp"}}, "auth/gcp/login", map[string]string{"role": "r", "jwt": "signed"}, there)
}

func TestAWSKeysLogIn(t *testing.T) {
	for _, region := range []string{"us-east-1", "eu-west-1"} {
		auth := Auth{AWS: &AWS{Type: typeIAM, Region: region, Role: "r", IAMServerIDHeader: "vault.example.com", EC2SignatureType: "pkcs7", MountPath: "aws"}}
		got := logsIn(t, auth, "auth/aws/login", nil, func(m *machine) {
			m.aws = func(c aws.Config) (*aws.Identity, error) {
				c.AccessKey, c.SecretKey = "AK", "sk"
				return aws.New(c, &httpclient.Config{}, "")
			}
		})
		decode := func(name string) string {
			text, err := base64.StdEncoding.DecodeString(got[name])
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		}
		host := map[string]string{"us-east-1": "sts.amazonaws.com", "eu-west-1": "sts.eu-west-1.amazonaws.com"}[region]
		var headers http.Header
		if err := json.Unmarshal([]byte(decode("iam_request_headers")), &headers); err != nil {
			t.Fatal(err)
		}
		if decode("iam_request_url") != "https://"+host+"/" || decode("iam_request_body") != "Action=GetCallerIdentity&Version=2011-06-15" || got["iam_http_request_method"] != "POST" || got["role"] != "r" ||
			headers.Get("Host") != host || headers.Get("X-Vault-AWS-IAM-Server-ID") != "vault.example.com" ||
			!strings.HasPrefix(headers.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=AK/20240203/"+region+"/sts/aws4_request, SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date;x-vault-aws-iam-server-id,") {
			t.Errorf("%s: %v with %v", region, got, headers)
		}
	}
}

func TestAnEC2InstanceLogsIn(t *testing.T) {
	const documents = "GET /latest/dynamic/instance-identity/"
	url := metadata(t, "", "", map[string]string{"PUT /latest/api/token": "s", documents + "pkcs7": "MII\nxyz\n", documents + "document": "{}", documents + "signature": "si\ng\n"})
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", url)
	for kind, want := range map[string]map[string]string{"pkcs7": {"pkcs7": "MIIxyz"}, "identity": {"identity": "e30=", "signature": "sig"}} {
		got := logsIn(t, Auth{AWS: &AWS{Type: typeEC2, Region: "us-east-1", EC2SignatureType: kind, MountPath: "aws"}}, "auth/aws/login", nil, nil)
		if got["nonce"] == "" {
			t.Error("there is no nonce")
		}
		if delete(got, "nonce"); !maps.Equal(got, want) {
			t.Errorf("%s: %v", kind, got)
		}
	}
}

func TestTheTokenIsExtendedOrReplaced(t *testing.T) {
	s := newServer(t, httptest.NewServer)
	s.answers["PUT /v1/auth/userpass/login/me"] = granted
	s.answers["PUT /v1/auth/token/renew-self"] = granted
	v := logIn(t, s.config(Auth{UserPass: &UserPass{Username: "me", Password: "p", MountPath: "userpass"}}), component.Options{})
	counts := func(auth, extensions float64) {
		t.Helper()
		if a, r := testutil.ToFloat64(v.metrics.auth), testutil.ToFloat64(v.metrics.authExtended); a != auth || r != extensions {
			t.Errorf("%v logins, %v extensions; want %v, %v", a, r, auth, extensions)
		}
	}
	counts(1, 0)
	if left := time.Until(v.extendAt); left > 40*time.Minute || left < 30*time.Minute {
		t.Errorf("the token is extended in %v", left)
	}
	due := func() {
		t.Helper()
		v.extendAt = time.Now()
		if err := v.step(t.Context()); err != nil {
			t.Error(err)
		}
	}
	due()
	counts(1, 1)
	s.answers["PUT /v1/auth/token/renew-self"] = `{"auth": {"client_token": "tok", "lease_duration": 60, "renewable": true}}` // its longest time is nearly over
	due()
	counts(2, 1)
	delete(s.answers, "PUT /v1/auth/token/renew-self")
	due()
	counts(3, 1)
	v.token.Renewable = false
	due()
	counts(4, 1)

	// A token that was revoked is replaced when the secret is read.
	s.token, s.answers["PUT /v1/auth/userpass/login/me"] = "tok2", strings.ReplaceAll(granted, `"tok"`, `"tok2"`)
	v.readAt = time.Now()
	if err := v.step(t.Context()); err != nil {
		t.Error(err)
	}
	counts(5, 1)
	s.answers["PUT /v1/auth/userpass/login/me"] = `{}`
	v.extendAt, v.token.Renewable = time.Now(), false
	if err := v.step(t.Context()); err == nil || v.Health() == nil || !strings.Contains(v.Health().Error(), "without a token") {
		t.Errorf("%v, health %v", err, v.Health())
	}
}

// quietTLS starts a server that does not log clients that distrust it.
func quietTLS(h http.Handler) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	return s
}

func TestTLSIsSetByTheVariablesOfVault(t *testing.T) {
	s := newServer(t, quietTLS)
	c := s.config(byToken())
	c.Client.MaxRetries = 0
	if _, err := New(c, component.Options{}); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Error(err)
	}
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	file := filepath.Join(t.TempDir(), "ca")
	if err := os.WriteFile(file, []byte(ca), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"VAULT_CACERT": file, "VAULT_CACERT_BYTES": ca, "VAULT_SKIP_VERIFY": "true"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, value)
			logIn(t, c, component.Options{})
		})
	}
}

func TestInvalidResponsesOfVaultAreErrors(t *testing.T) {
	for answer, want := range map[string]string{
		"<html>": "not from Vault", `{"data": {"data": null}}`: "", `{"data": {"data": "x"}}`: "it has no fields", strings.Repeat(" ", maxAnswer+1): "larger than 4 MiB",
	} {
		s := newServer(t, httptest.NewServer)
		s.answers["GET /v1/secret/data/db"] = answer
		if _, err := New(s.config(byToken()), component.Options{}); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%.20s: %v", answer, err)
		}
	}
}

func TestWrongSettingsAreRejectedAtTheirArgument(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"server: it has no host": func(c *Config) { c.Server = "" },
		"path: \"db\" has no":    func(c *Config) { c.Path = "db" },
		"reread_frequency":       func(c *Config) { c.RereadFrequency = -1 },
		"exactly one block auth.* is needed, and there are 0": func(c *Config) { c.Auth = nil },
	} {
		c := (&server{Server: &httptest.Server{URL: "http://h"}}).config(byToken())
		change(&c)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	for want, block := range map[string]interface{ Validate() error }{
		"timeout":             &ClientOptions{},
		"max_retries":         &ClientOptions{Timeout: 1, MaxRetries: -1},
		"max_retry_wait":      &ClientOptions{Timeout: 1, MinRetryWait: 2, MaxRetryWait: 1},
		"type":                &AWS{Type: "x", EC2SignatureType: "pkcs7"},
		"ec2_signature_type":  &AWS{Type: typeEC2},
		"type: \"\" is unkno": &GCP{},
		"iam_service_account": &GCP{Type: typeIAM},
	} {
		if err := block.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if _, err := (&Kubernetes{TokenFile: "/absent"}).login(nil)(t.Context()); err == nil || !strings.Contains(err.Error(), "/absent") {
		t.Error(err)
	}
}
