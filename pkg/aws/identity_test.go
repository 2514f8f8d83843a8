package aws

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"collector/pkg/httpclient"
)

// awsOf is an identity with this environment and these files in HOME/.aws.
func awsOf(t *testing.T, cfg Config, env, files map[string]string) *Identity {
	t.Helper()
	home := t.TempDir()
	if err := os.Mkdir(filepath.Join(home, ".aws"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(home, ".aws", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a, err := New(cfg, &httpclient.Config{}, "collector")
	if err != nil {
		t.Fatal(err)
	}
	a.getenv = func(name string) string {
		if name == "HOME" {
			return home
		}
		return env[name]
	}
	return a
}

const credentials = `
# mine
[default]
aws_access_key_id = D
aws_secret_access_key = ds
[ other ]
AWS_ACCESS_KEY_ID=O
aws_secret_access_key = os=
aws_session_token = ot
`

func TestKeysAreFoundWhereAWSHasThem(t *testing.T) {
	files := map[string]string{"credentials": credentials, "config": "[default]\nregion = eu-1\n[profile other]\nregion = eu-2\n"}
	env := map[string]string{"AWS_ACCESS_KEY_ID": "E", "AWS_SECRET_ACCESS_KEY": "es", "AWS_SESSION_TOKEN": "et"}
	for name, test := range map[string]struct {
		cfg    Config
		env    map[string]string
		want   Keys
		region string
	}{
		"the configuration":  {Config{Region: "r", AccessKey: "C", SecretKey: "cs"}, env, Keys{Access: "C", Secret: "cs"}, "r"},
		"the environment":    {Config{}, env, Keys{Access: "E", Secret: "es", Session: "et"}, "eu-1"},
		"the default":        {Config{}, nil, Keys{Access: "D", Secret: "ds"}, "eu-1"},
		"a profile":          {Config{Profile: "other"}, env, Keys{Access: "O", Secret: "os=", Session: "ot"}, "eu-2"},
		"AWS_PROFILE":        {Config{}, map[string]string{"AWS_PROFILE": "other", "AWS_REGION": "eu-3"}, Keys{Access: "O", Secret: "os=", Session: "ot"}, "eu-3"},
		"AWS_DEFAULT_REGION": {Config{}, map[string]string{"AWS_DEFAULT_REGION": "eu-4"}, Keys{Access: "D", Secret: "ds"}, "eu-4"},
	} {
		a := awsOf(t, test.cfg, test.env, files)
		got, err := a.Keys(t.Context())
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if region, err := a.Region(); region != test.region || err != nil {
			t.Errorf("%s: region %q, %v", name, region, err)
		}
	}
	for want, a := range map[string]*Identity{
		"has no credentials for profile \"none\"": awsOf(t, Config{Region: "r", Profile: "none"}, nil, files),
		"no such file":                      awsOf(t, Config{Region: "r", Profile: "none"}, nil, nil),
		"AWS_EC2_METADATA_DISABLED is true": awsOf(t, Config{Region: "r"}, map[string]string{"AWS_EC2_METADATA_DISABLED": "true"}, nil),
	} {
		if _, err := a.Keys(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestWhatIsMissingIsKnownWithoutAService(t *testing.T) {
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_EC2_METADATA_DISABLED"} {
		t.Setenv(name, "")
	}
	t.Setenv("HOME", t.TempDir())
	if err := (Config{AccessKey: "a", SecretKey: "b"}).Check(); err == nil || !strings.Contains(err.Error(), "set region, or AWS_REGION") {
		t.Errorf("without a region: %v", err)
	}
	t.Setenv("AWS_REGION", "r")
	if err := (Config{}).Check(); err != nil {
		t.Errorf("an instance may have keys: %v", err)
	}
	if err := (Config{Profile: "p"}).Check(); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("without the profile: %v", err)
	}
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	if err := (Config{}).Check(); err == nil {
		t.Error("there can be no keys")
	}
}

type awsTrip func(*http.Request) (*http.Response, error)

func (f awsTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestTheKeysOfARoleComeFromTheService(t *testing.T) {
	a := awsOf(t, Config{Region: "cn-north-1", AccessKey: "C", SecretKey: "cs", RoleARN: "arn:aws:iam::1:role/x"}, nil, nil)
	now := time.Date(2024, 2, 3, 4, 5, 6, 0, time.UTC)
	a.now = func() time.Time { return now }
	asked, status := 0, http.StatusOK
	a.remote.Transport = awsTrip(func(r *http.Request) (*http.Response, error) {
		asked++
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		want := url.Values{"Action": {"AssumeRole"}, "RoleArn": {"arn:aws:iam::1:role/x"}, "RoleSessionName": {"collector"}, "Version": {"2011-06-15"}}.Encode()
		if r.URL.String() != "https://sts.cn-north-1.amazonaws.com.cn/" || string(body) != want || !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=C/20240203/cn-north-1/sts/aws4_request") {
			t.Errorf("%s %s %v", r.URL, body, r.Header)
		}
		text := fmt.Sprintf(`<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
			<AccessKeyId>R%d</AccessKeyId><SecretAccessKey>rs</SecretAccessKey><SessionToken>rt</SessionToken><Expiration>%s</Expiration>
			</Credentials></AssumeRoleResult></AssumeRoleResponse>`, asked, now.Add(time.Hour).Format(time.RFC3339))
		if status != http.StatusOK {
			text = "<ErrorResponse>AccessDenied</ErrorResponse>"
		}
		return &http.Response{StatusCode: status, Status: fmt.Sprint(status, " ", http.StatusText(status)), Body: io.NopCloser(strings.NewReader(text)), Request: r}, nil
	})
	for i, want := range []string{"R1", "R1", "R2"} {
		keys, err := a.Keys(t.Context())
		if err != nil || keys.Access != want || keys.Secret != "rs" || keys.Session != "rt" {
			t.Errorf("%d: %+v, %v", i, keys, err)
		}
		if i == 1 {
			now = now.Add(56 * time.Minute) // less than the margin is left
		}
	}
	keys, err := a.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequest(http.MethodPost, "https://aps.example/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if Sign(r, nil, Request{}, keys, now); r.Header.Get("X-Amz-Security-Token") != "rt" || !strings.Contains(r.Header.Get("Authorization"), ";x-amz-security-token, Signature=") {
		t.Errorf("%v", r.Header)
	}
	now, status = now.Add(2*time.Hour), http.StatusForbidden
	if _, err := a.Keys(t.Context()); err == nil || !strings.Contains(err.Error(), "assume the role arn:aws:iam::1:role/x: the token service answers 403 Forbidden") {
		t.Error(err)
	}
}

func TestKeysAreUsedUntilTheyExpireIfTheServiceFails(t *testing.T) {
	a := awsOf(t, Config{Region: "r", AccessKey: "C", SecretKey: "cs", RoleARN: "x"}, nil, nil)
	now := time.Date(2024, 2, 3, 4, 5, 6, 0, time.UTC)
	a.now = func() time.Time { return now }
	a.role.Keys = Keys{Access: "R", Secret: "rs", Expires: now.Add(margin)}
	asked := 0
	a.remote.Transport = awsTrip(func(*http.Request) (*http.Response, error) {
		asked++
		return nil, io.ErrUnexpectedEOF
	})
	for i, want := range []int{1, 1, 2} {
		if keys, err := a.Keys(t.Context()); err != nil || keys.Access != "R" || asked != want {
			t.Errorf("%d: %+v, %v, asked %d times", i, keys, err, asked)
		}
		now = now.Add(retryEvery / 2)
	}
	now = now.Add(margin)
	if _, err := a.Keys(t.Context()); err == nil {
		t.Error("keys are used that have expired")
	}
}

func FuzzReadSection(f *testing.F) {
	f.Add(credentials, "other")
	f.Fuzz(func(t *testing.T, text, name string) {
		values, err := readSection(strings.NewReader(text), name)
		if err != nil {
			return
		}
		for key := range values {
			if !strings.Contains(strings.ToLower(text), key) {
				t.Fatalf("%q is not in the text", key)
			}
		}
	})
}

func FuzzReadRole(f *testing.F) {
	f.Add([]byte(`<a><AssumeRoleResult><Credentials><AccessKeyId>R</AccessKeyId></Credentials></AssumeRoleResult></a>`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if keys, err := readRole(body); err == nil && (keys.Access == "" || keys.Secret == "") {
			t.Fatalf("%+v", keys)
		}
	})
}
