package vault

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"collector/pkg/aws"
	"collector/pkg/component"
	"collector/pkg/httpclient"
)

// login gets a token. Without a lease, the token neither expires nor is it replaced.
type login func(ctx context.Context) (*lease, error)

// machine has the services of the machine that prove its identity.
type machine struct {
	http  *http.Client
	azure string // without a path, as below
	gcp   string
	iam   string // of Google's service that signs
	aws   func(aws.Config) (*aws.Identity, error)
	now   func() time.Time
}

// serviceTimeout bounds a request to such a service.
const serviceTimeout = 10 * time.Second

func newMachine(o component.Options) machine {
	return machine{
		http:  &http.Client{Transport: &http.Transport{DisableKeepAlives: true, Proxy: nil}, Timeout: serviceTimeout, CheckRedirect: httpclient.FollowNone},
		azure: "http://169.254.169.254", gcp: "http://metadata.google.internal", iam: "https://iamcredentials.googleapis.com", now: time.Now,
		aws: func(c aws.Config) (*aws.Identity, error) {
			return aws.New(c, &httpclient.Config{ProxyFromEnvironment: true}, o.UserAgent)
		},
	}
}

// login is how the block logs in.
func (a *Auth) login(c *client, m machine, o component.Options) login {
	switch {
	case a.Token != nil:
		return func(context.Context) (*lease, error) { return &lease{Token: string(a.Token.Token)}, nil }
	case a.AppRole != nil:
		return a.AppRole.login(c, o.CheckOnly)
	case a.AWS != nil:
		return a.AWS.login(c, m)
	case a.Azure != nil:
		return a.Azure.login(c, m)
	case a.GCP != nil:
		return a.GCP.login(c, m)
	case a.Kubernetes != nil:
		return a.Kubernetes.login(c)
	case a.LDAP != nil:
		return c.as(a.LDAP.MountPath, a.LDAP.Username, a.LDAP.Password)
	case a.UserPass != nil:
		return c.as(a.UserPass.MountPath, a.UserPass.Username, a.UserPass.Password)
	}
	data := map[string]string{}
	for name, value := range a.Custom.Data {
		data[name] = string(value)
	}
	return func(ctx context.Context) (*lease, error) {
		return c.login(ctx, call{path: strings.Trim(a.Custom.Path, "/"), namespace: a.Custom.Namespace, body: data})
	}
}

// login sends a request that is answered with a token.
func (c *client) login(ctx context.Context, r call) (*lease, error) {
	r.method = http.MethodPut
	a, err := c.do(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("log in: %w", err)
	}
	if a.Auth == nil || a.Auth.Token == "" {
		return nil, fmt.Errorf("log in: Vault answers %s without a token", r.path)
	}
	return a.Auth, nil
}

// at is the path by which one logs in to an engine.
func at(mount string) string { return "auth/" + strings.Trim(mount, "/") + "/login" }

// as logs in as a user.
func (c *client) as(mount, user string, password component.Secret) login {
	return func(ctx context.Context) (*lease, error) {
		return c.login(ctx, call{path: at(mount) + "/" + user, body: map[string]string{"password": string(password)}})
	}
}

// login logs in as the role. A wrapping token is good once: what was in it is kept.
func (a *AppRole) login(c *client, checking bool) login {
	id := string(a.Secret)
	wrapped := a.WrappingToken
	return func(ctx context.Context) (*lease, error) {
		if wrapped && checking {
			return nil, errors.New("log in: a wrapping token can be used once, so a check does not use it")
		}
		if wrapped {
			got, err := c.do(ctx, call{method: http.MethodPut, path: "sys/wrapping/unwrap", token: id})
			if err != nil {
				return nil, fmt.Errorf("unwrap the secret of the role: %w", err)
			}
			var data struct {
				ID string `json:"secret_id"`
			}
			if json.Unmarshal(got.Data, &data) != nil || data.ID == "" {
				return nil, errors.New("unwrap the secret of the role: there is no secret_id in the wrapping token")
			}
			id, wrapped = data.ID, false
		}
		return c.login(ctx, call{path: at(a.MountPath), body: map[string]string{"role_id": a.RoleID, "secret_id": id}})
	}
}

func (a *Kubernetes) login(c *client) login {
	return func(ctx context.Context) (*lease, error) {
		token, err := os.ReadFile(a.TokenFile) // which Kubernetes replaces
		if err != nil {
			return nil, component.At("auth.kubernetes/service_account_file", err)
		}
		return c.login(ctx, call{path: at(a.MountPath), body: map[string]string{"role": a.Role, "jwt": strings.TrimSpace(string(token))}})
	}
}

// login sends a request to AWS that Vault may send on, which says whose keys have signed
// it; or what AWS says of the instance, with its signature.
func (a *AWS) login(c *client, m machine) login {
	nonce := rand.Text() // the instance's, from its first login on
	return func(ctx context.Context) (*lease, error) {
		identity, err := m.aws(aws.Config{Region: a.Region})
		if err != nil {
			return nil, err
		}
		body := map[string]string{}
		if a.Type == typeIAM {
			body, err = a.signed(ctx, identity, m.now())
		} else {
			body["nonce"] = nonce
			err = a.instance(ctx, identity, body)
		}
		if err != nil {
			return nil, fmt.Errorf("log in with AWS: %w", err)
		}
		if a.Role != "" {
			body["role"] = a.Role
		}
		return c.login(ctx, call{path: at(a.MountPath), body: body})
	}
}

