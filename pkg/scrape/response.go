package scrape

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/cause"
	"collector/pkg/httpclient"
	"collector/pkg/inspect"
	"collector/pkg/mask"
)

const (
	// shownPage bounds what is read of a target for a person.
	shownPage = 1 << 20
	// shownTime bounds how long a person waits for a target.
	shownTime = 10 * time.Second
)

// Fetch asks a target for its page, for a person to read: as a scrape does, but
// for text only, whatever the status of the answer, without following a redirect,
// and at most 1 MiB. The
// component's own credentials are hidden where the target sends them back.
func (s *Scraper) Fetch(ctx context.Context, id string) (inspect.Response, error) {
	t := s.find(id)
	if t == nil {
		return inspect.Response{}, inspect.ErrNoTarget
	}
	e := t.endpoint()
	e.timeout = min(e.timeout, shownTime)
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	wanted := Config{ScrapeProtocols: textProtocols(), MetricNameEscapingScheme: s.cfg.MetricNameEscapingScheme}
	start := time.Now()
	still := *s.fetcher.client
	still.CheckRedirect = httpclient.FollowNone
	response, err := s.fetcher.request(ctx, &still, &e, wanted.accept())
	if err != nil {
		return inspect.Response{}, s.shownError(err)
	}
	defer response.Body.Close()
	body, err := s.fetcher.beginning(response, shownPage+1)
	if err != nil {
		return inspect.Response{}, s.shownError(e.late(err, true))
	}
	r := inspect.Response{Status: response.Status, ContentType: response.Header.Get("Content-Type"), Took: time.Since(start)}
	if len(body) > shownPage {
		body, r.Truncated = body[:shownPage], true
	}
	// Use the request as it was sent: files may hold other credentials by now.
	text := httpclient.WithoutCredentials(strings.ToValidUTF8(string(body), "\uFFFD"), response)
	r.Body = s.withoutCredentials(text)
	if to, err := response.Location(); err == nil {
		r.Location = s.withoutCredentials(httpclient.WithoutCredentials(httpclient.CleanURL(to), response))
	}
	r.Err = s.wouldFail(&e, response, body, &r)
	return r, nil
}

// shownError is an error without the component's credentials.
type shownError struct {
	text string
	err  error
}

func (e *shownError) Error() string { return e.text }
func (e *shownError) Unwrap() error { return e.err }

func (s *Scraper) shownError(err error) error {
	return &shownError{s.withoutCredentials(err.Error()), err}
}

// wouldFail is why a scrape would fail with an answer.
func (s *Scraper) wouldFail(e *endpoint, response *http.Response, body []byte, shown *inspect.Response) error {
	if response.StatusCode != http.StatusOK {
		_, web := cause.IsWebPage(body)
		return &cause.Answer{
			Err: fmt.Errorf("%w %s", errStatus, response.Status), Status: response.StatusCode, Location: shown.Location,
			Words: s.withoutCredentials(httpclient.Words(response, body)), WebPage: web,
			WantsTLS: cause.SpeaksTLS(response, body),
		}
	}
	if shown.Truncated {
		return nil // the rest is unknown
	}
	r := &reader{
		settings: &s.settings, target: e.labels, out: new(content), now: s.now().UnixMilli(),
		rules: s.rules(labels.NewBuilder(labels.EmptyLabels())),
	}
	if _, err := new(history).read(r, body, shown.ContentType, false); err != nil {
		return s.shownError(err)
	}
	return nil
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

// withoutCredentials is text without the secrets that the component sends, in
// headers and in the query.
func (s *Scraper) withoutCredentials(text string) string {
	text = s.cfg.HTTPClient.WithoutOwnSecrets(text)
	for name, values := range s.cfg.Params {
		if !mask.ShowsParameter(name) {
			text = httpclient.WithoutSecrets(text, values...)
		}
	}
	return mask.WithoutPasswords(text)
}
