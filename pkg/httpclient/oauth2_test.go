package httpclient

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	promconfig "github.com/prometheus/common/config"

	"collector/pkg/clock/clocktest"
)

// granting is a client of a server whose tokens are "1", "2" and so on and last an
// hour. The server it asks answers with the status that the token has in statuses,
// or else 200.
func granting(t *testing.T, statuses map[string]int) (ask func() (token string), passed *time.Duration) {
	t.Helper()
	var granted int
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		granted++
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"access_token":"%d","token_type":"Bearer","expires_in":3600}`, granted)
	}))
	t.Cleanup(tokens.Close)
	asked := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := r.Header.Get("Authorization")
		if status := statuses[token]; status != 0 {
			w.WriteHeader(status)
		}
		_, _ = io.WriteString(w, token)
	}))
	t.Cleanup(asked.Close)
	o := &promconfig.OAuth2{ClientID: "id", ClientSecret: "secret", TokenURL: tokens.URL}
	transport, err := newOAuth2(o, http.DefaultTransport, "test", "a")
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: transport}
	t.Cleanup(client.CloseIdleConnections)
	passed = new(time.Duration)
	// The clock was set back by a day, but time passes.
	transport.now = func() time.Time { return clocktest.Step(time.Now().Add(*passed), -24*time.Hour) }
	return func() string {
		t.Helper()
		answer, err := client.Get(asked.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		token, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(token)
	}, passed
}

func TestATokenExpiresThoughTheClockIsSetBack(t *testing.T) {
	ask, passed := granting(t, nil)
	for _, c := range []struct {
		passed time.Duration
		token  string
	}{{0, "Bearer 1"}, {59 * time.Minute, "Bearer 1"}, {time.Hour, "Bearer 2"}} {
		*passed = c.passed
		if got := ask(); got != c.token {
			t.Errorf("after %s: token %q, want %q", c.passed, got, c.token)
		}
	}
}

func TestATokenThatIsRejectedIsReplaced(t *testing.T) {
	ask, passed := granting(t, map[string]int{"Bearer 1": http.StatusUnauthorized, "Bearer 2": http.StatusForbidden})
	for i, c := range []struct {
		passed time.Duration
		token  string
	}{
		{0, "Bearer 1"},
		{0, "Bearer 1"}, // a new one is not fetched with each request
		{refusedAge, "Bearer 2"},
		{2 * refusedAge, "Bearer 2"}, // 403 says nothing about the token
	} {
		*passed = c.passed
		if got := ask(); got != c.token {
			t.Errorf("request %d, after %s: token %q, want %q", i, c.passed, got, c.token)
		}
	}
}
