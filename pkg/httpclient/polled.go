package httpclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"collector/pkg/component"
	"collector/pkg/mask"
)

// Polled configures a request that is sent again and again for one document: the
// arguments that import.http and remote.http have in common.
type Polled struct {
	URL           string            `alloy:"url,attr"`
	PollFrequency time.Duration     `alloy:"poll_frequency,attr,optional"`
	PollTimeout   time.Duration     `alloy:"poll_timeout,attr,optional"`
	Method        string            `alloy:"method,attr,optional"`
	Headers       map[string]string `alloy:"headers,attr,optional"`
	Body          string            `alloy:"body,attr,optional"`
	Client        Config            `alloy:"client,block,optional"`
}

// PolledDefault is what Alloy sends if only the URL is configured.
func PolledDefault() Polled {
	return Polled{PollFrequency: time.Minute, PollTimeout: 10 * time.Second, Method: http.MethodGet, Client: Default()}
}

// Validate checks what the types allow and a request does not.
func (p *Polled) Validate() error {
	switch {
	case p.PollFrequency <= 0:
		return component.At("poll_frequency", errors.New("must be more than 0s"))
	case p.PollTimeout <= 0:
		return component.At("poll_timeout", errors.New("must be more than 0s"))
	case p.PollTimeout >= p.PollFrequency:
		return component.At("poll_timeout", fmt.Errorf("must be less than poll_frequency, which is %s", p.PollFrequency))
	}
	if why := Off(p.URL); why != "" {
		return component.At("url", errors.New(why))
	}
	if _, err := http.NewRequest(p.Method, p.URL, nil); err != nil {
		return component.At("method", fmt.Errorf("%q is not an HTTP method", p.Method))
	}
	return nil
}

// Fetch sends the request with client, and returns the body of the response: of at most
// limit bytes, and with status 200, or it is an error. No error shows a password.
func (p *Polled) Fetch(ctx context.Context, client *http.Client, limit int) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, p.PollTimeout)
	defer cancel()
	// An idle connection would outlive a component that is made and never run.
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, p.Method, p.URL, strings.NewReader(p.Body))
	if err != nil {
		return nil, err
	}
	for name, value := range p.Headers {
		SetHeader(request, name, value)
	}
	answer, err := client.Do(request)
	if err != nil {
		return nil, errors.New(mask.WithoutPasswords(err.Error()))
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, int64(limit)+1))
	switch {
	case err != nil:
		return nil, errors.New(mask.WithoutPasswords(err.Error()))
	case answer.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("the server answers %s", answer.Status)
	case len(text) > limit:
		return nil, fmt.Errorf("it is larger than %d MiB", limit>>20)
	}
	return text, nil
}