// signed is a request to AWS's token service, as Vault wants it.
func (a *AWS) signed(ctx context.Context, identity *aws.Identity, now time.Time) (map[string]string, error) {
	const text = "Action=GetCallerIdentity&Version=2011-06-15"
	const serverID = "X-Vault-AWS-IAM-Server-ID"
	keys, err := identity.Keys(ctx)
	if err != nil {
		return nil, err
	}
	address := aws.STS(a.Region)
	if a.Region == "us-east-1" {
		address = "https://sts.amazonaws.com/" // which Vault asks by default
	}
	r, err := http.NewRequest(http.MethodPost, address, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	if a.IAMServerIDHeader != "" {
		r.Header.Set(serverID, a.IAMServerIDHeader)
	}
	aws.Sign(r, []byte(text), aws.Request{Service: "sts", Region: a.Region, Headers: []string{serverID}}, keys, now)
	r.Header.Set("Host", r.URL.Host)
	headers, err := json.Marshal(r.Header)
	if err != nil {
		return nil, err
	}
	encode := base64.StdEncoding.EncodeToString
	return map[string]string{
		"iam_http_request_method": http.MethodPost, "iam_request_url": encode([]byte(address)),
		"iam_request_body": encode([]byte(text)), "iam_request_headers": encode(headers),
	}, nil
}

// instance adds what AWS says of the instance.
func (a *AWS) instance(ctx context.Context, identity *aws.Identity, body map[string]string) error {
	const documents = "/latest/dynamic/instance-identity/"
	read := func(name string) (string, error) {
		text, err := identity.Metadata(ctx, documents+name)
		return strings.TrimSpace(string(text)), err
	}
	if a.EC2SignatureType == "pkcs7" {
		text, err := read("pkcs7")
		body["pkcs7"] = strings.ReplaceAll(text, "\n", "")
		return err
	}
	document, err := read("document")
	if err != nil {
		return err
	}
	signature, err := read("signature")
	body["identity"], body["signature"] = base64.StdEncoding.EncodeToString([]byte(document)), strings.ReplaceAll(signature, "\n", "")
	return err
}

func (a *Azure) login(c *client, m machine) login {
	return func(ctx context.Context) (*lease, error) {
		var token struct {
			AccessToken string `json:"access_token"`
		}
		query := url.Values{"api-version": {"2018-02-01"}, "resource": {a.ResourceURL}}
		err := m.ask(ctx, m.azure+"/metadata/identity/oauth2/token?"+query.Encode(), "Metadata", "true", &token)
		var of struct {
			Compute struct {
				Name, ResourceGroupName, SubscriptionID, VMScaleSetName string
			}
		}
		if err == nil {
			err = m.ask(ctx, m.azure+"/metadata/instance?api-version=2021-12-13", "Metadata", "true", &of)
		}
		if err != nil {
			return nil, fmt.Errorf("log in with Azure: %w", err)
		}
		return c.login(ctx, call{path: at(a.MountPath), body: map[string]string{
			"role": a.Role, "jwt": token.AccessToken, "vm_name": of.Compute.Name, "vmss_name": of.Compute.VMScaleSetName,
			"subscription_id": of.Compute.SubscriptionID, "resource_group_name": of.Compute.ResourceGroupName,
		}})
	}
}

// gcpToken lasts so long; Vault accepts up to 15 minutes by default.
const gcpToken = 10 * time.Minute

func (a *GCP) login(c *client, m machine) login {
	const account, header = "/computeMetadata/v1/instance/service-accounts/default/", "Metadata-Flavor"
	return func(ctx context.Context) (*lease, error) {
		var jwt string
		var err error
		if a.Type == typeGCE {
			query := url.Values{"audience": {"http://vault/" + a.Role}, "format": {"full"}}
			err = m.ask(ctx, m.gcp+account+"identity?"+query.Encode(), header, "Google", &jwt)
		} else {
			jwt, err = a.signed(ctx, m, m.gcp+account+"token", header)
		}
		if err != nil {
			return nil, fmt.Errorf("log in with GCP: %w", err)
		}
		return c.login(ctx, call{path: at(a.MountPath), body: map[string]string{"role": a.Role, "jwt": jwt}})
	}
}

// signed has Google sign a token of the service account.
func (a *GCP) signed(ctx context.Context, m machine, token, header string) (string, error) {
	var own struct {
		AccessToken string `json:"access_token"`
	}
	if err := m.ask(ctx, token, header, "Google", &own); err != nil {
		return "", err
	}
	claims, err := json.Marshal(map[string]any{"aud": "vault/" + a.Role, "sub": a.IAMServiceAccount, "exp": m.now().Add(gcpToken).Unix()})
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(map[string]string{"payload": string(claims)})
	if err != nil {
		return "", err
	}
	address := m.iam + "/v1/projects/-/serviceAccounts/" + url.PathEscape(a.IAMServiceAccount) + ":signJwt"
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(string(body)))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+own.AccessToken)
	var signed struct {
		JWT string `json:"signedJwt"`
	}
	err = m.send(r, &signed)
	return signed.JWT, err
}

// ask reads the answer of a service of the machine: JSON, or the text itself.
func (m machine) ask(ctx context.Context, address, header, value string, to any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	r.Header.Set(header, value)
	return m.send(r, to)
}

func (m machine) send(r *http.Request, to any) error {
	got, err := m.http.Do(r)
	if err != nil {
		return fmt.Errorf("the machine's identity service does not answer: %w", err)
	}
	defer got.Body.Close()
	text, err := io.ReadAll(io.LimitReader(got.Body, maxAnswer))
	if err != nil {
		return err
	}
	if got.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s: %s", r.URL.Host, got.Status, httpclient.Words(got, text))
	}
	if plain, ok := to.(*string); ok {
		*plain = strings.TrimSpace(string(text))
		return nil
	}
	if err := json.Unmarshal(text, to); err != nil {
		return fmt.Errorf("%s does not answer with JSON", r.URL.Host)
	}
	return nil
}
