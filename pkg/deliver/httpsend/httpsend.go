// Package httpsend sends what a queue holds by HTTP, and judges the answer: the
// same for all writers, but for the exceptions that a protocol needs.
package httpsend

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"collector/pkg/cause"
	"collector/pkg/deliver"
	"collector/pkg/httpclient"
)

// Client sends to one destination. It is safe for concurrent use.
type Client struct {
	// HTTP follows only the redirects that keep the data, as the clients of
	// httpclient.Config.NewPush do. Its own Timeout is not set.
	HTTP    *http.Client
	Timeout time.Duration // of a request, with its answer; 0: none
	// MaxAnswer is how much of an answer is read; 4 KiB when 0.
	MaxAnswer int64
	// Except judges an answer that the protocol takes otherwise than the table
	// of statuses does; nil, or a nil error, leaves it to the table. Without an
	// Err, the error gets the usual text.
	Except func(*Answer) *deliver.Error
	// Hint explains an error of the HTTP client whose usual cause is a wrong setting;
	// nil: none are known.
	Hint func(error) string
	// Observe is called for each request; may be nil. status is 0 if there was no answer.
	Observe func(status int, took time.Duration)

	trails httpclient.Trails
}

// Request is one POST.
type Request struct {
	URL  string
	Body []byte // not read any more once Send has returned
	// Prepare sets the headers, and whatever else the protocol wants; nil: nothing.
	Prepare func(*http.Request)
}

// Answer is what the destination said.
type Answer struct {
	Status int // 0: nothing
	Header http.Header
	Body   []byte // its beginning
	Words  string // what it says for people, without credentials

	response *http.Response
}

// Clean is a text of the answer for people: on one line and without what the
// request carried in secret.
func (a *Answer) Clean(text string) string {
	if a.response == nil {
		return httpclient.OneLine(text)
	}
	return httpclient.WithoutCredentials(httpclient.OneLine(text), a.response)
}

// Close closes the connections that are not in use.
func (c *Client) Close() { c.HTTP.CloseIdleConnections() }

// URL is where the answer comes from, for people: the request may have been
// redirected.
func (a *Answer) URL() string {
	if a.response == nil || a.response.Request == nil {
		return "(unknown)"
	}
	return httpclient.CleanURL(a.response.Request.URL)
}

// defaultAnswer is how much of an answer is read for its words.
const defaultAnswer = 4 << 10

// Send makes one request. Its error is nil if the data has arrived, and else a
// *deliver.Error, whose text names the URL. The answer is there with an error too.
func (c *Client) Send(ctx context.Context, r Request) (Answer, error) {
	start := time.Now()
	a, err := c.post(ctx, r)
	if c.Observe != nil {
		c.Observe(a.Status, time.Since(start))
	}
	if err != nil {
		return a, &deliver.Error{Err: fmt.Errorf("POST %s: %w", cleanURL(r.URL), err)}
	}
	if verdict := c.judge(&a); verdict != nil {
		return a, verdict
	}
	return a, nil
}

func (c *Client) post(ctx context.Context, r Request) (Answer, error) {
	var late error // nil: there is no timeout
	if c.Timeout > 0 {
		late = fmt.Errorf("no answer within %s", c.Timeout)
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, c.Timeout, late)
		defer cancel()
	}
	data := &body{data: r.Body}
	defer data.detach()
	ctx, trail := c.trails.Begin(ctx)
	request, err := data.request(ctx, r.URL)
	if err != nil {
		c.trails.End(trail)
		return Answer{}, errors.New("the URL is not valid") // the error would show it as it is
	}
	if r.Prepare != nil {
		r.Prepare(request)
	}
	response, err := c.HTTP.Do(request)
	connected := c.trails.End(trail)
	if err != nil {
		return Answer{}, c.explain(err, late, connected)
	}
	defer response.Body.Close()
	limit := c.MaxAnswer
	if limit == 0 {
		limit = defaultAnswer
	}
	text := httpclient.Beginning(response, limit)
	return Answer{
		Status: response.StatusCode, Header: response.Header, Body: text, Words: httpclient.Words(response, text), response: response,
	}, nil
}

// explain is an error of the HTTP client without the URL, which may hold
// credentials and which is named already. late is what a timeout is called;
// connected says whether there was a connection.
func (c *Client) explain(err, late error, connected bool) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		err = failed.Err
	}
	if late != nil && (err == context.DeadlineExceeded || errors.Is(err, late)) {
		return &cause.Late{Err: late, Within: c.Timeout, Connected: connected}
	}
	if c.Hint != nil {
		if hint := c.Hint(err); hint != "" {
			return fmt.Errorf("%w; %s", err, hint)
		}
	}
	return err
}

// judge says what is to become of the data; nil if it has arrived.
func (c *Client) judge(a *Answer) *deliver.Error {
	e := c.verdict(a)
	if e == nil {
		return nil
	}
	if e.Err == nil {
		e.Err = a.refusal()
	}
	e.Err = a.explained(e.Err)
	if !e.Rejected {
		e.RetryAfter = RetryAfter(a.Header, time.Now())
	}
	return e
}

func (c *Client) verdict(a *Answer) *deliver.Error {
	if a.response != nil {
		if err := httpclient.Unacknowledged(a.response, a.Body); err != nil {
			return &deliver.Error{Err: err}
		}
	}
	if c.Except != nil {
		if e := c.Except(a); e != nil {
			return e
		}
	}
	if a.response != nil && cause.SpeaksTLS(a.response, a.Body) {
		return &deliver.Error{} // it is about the URL's scheme, not about the data
	}
	return byStatus(a.Status)
}

// byStatus is the table: what a status says of the data. A refusal is final only
// if it is about the data itself. What a change of either side's configuration
// or state can fix is kept and sent again: credentials (401, 403, 407), a plan
// that is not paid for (402), a wrong path or method (404, 405, 410, 421), an
// encoding that the server does not know (415), limits of rate (429) and time
// (408), the server's own failures (5xx), and whatever else somebody in between
// may say. A redirect never means that the data has arrived.
func byStatus(status int) *deliver.Error {
	switch status {
	case http.StatusRequestEntityTooLarge:
		return &deliver.Error{Rejected: true, TooLarge: true}
	case http.StatusBadRequest, http.StatusConflict, http.StatusRequestURITooLong, http.StatusUnprocessableEntity:
		return &deliver.Error{Rejected: true}
	}
	if status/100 == 2 {
		return nil
	}
	return &deliver.Error{}
}

// refusal is an answer as an error.
func (a *Answer) refusal() error {
	text := fmt.Sprint(a.Status)
	if name := http.StatusText(a.Status); name != "" {
		text += " " + name
	}
	if a.Words != "" {
		text += ": " + a.Words
	}
	return fmt.Errorf("POST %s: %s", a.URL(), text)
}

// explained is err with what package cause needs to know about the response.
func (a *Answer) explained(err error) error {
	out := &cause.Answer{Err: err, Status: a.Status, Words: a.Words}
	_, out.WebPage = cause.IsWebPage(a.Body)
	if a.response == nil {
		return out
	}
	out.WantsTLS = cause.SpeaksTLS(a.response, a.Body)
	if to, err := a.response.Location(); err == nil && a.Status/100 == 3 {
		out.Location = a.Clean(httpclient.CleanURL(to))
	}
	return out
}

func cleanURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "(not a valid URL)"
	}
	return httpclient.CleanURL(u)
}
