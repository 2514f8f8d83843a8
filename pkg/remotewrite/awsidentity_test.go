package remotewrite

import (
	"bytes"
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
func awsOf(t *testing.T, cfg SigV4, env, files map[string]string) *awsIdentity {
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
	a, err := newAWSIdentity(&cfg, &httpclient.Config{}, "collector")
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
		cfg    SigV4
		env    map[string]string
		want   awsKeys
		region string
	}{
		"the configuration":  {SigV4{Region: "r", AccessKey: "C", SecretKey: "cs"}, env, awsKeys{access: "C", secret: "cs"}, "r"},
		"the environment":    {SigV4{}, env, awsKeys{access: "E", secret: "es", session: "et"}, "eu-1"},
		"the default":        {SigV4{}, nil, awsKeys{access: "D", secret: "ds"}, "eu-1"},
		"a profile":          {SigV4{Profile: "other"}, env, awsKeys{access: "O", secret: "os=", session: "ot"}, "eu-2"},
		"AWS_PROFILE":        {SigV4{}, map[string]string{"AWS_PROFILE": "other", "AWS_REGION": "eu-3"}, awsKeys{access: "O", secret: "os=", session: "ot"}, "eu-3"},
		"AWS_DEFAULT_REGION": {SigV4{}, map[string]string{"AWS_DEFAULT_REGION": "eu-4"}, awsKeys{access: "D", secret: "ds"}, "eu-4"},
	} {
		a := awsOf(t, test.cfg, test.env, files)
		got, err := a.keys(t.Context())
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(awsKeys{})); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if region, err := a.region(); region != test.region || err != nil {
			t.Errorf("%s: region %q, %v", name, region, err)
		}
	}
	for want, a := range map[string]*awsIdentity{
		"has none of the profile \"none\"": awsOf(t, SigV4{Region: "r", Profile: "none"}, nil, files),
		"no such file":                     awsOf(t, SigV4{Region: "r"}, nil, nil),
		"no region is set":                 awsOf(t, SigV4{AccessKey: "a", SecretKey: "b"}, nil, map[string]string{"config": ""}),
	} {
		if _, err := a.signer(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

type awsTrip func(*http.Request) (*http.Response, error)

func (f awsTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestTheKeysOfARoleComeFromTheService(t *testing.T) {
	a := awsOf(t, SigV4{Region: "cn-north-1", AccessKey: "C", SecretKey: "cs", RoleARN: "arn:aws:iam::1:role/x"}, nil, nil)
	now := time.Date(2024, 2, 3, 4, 5, 6, 0, time.UTC)
	a.now = func() time.Time { return now }
	asked, status := 0, http.StatusOK
	a.client.Transport = awsTrip(func(r *http.Request) (*http.Response, error) {
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
		keys, err := a.keys(t.Context())
		if err != nil || keys.access != want || keys.secret != "rs" || keys.session != "rt" {
			t.Errorf("%d: %+v, %v", i, keys, err)
		}
		if i == 1 {
			now = now.Add(56 * time.Minute) // less than the margin is left
		}
	}
	signed, err := a.signer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequest(http.MethodPost, "https://aps.example/", bytes.NewReader(nil))
	if err != nil {
		t.Fatal(err)
	}
	if signed(r, nil); r.Header.Get("X-Amz-Security-Token") != "rt" || !strings.Contains(r.Header.Get("Authorization"), ";x-amz-security-token, Signature=") {
		t.Errorf("%v", r.Header)
	}
	now, status = now.Add(2*time.Hour), http.StatusForbidden
	if _, err := a.keys(t.Context()); err == nil || !strings.Contains(err.Error(), "assume the role arn:aws:iam::1:role/x: the token service answers 403 Forbidden") {
		t.Error(err)
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
		if keys, err := readRole(body); err == nil && (keys.access == "" || keys.secret == "") {
			t.Fatalf("%+v", keys)
		}
	})
}
