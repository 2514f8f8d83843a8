package httpclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

const (
	// expiryMargin is how long before its end a token is no longer used, so that it
	// does not expire on the way.
	expiryMargin = 10 * time.Second
	// refusedAge is the least age at which a token is dropped for a 401: a newer one
	// would hardly be better, and must not be requested each time.
	refusedAge = 10 * time.Second
)

// Tokens gets tokens by the client credentials grant of OAuth2, and keeps the last one
// for as long as it is good. It is safe for concurrent use.
type Tokens struct {
	client     *http.Client // for token requests
	credential func() (clientcredentials.Config, error)
	turn       chan struct{} // holds one element while nobody uses the fields below
	used       clientcredentials.Config
	token      *oauth2.Token
	fetched    time.Time

	refused atomic.Pointer[oauth2.Token] // the last one that was answered with a 401
	now     func() time.Time
}

// NewTokens makes Tokens that ask by transport, each time for timeout at most; 0: for as
// long as who needs the token waits. credential has the client's identity and the URL; it
// is called each time, as files may have changed.
func NewTokens(transport http.RoundTripper, timeout time.Duration, credential func() (clientcredentials.Config, error)) *Tokens {
	// The request carries the client's secret, in a header or in its body.
	client := &http.Client{Transport: transport, CheckRedirect: PushRedirects(true), Timeout: timeout}
	t := &Tokens{client: client, credential: credential, turn: make(chan struct{}, 1), now: time.Now}
	t.turn <- struct{}{}
	return t
}

// CloseIdleConnections closes the connections of token requests.
func (t *Tokens) CloseIdleConnections() { t.client.CloseIdleConnections() }

// Refused says that a server has answered a request with this token by a 401.
func (t *Tokens) Refused(token *oauth2.Token) { t.refused.Store(token) }

// Token returns a token that is valid. One caller at a time asks for it.
func (t *Tokens) Token(ctx context.Context) (*oauth2.Token, error) {
	select {
	case <-t.turn:
		defer func() { t.turn <- struct{}{} }()
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for an OAuth2 token: %w", ctx.Err())
	}
	c, err := t.credential()
	if err != nil {
		return nil, err
	}
	if t.used.ClientID != c.ClientID || t.used.ClientSecret != c.ClientSecret {
		t.token, t.used = nil, c
	}
	if t.usable() {
		return t.token, nil
	}
	t.token, err = c.Token(context.WithValue(ctx, oauth2.HTTPClient, t.client))
	if err != nil {
		return nil, explain(err, c.ClientSecret)
	}
	t.fetched = t.now()
	return t.token, nil
}

// usable reports whether the token can be used again. The library's Valid uses the wall
// clock: when that is set back, an expired token would still count as valid. The caller
// has the turn.
func (t *Tokens) usable() bool {
	if t.token == nil {
		return false
	}
	now := t.now() // with its monotonic reading, as Expiry and fetched have one
	if t.refused.Load() == t.token && now.Sub(t.fetched) >= refusedAge {
		return false
	}
	return t.token.Expiry.IsZero() || t.token.Expiry.Sub(now) > expiryMargin
}

// explain says why there is no token. The server's words may repeat what was
// sent.
func explain(err error, secret string) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		return fmt.Errorf("fetch an OAuth2 token: %w", failed.Err)
	}
	var answer *oauth2.RetrieveError
	if !errors.As(err, &answer) || answer.Response == nil {
		return fmt.Errorf("fetch an OAuth2 token: %w", err)
	}
	if why := Unacknowledged(answer.Response, answer.Body); why != nil {
		return fmt.Errorf("fetch an OAuth2 token: %w", why)
	}
	words := WithoutSecrets(Words(answer.Response, answer.Body), secret)
	return fmt.Errorf("fetch an OAuth2 token from %s: %s: %s", askedURL(answer.Response), answer.Response.Status, words)
}
