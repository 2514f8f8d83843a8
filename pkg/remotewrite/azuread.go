package remotewrite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"collector/pkg/component"
	"collector/pkg/httpclient"
)

// AzureAD is how requests are authenticated to Azure Monitor: by an application, or
// by the identity that Azure gives to the virtual machine.
type AzureAD struct {
	Cloud           string                `alloy:"cloud,attr,optional"`
	ManagedIdentity *AzureManagedIdentity `alloy:"managed_identity,block,optional"`
	OAuth           *AzureOAuth           `alloy:"oauth,block,optional"`
	SDK             *AzureSDK             `alloy:"sdk,block,optional"`
}

// AzureManagedIdentity is an identity of the virtual machine. Without a ClientID it is
// the only one that there is.
type AzureManagedIdentity struct {
	ClientID string `alloy:"client_id,attr"`
}

// AzureOAuth is an application.
type AzureOAuth struct {
	ClientID     string           `alloy:"client_id,attr"`
	ClientSecret component.Secret `alloy:"client_secret,attr"`
	TenantID     string           `alloy:"tenant_id,attr"`
}

// AzureSDK is read so that it can be rejected by name.
type AzureSDK struct {
	TenantID string `alloy:"tenant_id,attr"`
}

// SetToDefault sets Alloy's defaults.
func (a *AzureAD) SetToDefault() { *a = AzureAD{Cloud: "AzurePublic"} }

// cloud is where a cloud of Azure has its logins, and the service for the samples.
func (a *AzureAD) cloud() (login, audience string, ok bool) {
	switch a.Cloud {
	case "AzurePublic":
		return "https://login.microsoftonline.com", "https://monitor.azure.com/", true
	case "AzureChina":
		return "https://login.chinacloudapi.cn", "https://monitor.azure.cn/", true
	case "AzureGovernment":
		return "https://login.microsoftonline.us", "https://monitor.azure.us/", true
	}
	return "", "", false
}

// Validate reports what cannot work.
func (a *AzureAD) Validate() error {
	if _, _, ok := a.cloud(); !ok {
		return component.At("cloud", fmt.Errorf("%q is unknown: use \"AzurePublic\", \"AzureChina\" or \"AzureGovernment\"", a.Cloud))
	}
	ways := 0
	for _, set := range []bool{a.ManagedIdentity != nil, a.OAuth != nil, a.SDK != nil} {
		if set {
			ways++
		}
	}
	switch {
	case ways != 1:
		return errors.New("exactly one of the blocks managed_identity and oauth must be set")
	case a.SDK != nil:
		return component.At("sdk", errors.New("it needs Azure's own library, which is not linked: use managed_identity or oauth"))
	case a.OAuth != nil && (a.OAuth.ClientID == "" || a.OAuth.ClientSecret == "" || a.OAuth.TenantID == ""):
		return component.At("oauth", errors.New("client_id, client_secret and tenant_id must not be empty"))
	}
	return nil
}

// authenticate makes an application authenticate the requests of c, which is ordinary
// OAuth2.
func (a *AzureAD) authenticate(c httpclient.Config) httpclient.Config {
	if a.OAuth == nil {
		return c
	}
	login, audience, _ := a.cloud()
	c.OAuth2 = &httpclient.OAuth2{
		ClientID: a.OAuth.ClientID, ClientSecret: a.OAuth.ClientSecret,
		TokenURL: login + "/" + url.PathEscape(a.OAuth.TenantID) + "/oauth2/v2.0/token",
		Scopes:   []string{audience + "/.default"},
		ProxyURL: c.ProxyURL, NoProxy: c.NoProxy, ProxyFromEnvironment: c.ProxyFromEnvironment, ProxyConnectHeader: c.ProxyConnectHeader,
	}
	return c
}

