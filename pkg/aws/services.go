package aws

import (
	"cmp"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"collector/pkg/component"
	"collector/pkg/httpclient"
)

const (
	stsService = "sts"
	stsVersion = "2011-06-15"
	// containerService is where a task of ECS gets its keys.
	containerService = "http://169.254.170.2"
	// instanceService is where an instance of EC2 gets its keys, and more.
	instanceService = "http://169.254.169.254"
	// sessionLasts is how long a session with it lasts, in seconds.
	sessionLasts = "300"
)

// STS is the URL of the token service in a region.
func STS(region string) string {
	if strings.HasPrefix(region, "cn-") {
		return "https://sts." + region + ".amazonaws.com.cn/"
	}
	return "https://sts." + region + ".amazonaws.com/"
}

// assume gets the keys of the role from AWS's token service.
func (i *Identity) assume(ctx context.Context, own Keys) (Keys, error) {
	form := url.Values{"Action": {"AssumeRole"}, "RoleArn": {i.cfg.RoleARN}, "RoleSessionName": {"collector"}}
	return i.sts(ctx, form, &own)
}

// webIdentity gets the keys of a role for a token in a file, which is replaced from outside.
func (i *Identity) webIdentity(ctx context.Context) (Keys, error) {
	token, err := os.ReadFile(i.getenv("AWS_WEB_IDENTITY_TOKEN_FILE"))
	if err != nil {
		return Keys{}, fmt.Errorf("read AWS_WEB_IDENTITY_TOKEN_FILE: %w", err)
	}
	return i.sts(ctx, url.Values{
		"Action": {"AssumeRoleWithWebIdentity"}, "RoleArn": {i.getenv("AWS_ROLE_ARN")},
		"RoleSessionName": {cmp.Or(i.getenv("AWS_ROLE_SESSION_NAME"), "collector")}, "WebIdentityToken": {strings.TrimSpace(string(token))},
	}, nil)
}

// sts asks AWS's token service; a request with a web identity is not signed.
func (i *Identity) sts(ctx context.Context, form url.Values, own *Keys) (Keys, error) {
	region, err := i.Region()
	if err != nil {
		return Keys{}, err
	}
	form.Set("Version", stsVersion)
	text := form.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, STS(region), strings.NewReader(text))
	if err != nil {
		return Keys{}, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if own != nil {
		Sign(r, []byte(text), Request{Service: stsService, Region: region}, *own, i.now())
	}
	body, err := ask(i.remote, r, "the token service")
	if err != nil {
		return Keys{}, err
	}
	return readRole(body)
}

// ask sends a request to who, and returns the body of a response with status 200.
func ask(client *http.Client, r *http.Request, who string) ([]byte, error) {
	answer, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, largestAnswer))
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, &statusError{answer.StatusCode, fmt.Errorf("%s answers %s: %s", who, answer.Status, httpclient.Words(answer, body))}
	}
	return body, nil
}

type statusError struct {
	status int
	error
}

// readRole reads the response of the token service.
func readRole(body []byte) (Keys, error) {
	type credentials struct {
		AccessKeyID     string    `xml:"AccessKeyId"`
		SecretAccessKey string    `xml:"SecretAccessKey"`
		SessionToken    string    `xml:"SessionToken"`
		Expiration      time.Time `xml:"Expiration"`
	}
	var got struct {
		Role credentials `xml:"AssumeRoleResult>Credentials"`
		Web  credentials `xml:"AssumeRoleWithWebIdentityResult>Credentials"`
	}
	err := xml.Unmarshal(body, &got)
	c := &got.Role
	if c.AccessKeyID == "" {
		c = &got.Web
	}
	if err != nil || c.AccessKeyID == "" || c.SecretAccessKey == "" {
		return Keys{}, errors.New("the response of the token service contains no credentials")
	}
	return Keys{Access: c.AccessKeyID, Secret: component.Secret(c.SecretAccessKey), Session: component.Secret(c.SessionToken), Expires: c.Expiration}, nil
}

