package remotewrite

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"collector/pkg/httpclient"
)

func TestAnApplicationOfAzureIsOAuth2(t *testing.T) {
	for cloud, want := range map[string]httpclient.OAuth2{
		"AzurePublic":     {TokenURL: "https://login.microsoftonline.com/t%2F1/oauth2/v2.0/token", Scopes: []string{"https://monitor.azure.com//.default"}},
		"AzureChina":      {TokenURL: "https://login.chinacloudapi.cn/t%2F1/oauth2/v2.0/token", Scopes: []string{"https://monitor.azure.cn//.default"}},
		"AzureGovernment": {TokenURL: "https://login.microsoftonline.us/t%2F1/oauth2/v2.0/token", Scopes: []string{"https://monitor.azure.us//.default"}},
	} {
		a := AzureAD{Cloud: cloud, OAuth: &AzureOAuth{ClientID: "c", ClientSecret: "s", TenantID: "t/1"}}
		if err := a.Validate(); err != nil {
			t.Error(err)
		}
		want.ClientID, want.ClientSecret = "c", "s"
		if diff := cmp.Diff(&want, a.authenticate(httpclient.Default()).OAuth2); diff != "" {
			t.Errorf("%s: %s", cloud, diff)
		}
	}
	asked := ""
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.Method + " " + r.Host
		w.WriteHeader(http.StatusForbidden)
	}))
	defer proxy.Close()
	e := testEndpoint(t, "http://vm", func(e *Endpoint) {
		e.AzureAD = &AzureAD{Cloud: "AzurePublic", OAuth: &AzureOAuth{ClientID: "c", ClientSecret: "s", TenantID: "t"}}
		e.Client.ProxyURL = proxy.URL
	})
	if _, err := e.client.HTTP.Get("http://vm/"); err == nil || asked != "CONNECT login.microsoftonline.com:443" {
		t.Errorf("%q, %v", asked, err)
	}
}

func TestAManagedIdentityAuthenticatesRequests(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	var given []string
	refuse := false
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, r.URL.RawQuery+" "+r.Header.Get("Metadata"))
		fmt.Fprintf(w, `{"access_token": "token%d", "expires_in": "3600", "token_type": "Bearer"}`, len(asked))
	}))
	defer service.Close()
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		given = append(given, r.Header.Get("Authorization"))
		if refuse {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer backend.Close()
	a := AzureAD{Cloud: "AzurePublic", ManagedIdentity: &AzureManagedIdentity{ClientID: "id1"}}
	i := a.identity(http.DefaultTransport)
	i.url = service.URL + strings.TrimPrefix(i.url, identityService)
	now := time.Now()
	i.now = func() time.Time { return now }
	send := func() {
		t.Helper()
		resp, err := (&http.Client{Transport: i}).Get(backend.URL)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	send()
	now = now.Add(50 * time.Minute)
	send()
	now = now.Add(6 * time.Minute) // less than the margin is left
	send()
	refuse = true
	send()
	send()
	i.CloseIdleConnections()
	mu.Lock()
	defer mu.Unlock()
	if diff := cmp.Diff([]string{"Bearer token1", "Bearer token1", "Bearer token2", "Bearer token2", "Bearer token3"}, given); diff != "" {
		t.Error(diff)
	}
	for _, query := range asked {
		if query != "api-version=2018-02-01&client_id=id1&resource=https%3A%2F%2Fmonitor.azure.com%2F true" {
			t.Error(query)
		}
	}
}

func TestWithoutATokenNoRequestGoesOut(t *testing.T) {
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"refused": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"error": "invalid_request", "message": "Identity not found"}`)
		}, "answers 400 Bad Request: Identity not found"},
		"no field": {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{}`) }, "contains no token"},
		"a page":   {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `<html>`) }, "contains no token"},
		"validity": {func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"access_token": "a", "expires_in": "soon"}`)
		}, "does not say how long"},
	} {
		service := httptest.NewServer(c.answer)
		a := AzureAD{Cloud: "AzurePublic", ManagedIdentity: &AzureManagedIdentity{}}
		i := a.identity(http.DefaultTransport)
		i.url = service.URL
		_, err := (&http.Client{Transport: i}).Get("http://127.0.0.1:1/")
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		service.Close()
	}
	if _, lasts, err := readToken([]byte(`{"access_token": "a", "expires_in": 7}`)); err != nil || lasts != 7*time.Second {
		t.Errorf("a number: %s, %v", lasts, err)
	}
}

func TestABlockForAzureThatCannotWorkIsRejected(t *testing.T) {
	oauth := &AzureOAuth{ClientID: "c", ClientSecret: "s", TenantID: "t"}
	for want, a := range map[string]AzureAD{
		"is unknown":                    {Cloud: "x", OAuth: oauth},
		"exactly one":                   {Cloud: "AzurePublic"},
		"exactly one of":                {Cloud: "AzurePublic", OAuth: oauth, ManagedIdentity: &AzureManagedIdentity{}},
		"use managed_identity or oauth": {Cloud: "AzurePublic", SDK: &AzureSDK{TenantID: "t"}},
		"must not be empty":             {Cloud: "AzurePublic", OAuth: &AzureOAuth{ClientID: "c", TenantID: "t"}},
	} {
		if err := a.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func FuzzReadToken(f *testing.F) {
	f.Add([]byte(`{"access_token": "a", "expires_in": "3600"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		token, lasts, err := readToken(body)
		if (err == nil) != (token != "") || lasts < 0 {
			t.Fatalf("%q, %s, %v", token, lasts, err)
		}
	})
}
