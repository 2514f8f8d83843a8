package remotewrite

import (
	"bufio"
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"collector/pkg/component"
	"collector/pkg/httpclient"
)

// awsKeys are what requests are signed with.
type awsKeys struct {
	access  string
	secret  component.Secret
	session component.Secret // of keys that expire
	expires time.Time        // the zero time: never
}

const (
	// roleMargin is how long before their end the keys of a role are no longer used.
	roleMargin = 5 * time.Minute
	stsService = "sts"
	stsVersion = "2011-06-15"
	largestSTS = 64 << 10
	stsTimeout = 10 * time.Second
)

// awsIdentity finds the keys that requests are signed with: those of the
// configuration, of a profile, or of the environment; and with them, those of a role.
type awsIdentity struct {
	cfg    *SigV4
	client *http.Client // of STS
	getenv func(string) string
	now    func() time.Time

	mu   sync.Mutex
	role awsKeys // guarded by mu
}

// newAWSIdentity makes one that reaches STS by the proxy of the endpoint.
func newAWSIdentity(cfg *SigV4, settings *httpclient.Config, userAgent string) (*awsIdentity, error) {
	own := httpclient.Config{
		ProxyURL: settings.ProxyURL, NoProxy: settings.NoProxy, ProxyFromEnvironment: settings.ProxyFromEnvironment, ProxyConnectHeader: settings.ProxyConnectHeader,
	}
	client, err := own.NewPush("sts", userAgent)
	if err != nil {
		return nil, err
	}
	client.Timeout = stsTimeout
	return &awsIdentity{cfg: cfg, client: client, getenv: os.Getenv, now: time.Now}, nil
}

// unsigned is why requests cannot be signed, as far as that is known without a token
// service.
func (s *SigV4) unsigned() error {
	a := &awsIdentity{cfg: s, getenv: os.Getenv}
	if _, err := a.region(); err != nil {
		return err
	}
	_, err := a.own()
	return err
}

// region comes from the configuration, the environment, or the profile.
func (a *awsIdentity) region() (string, error) {
	if region := cmp.Or(a.cfg.Region, a.getenv("AWS_REGION"), a.getenv("AWS_DEFAULT_REGION")); region != "" {
		return region, nil
	}
	values, err := a.section(a.file("AWS_CONFIG_FILE", "config"), "profile "+a.profile())
	if err == nil && values["region"] == "" && a.profile() == "default" {
		values, err = a.section(a.file("AWS_CONFIG_FILE", "config"), "default")
	}
	if err != nil {
		return "", fmt.Errorf("find the region of AWS: %w: set region, or AWS_REGION", err)
	}
	if values["region"] == "" {
		return "", errors.New("no region is set: neither in sigv4 nor in AWS_REGION nor in the profile")
	}
	return values["region"], nil
}

func (a *awsIdentity) profile() string {
	return cmp.Or(a.cfg.Profile, a.getenv("AWS_PROFILE"), "default")
}

// file is the path of one of AWS's files.
func (a *awsIdentity) file(variable, name string) string {
	return cmp.Or(a.getenv(variable), filepath.Join(a.getenv("HOME"), ".aws", name))
}

// keys are the keys to sign with now.
func (a *awsIdentity) keys(ctx context.Context) (awsKeys, error) {
	own, err := a.own()
	if err != nil || a.cfg.RoleARN == "" {
		return own, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.role.access != "" && a.now().Add(roleMargin).Before(a.role.expires) {
		return a.role, nil
	}
	role, err := a.assume(ctx, own)
	if err != nil {
		return awsKeys{}, fmt.Errorf("assume the role %s: %w", a.cfg.RoleARN, err)
	}
	a.role = role
	return role, nil
}

const whereKeysAre = "set access_key and secret_key, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile; " +
	"keys of an instance, a task or a web identity are not supported"

// own are the keys without a role.
func (a *awsIdentity) own() (awsKeys, error) {
	if a.cfg.AccessKey != "" {
		return awsKeys{access: a.cfg.AccessKey, secret: a.cfg.SecretKey}, nil
	}
	if id := a.getenv("AWS_ACCESS_KEY_ID"); id != "" && a.cfg.Profile == "" {
		return awsKeys{access: id, secret: component.Secret(a.getenv("AWS_SECRET_ACCESS_KEY")), session: component.Secret(a.getenv("AWS_SESSION_TOKEN"))}, nil
	}
	path := a.file("AWS_SHARED_CREDENTIALS_FILE", "credentials")
	values, err := a.section(path, a.profile())
	if err != nil {
		return awsKeys{}, fmt.Errorf("find the keys of AWS: %w: %s", err, whereKeysAre)
	}
	if values["aws_access_key_id"] == "" {
		return awsKeys{}, fmt.Errorf("find the keys of AWS: %s has none of the profile %q: %s", path, a.profile(), whereKeysAre)
	}
	return awsKeys{
		access: values["aws_access_key_id"], secret: component.Secret(values["aws_secret_access_key"]), session: component.Secret(values["aws_session_token"]),
	}, nil
}

// section reads a section of one of AWS's files.
func (a *awsIdentity) section(path, name string) (map[string]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readSection(f, name)
}

// readSection reads the section with that name: lines "key = value" below "[name]".
func readSection(r io.Reader, name string) (map[string]string, error) {
	values, within := map[string]string{}, false
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case line[0] == '[':
			within = strings.Join(strings.Fields(strings.Trim(line, "[]")), " ") == name
		case within:
			if key, value, ok := strings.Cut(line, "="); ok {
				values[strings.ToLower(strings.TrimSpace(key))] = strings.TrimSpace(value)
			}
		}
	}
	return values, lines.Err()
}

// assume gets the keys of the role from AWS's token service.
func (a *awsIdentity) assume(ctx context.Context, own awsKeys) (awsKeys, error) {
	region, err := a.region()
	if err != nil {
		return awsKeys{}, err
	}
	domain := "amazonaws.com"
	if strings.HasPrefix(region, "cn-") {
		domain += ".cn"
	}
	form := url.Values{"Action": {"AssumeRole"}, "Version": {stsVersion}, "RoleArn": {a.cfg.RoleARN}, "RoleSessionName": {"collector"}}.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://sts."+region+"."+domain+"/", strings.NewReader(form))
	if err != nil {
		return awsKeys{}, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	sign(r, []byte(form), stsService, region, own, a.now())
	answer, err := a.client.Do(r)
	if err != nil {
		return awsKeys{}, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, largestSTS))
	if err != nil {
		return awsKeys{}, err
	}
	if answer.StatusCode != http.StatusOK {
		return awsKeys{}, fmt.Errorf("the token service answers %s: %s", answer.Status, httpclient.Words(answer, body))
	}
	return readRole(body)
}

// readRole reads what the token service answers.
func readRole(body []byte) (awsKeys, error) {
	var got struct {
		Credentials struct {
			AccessKeyID     string    `xml:"AccessKeyId"`
			SecretAccessKey string    `xml:"SecretAccessKey"`
			SessionToken    string    `xml:"SessionToken"`
			Expiration      time.Time `xml:"Expiration"`
		} `xml:"AssumeRoleResult>Credentials"`
	}
	c := &got.Credentials
	if err := xml.Unmarshal(body, &got); err != nil || c.AccessKeyID == "" || c.SecretAccessKey == "" {
		return awsKeys{}, errors.New("the token service answers without keys")
	}
	return awsKeys{access: c.AccessKeyID, secret: component.Secret(c.SecretAccessKey), session: component.Secret(c.SessionToken), expires: c.Expiration}, nil
}
