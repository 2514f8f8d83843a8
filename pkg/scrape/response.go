package scrape

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"collector/pkg/component"
)

const (
	// shownPage bounds what is read of a target for a person.
	shownPage = 1 << 20
	// shownTime bounds how long a person waits for a target.
	shownTime = 10 * time.Second
)

// Response is what a target answers.
type Response struct {
	Status      string        `json:"status"`
	ContentType string        `json:"contentType"`
	Body        string        `json:"body"`
	Truncated   bool          `json:"truncated"` // there is more than Body
	Took        time.Duration `json:"took"`
}

// ErrNoTarget says that there is no target with an id.
var ErrNoTarget = errors.New("there is no such target")

// Fetch asks a target for its page, for a person to read: as a scrape does, but
// for text only, whatever the status of the answer, and at most 1 MiB. The
// component's own credentials are hidden where the target sends them back.
func (s *Scraper) Fetch(ctx context.Context, id string) (Response, error) {
	t := s.find(id)
	if t == nil {
		return Response{}, ErrNoTarget
	}
	e := t.endpoint()
	ctx, cancel := context.WithTimeout(ctx, min(e.timeout, shownTime))
	defer cancel()
	text := Config{ScrapeProtocols: textProtocols(), MetricNameEscapingScheme: s.cfg.MetricNameEscapingScheme}
	start := time.Now()
	response, err := s.fetcher.request(ctx, &e, text.accept())
	if err != nil {
		return Response{}, errors.New(s.withoutCredentials(err.Error()))
	}
	defer response.Body.Close()
	body, err := s.fetcher.beginning(response, shownPage+1)
	if err != nil {
		return Response{}, errors.New(s.withoutCredentials(err.Error()))
	}
	r := Response{Status: response.Status, ContentType: response.Header.Get("Content-Type"), Took: time.Since(start)}
	if len(body) > shownPage {
		body, r.Truncated = body[:shownPage], true
	}
	r.Body = s.withoutCredentials(strings.ToValidUTF8(string(body), "\uFFFD"))
	return r, nil
}

// beginning reads at most limit bytes of an answer's text.
func (f *fetcher) beginning(response *http.Response, limit int64) ([]byte, error) {
	from, zipped, err := f.content(response)
	if err != nil {
		return nil, err
	}
	if zipped != nil {
		defer f.gzip.Put(zipped)
	}
	return io.ReadAll(io.LimitReader(from, limit))
}

// withoutCredentials is text without the secrets that the component sends.
func (s *Scraper) withoutCredentials(text string) string {
	c := &s.cfg.HTTPClient
	secrets := []component.Secret{c.BearerToken}
	if a := c.BasicAuth; a != nil {
		pair := base64.StdEncoding.EncodeToString([]byte(a.Username + ":" + string(a.Password)))
		secrets = append(secrets, component.Secret(pair), a.Password)
	}
	if a := c.Authorization; a != nil {
		secrets = append(secrets, a.Credentials)
	}
	if o := c.OAuth2; o != nil {
		secrets = append(secrets, o.ClientSecret)
	}
	for _, values := range c.HTTPHeaders {
		secrets = append(secrets, values...)
	}
	for _, secret := range secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, string(secret), "(secret)")
		}
	}
	return text
}