const (
	// identityService is where a virtual machine gets the tokens of its identities.
	identityService = "http://169.254.169.254/metadata/identity/oauth2/token"
	// identityTimeout is how long that may take.
	identityTimeout = 10 * time.Second
	// identityMargin is how long before its end a token is no longer used.
	identityMargin = 5 * time.Minute
	largestToken   = 64 << 10
)

// identity authenticates requests by the identity of the virtual machine.
type identity struct {
	next   http.RoundTripper
	client *http.Client // of the service, which has no proxy
	url    string
	now    func() time.Time

	turn    chan struct{} // holds one element while nobody uses what follows
	token   string
	expires time.Time
}

func (a *AzureAD) identity(next http.RoundTripper) *identity {
	_, audience, _ := a.cloud()
	query := url.Values{"api-version": {"2018-02-01"}, "resource": {audience}}
	if id := a.ManagedIdentity.ClientID; id != "" {
		query.Set("client_id", id)
	}
	i := &identity{
		next: next, client: &http.Client{Transport: &http.Transport{}, Timeout: identityTimeout},
		url: identityService + "?" + query.Encode(), now: time.Now, turn: make(chan struct{}, 1),
	}
	i.turn <- struct{}{}
	return i
}

// RoundTrip implements http.RoundTripper.
func (i *identity) RoundTrip(r *http.Request) (*http.Response, error) {
	token, err := i.current(r.Context())
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+token)
	answer, err := i.next.RoundTrip(r)
	if err == nil && answer.StatusCode == http.StatusUnauthorized {
		i.forget(token)
	}
	return answer, err
}

// CloseIdleConnections is what http.Client looks for.
func (i *identity) CloseIdleConnections() {
	i.client.CloseIdleConnections()
	if c, ok := i.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// forget drops a token that was refused.
func (i *identity) forget(token string) {
	<-i.turn
	defer func() { i.turn <- struct{}{} }()
	if i.token == token {
		i.token = ""
	}
}

// current is a token that is valid. One caller at a time asks for it.
func (i *identity) current(ctx context.Context) (string, error) {
	select {
	case <-i.turn:
		defer func() { i.turn <- struct{}{} }()
	case <-ctx.Done():
		return "", fmt.Errorf("wait for a token of the managed identity: %w", ctx.Err())
	}
	if i.token != "" && i.now().Add(identityMargin).Before(i.expires) {
		return i.token, nil
	}
	token, lasts, err := i.fetch(ctx)
	if err != nil {
		return "", fmt.Errorf("fetch a token of the managed identity: %w", err)
	}
	i.token, i.expires = token, i.now().Add(lasts)
	return token, nil
}

// fetch asks the service for a token.
func (i *identity) fetch(ctx context.Context) (token string, lasts time.Duration, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, i.url, nil)
	if err != nil {
		return "", 0, err
	}
	r.Header.Set("Metadata", "true")
	answer, err := i.client.Do(r)
	if err != nil {
		return "", 0, fmt.Errorf("the machine's identity service, which only Azure has, does not answer: %w", err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, largestToken))
	if err != nil {
		return "", 0, err
	}
	if answer.StatusCode != http.StatusOK {
		return "", 0, fmt.Errorf("the identity service answers %s: %s", answer.Status, httpclient.Words(answer, body))
	}
	return readToken(body)
}

// readToken reads what the service answers. Its numbers are texts.
func readToken(body []byte) (token string, lasts time.Duration, err error) {
	var got struct {
		Token   string          `json:"access_token"`
		Expires json.RawMessage `json:"expires_in"`
	}
	if err := json.Unmarshal(body, &got); err != nil || got.Token == "" {
		return "", 0, errors.New("the response of the identity service contains no token")
	}
	var text string
	if json.Unmarshal(got.Expires, &text) != nil {
		text = string(got.Expires)
	}
	seconds, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return "", 0, errors.New("the identity service does not say how long its token is valid")
	}
	return got.Token, time.Duration(seconds) * time.Second, nil
}