// container gets the keys of a task of ECS, or of a pod of EKS.
func (i *Identity) container(ctx context.Context) (Keys, error) {
	address := containerService + i.getenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
	if i.getenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") == "" {
		address = i.getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI")
		if err := safe(address); err != nil {
			return Keys{}, fmt.Errorf("AWS_CONTAINER_CREDENTIALS_FULL_URI: %w", err)
		}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return Keys{}, err
	}
	token := i.getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN")
	if file := i.getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"); file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return Keys{}, fmt.Errorf("read AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: %w", err)
		}
		token = strings.TrimSpace(string(text))
	}
	if token != "" {
		r.Header.Set("Authorization", token)
	}
	body, err := ask(i.local, r, "the service of the container")
	if err != nil {
		return Keys{}, err
	}
	return readKeys(body)
}

// safe reports an error for a URL to which a token must not be sent: by plain HTTP,
// only this machine and the services of ECS and EKS may have it.
func safe(address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return errors.New("it is not a valid URL")
	}
	ip, _ := netip.ParseAddr(u.Hostname())
	switch {
	case u.Scheme == "https" && u.Host != "", u.Hostname() == "localhost", ip.IsLoopback():
		return nil
	case ip == netip.MustParseAddr("169.254.170.2"), ip == netip.MustParseAddr("169.254.170.23"), ip == netip.MustParseAddr("fd00:ec2::23"):
		return nil
	}
	return fmt.Errorf("%s must use https, unless it is this machine or a service of ECS or EKS", u.Host)
}

// instance gets the keys of the role of an EC2 instance.
func (i *Identity) instance(ctx context.Context) (Keys, error) {
	const roles = "/latest/meta-data/iam/security-credentials/"
	names, err := i.Metadata(ctx, roles)
	if err != nil {
		return Keys{}, fmt.Errorf("%w: %s", err, whereKeysAre)
	}
	name, _, _ := strings.Cut(strings.TrimSpace(string(names)), "\n")
	if name == "" {
		return Keys{}, errors.New("the instance has no role: attach one, or " + whereKeysAre)
	}
	body, err := i.Metadata(ctx, roles+url.PathEscape(name))
	if err != nil {
		return Keys{}, err
	}
	return readKeys(body)
}

// Metadata is what EC2 has at a path for the instance on which the program runs.
func (i *Identity) Metadata(ctx context.Context, path string) ([]byte, error) {
	base := cmp.Or(strings.TrimSuffix(i.getenv("AWS_EC2_METADATA_SERVICE_ENDPOINT"), "/"), instanceService)
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, base+"/latest/api/token", nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", sessionLasts)
	session, err := ask(i.local, r, "the instance's metadata service")
	var refused *statusError
	if err != nil && !errors.As(err, &refused) {
		return nil, fmt.Errorf("the instance's metadata service, which only EC2 has, does not answer: %w", err)
	}
	if r, err = http.NewRequestWithContext(ctx, http.MethodGet, base+path, nil); err != nil {
		return nil, err
	}
	if refused == nil { // otherwise the service may have no sessions
		r.Header.Set("X-Aws-Ec2-Metadata-Token", strings.TrimSpace(string(session)))
	}
	return ask(i.local, r, "the instance's metadata service")
}

// readKeys reads the response of the services of containers and instances.
func readKeys(body []byte) (Keys, error) {
	var got struct {
		Code, Message, AccessKeyID, SecretAccessKey, Token string
		Expiration                                         time.Time
	}
	if err := json.Unmarshal(body, &got); err != nil || got.AccessKeyID == "" || got.SecretAccessKey == "" {
		if got.Code != "" && got.Code != "Success" {
			return Keys{}, fmt.Errorf("the service returned no credentials: %s: %s", httpclient.OneLine(got.Code), httpclient.OneLine(got.Message))
		}
		return Keys{}, errors.New("the response of the service contains no credentials")
	}
	return Keys{Access: got.AccessKeyID, Secret: component.Secret(got.SecretAccessKey), Session: component.Secret(got.Token), Expires: got.Expiration}, nil
}
