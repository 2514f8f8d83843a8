package aws

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// machine answers paths as the services of a machine do.
type machine struct {
	*httptest.Server
	answers map[string]string
	heard   []string // method, path, and the headers that matter
}

func newMachine(t *testing.T) *machine {
	m := &machine{answers: map[string]string{}}
	m.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.heard = append(m.heard, strings.TrimSpace(strings.Join([]string{
			r.Method, r.URL.Path, r.Header.Get("Authorization"), r.Header.Get("X-Aws-Ec2-Metadata-Token"), r.Header.Get("X-Aws-Ec2-Metadata-Token-Ttl-Seconds"),
		}, " ")))
		text, ok := m.answers[r.Method+" "+r.URL.Path]
		if !ok {
			http.Error(w, "there is none", http.StatusNotFound)
			return
		}
		io.WriteString(w, text)
	}))
	t.Cleanup(m.Close)
	return m
}

func keysUntil(at time.Time) string {
	return fmt.Sprintf(`{"Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": "I", "SecretAccessKey": "is", "Token": "it", "Expiration": %q}`, at.Format(time.RFC3339))
}

// is checks the keys that an identity finds.
func (i *Identity) is(t *testing.T, access, secret, session string) {
	t.Helper()
	keys, err := i.Keys(t.Context())
	if err != nil || keys.Access != access || string(keys.Secret) != secret || string(keys.Session) != session {
		t.Errorf("%s %s %s, %v", keys.Access, string(keys.Secret), string(keys.Session), err)
	}
}

func TestAnInstanceGivesTheKeysOfItsRole(t *testing.T) {
	m := newMachine(t)
	now := time.Now()
	const roles = "/latest/meta-data/iam/security-credentials/"
	m.answers = map[string]string{"PUT /latest/api/token": "session\n", "GET " + roles: "role-1\n", "GET " + roles + "role-1": keysUntil(now.Add(time.Hour))}
	i := awsOf(t, Config{}, map[string]string{"AWS_EC2_METADATA_SERVICE_ENDPOINT": m.URL + "/"}, nil)
	i.now = func() time.Time { return now }
	i.is(t, "I", "is", "it")
	want := "PUT /latest/api/token   300|GET " + roles + "  session|PUT /latest/api/token   300|GET " + roles + "role-1  session"
	if got := strings.Join(m.heard, "|"); got != want {
		t.Errorf("heard %s, want %s", got, want)
	}
	i.is(t, "I", "is", "it")
	if len(m.heard) != 4 {
		t.Errorf("keys that are good are fetched again: %q", m.heard)
	}
	now = now.Add(56 * time.Minute)
	i.is(t, "I", "is", "it")
	if len(m.heard) != 8 {
		t.Errorf("keys that expire are not fetched again: %q", m.heard)
	}

	// Where there are no sessions, none is needed.
	delete(m.answers, "PUT /latest/api/token")
	m.heard = nil
	i.is(t, "I", "is", "it")
	if got := m.heard[1]; got != "GET "+roles {
		t.Errorf("heard %q", got)
	}
	now = now.Add(time.Hour)
	m.answers["GET "+roles+"role-1"] = `{"Code": "AssumeRoleUnauthorizedAccess", "Message": "EC2 cannot assume the role"}`
	if _, err := i.Keys(t.Context()); err == nil || !strings.Contains(err.Error(), "AssumeRoleUnauthorizedAccess: EC2 cannot assume the role") {
		t.Error(err)
	}
	m.answers["GET "+roles] = ""
	if _, err := i.Keys(t.Context()); err == nil || !strings.Contains(err.Error(), "the instance has no role") {
		t.Error(err)
	}
	m.Close()
	if _, err := i.Keys(t.Context()); err == nil || !strings.Contains(err.Error(), "which only EC2 has, does not answer") || !strings.Contains(err.Error(), "set access_key") {
		t.Error(err)
	}
}

func TestAContainerGivesTheKeysOfItsTask(t *testing.T) {
	m := newMachine(t)
	m.answers["GET /v2/keys"] = keysUntil(time.Now().Add(time.Hour))
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("from a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	full := map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": m.URL + "/v2/keys", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "tok"}
	awsOf(t, Config{}, full, nil).is(t, "I", "is", "it")
	full["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = file
	awsOf(t, Config{}, full, nil).is(t, "I", "is", "it")
	relative := awsOf(t, Config{}, map[string]string{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/keys"}, nil)
	relative.local.Transport = awsTrip(func(r *http.Request) (*http.Response, error) {
		if r.URL.Host != "169.254.170.2" {
			t.Errorf("%s is asked", r.URL)
		}
		r.URL.Host = strings.TrimPrefix(m.URL, "http://")
		return http.DefaultTransport.RoundTrip(r)
	})
	relative.is(t, "I", "is", "it")
	if got := strings.Join(m.heard, "|"); got != "GET /v2/keys tok|GET /v2/keys from a file|GET /v2/keys" {
		t.Errorf("heard %s", got)
	}
	for address, ok := range map[string]bool{
		"http://localhost/": true, "http://127.0.0.1:1/": true, "http://[::1]/": true, "https://h/": true, "http://169.254.170.23/v1": true,
		"http://h/": false, "http://10.0.0.1/": false, "file:///etc/passwd": false, "": false, "http://[": false,
	} {
		if err := safe(address); (err == nil) != ok {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestAWebIdentityIsExchangedForKeys(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("jwt\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"AWS_WEB_IDENTITY_TOKEN_FILE": file, "AWS_ROLE_ARN": "arn:1", "AWS_REGION": "eu-1"}
	i := awsOf(t, Config{}, env, map[string]string{"credentials": credentials})
	i.remote.Transport = awsTrip(func(r *http.Request) (*http.Response, error) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Host != "sts.eu-1.amazonaws.com" || r.Header.Get("Authorization") != "" ||
			string(body) != "Action=AssumeRoleWithWebIdentity&RoleArn=arn%3A1&RoleSessionName=collector&Version=2011-06-15&WebIdentityToken=jwt" {
			t.Errorf("%s %s %v", r.URL, body, r.Header)
		}
		text := `<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>W</AccessKeyId><SecretAccessKey>ws</SecretAccessKey>` +
			`<SessionToken>wt</SessionToken><Expiration>2124-02-03T04:05:06Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`
		return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(text)), Request: r}, nil
	})
	i.is(t, "W", "ws", "wt")
	env["AWS_ACCESS_KEY_ID"] = "E"
	awsOf(t, Config{}, env, nil).is(t, "E", "", "")
	awsOf(t, Config{Profile: "other"}, env, map[string]string{"credentials": credentials}).is(t, "O", "os=", "ot")
}

func TestOneCallerAtATimeAsksForKeys(t *testing.T) {
	i := awsOf(t, Config{}, nil, nil)
	<-i.turn
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := i.Keys(ctx); err == nil || !strings.Contains(err.Error(), "wait for AWS credentials") {
		t.Error(err)
	}
}

func FuzzReadKeys(f *testing.F) {
	f.Add([]byte(keysUntil(time.Time{})))
	f.Fuzz(func(t *testing.T, body []byte) {
		if keys, err := readKeys(body); err == nil && (keys.Access == "" || keys.Secret == "") {
			t.Fatalf("%+v", keys)
		}
	})
}
