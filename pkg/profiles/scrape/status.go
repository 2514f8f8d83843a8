package scrape

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"collector/pkg/cause"
	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/httpclient"
	"collector/pkg/inspect"
	"collector/pkg/listen"
	"collector/pkg/mask"
	"collector/pkg/profiles/delta"
)

// shownTime bounds how long a person waits for a target.
const shownTime = 10 * time.Second

// causeOf is why a scrape failed, as far as the target itself shows it.
func (e *endpoint) causeOf(err error) cause.Cause {
	c := cause.OfTarget(err, cause.Target{
		URL: mask.WithoutPasswords(e.url), Name: strings.TrimPrefix(e.discovered.Get("__meta_docker_container_name"), "/"), Profile: e.kind,
	})
	c.Text = mask.WithoutPasswords(c.Text)
	return c
}

// ScrapeTargets is part of inspect.Scraper: each kind of profile of each target,
// ordered by their addresses.
func (s *Scraper) ScrapeTargets() []inspect.ScrapeTarget {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]inspect.ScrapeTarget, 0, len(s.targets))
	for _, t := range s.targets {
		out = append(out, t.status())
	}
	slices.SortFunc(out, func(a, b inspect.ScrapeTarget) int {
		return cmp.Or(strings.Compare(a.URL, b.URL), strings.Compare(a.ID, b.ID))
	})
	return out
}

func (t *target) status() inspect.ScrapeTarget {
	t.state.Lock()
	defer t.state.Unlock()
	e := t.state.endpoint
	st := inspect.ScrapeTarget{
		ID: e.id(), Job: e.labels.Get(model.JobLabel), URL: e.url, Profile: e.kind, State: t.state.health,
		Labels: e.shown(), Discovered: e.discovered, LastScrape: t.state.at, Took: t.state.took,
		Interval: e.interval.String(), Samples: t.state.profiles, Err: t.state.err,
	}
	if st.Err != nil {
		st.Error = st.Err.Error()
	}
	return st
}

// Status is a snapshot for the debug UI.
type Status struct {
	Targets []TargetStatus `json:"targets"`
}

// TargetStatus is the state of a profile that is scraped.
type TargetStatus struct {
	URL        string            `json:"url"`
	Profile    string            `json:"profile"`
	Health     string            `json:"health"`
	Labels     map[string]string `json:"labels"`
	LastError  string            `json:"last_error,omitempty"`
	LastScrape time.Time         `json:"last_scrape,omitzero"`
}

// Status returns a Status.
func (s *Scraper) Status() any {
	st := Status{Targets: []TargetStatus{}}
	for _, t := range s.ScrapeTargets() {
		st.Targets = append(st.Targets, TargetStatus{t.URL, t.Profile, t.State, t.Labels.Map(), t.Error, t.LastScrape})
	}
	return st
}

// Failing is part of inspect.Counter.
func (s *Scraper) Failing() (failing, all int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.targets {
		t.state.Lock()
		if t.state.health == healthDown {
			failing++
		}
		t.state.Unlock()
	}
	return failing, len(s.targets)
}

// Consume is part of inspect.TargetConsumer. Of a target's profiles it names the
// first.
func (s *Scraper) Consume(t discovery.Target) (o inspect.Onward, listed bool) {
	if !s.cfg.Targets.Has(t) {
		return o, false
	}
	made, err := s.cfg.endpoints(t)
	switch {
	case errors.Is(err, errEnded):
		o.Why = "its container has exited"
	case err != nil:
		o.Why = err.Error()
	case len(made) == 0:
		o.Why = "all kinds of profiles are disabled"
	case s.find(made[0].id()) == nil:
		o.Why = "the component has not picked it up yet"
	default:
		o = inspect.Onward{Target: made[0].id(), Taken: true}
	}
	return o, true
}

// find looks a target up by its id; nil if there is none.
func (s *Scraper) find(id string) *target {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.targets {
		if e := t.endpoint(); e.id() == id {
			return t
		}
	}
	return nil
}

// Fetch asks a target for a profile, for a person to read what is in it: as a scrape
// does, but without following a redirect, and of a second where the target profiles
// itself for a time. The component's own credentials are hidden where the target
// sends them back.
func (s *Scraper) Fetch(ctx context.Context, id string) (inspect.Response, error) {
	t := s.find(id)
	if t == nil {
		return inspect.Response{}, inspect.ErrNoTarget
	}
	e := t.endpoint()
	e.timeout = min(e.timeout, shownTime)
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	start := time.Now()
	still := *s.client
	still.CheckRedirect = httpclient.FollowNone
	response, err := s.request(ctx, &still, &e, ofASecond(e.url))
	if err != nil {
		return inspect.Response{}, s.shownError(err)
	}
	defer response.Body.Close()
	r := inspect.Response{Status: response.Status, ContentType: response.Header.Get("Content-Type"), Profile: true}
	hide := func(text string) string { return s.withoutCredentials(httpclient.WithoutCredentials(text, response)) }
	if to, err := response.Location(); err == nil {
		r.Location = hide(httpclient.CleanURL(to))
	}
	if response.StatusCode/100 != 2 {
		r.Err = s.shownError(httpclient.Refusal(response, "profiles"))
		r.Took = time.Since(start)
		return r, nil
	}
	claim := s.budget.Claim("fetch "+e.key, nil)
	defer claim.Release()
	profile, err := claim.ReadAll(response.Body, response.ContentLength, s.limit)
	if err != nil {
		return inspect.Response{}, s.shownError(e.late(err, true))
	}
	r.Took = time.Since(start)
	r.Body, err = s.describe(profile, r.ContentType, claim)
	if err != nil {
		r.Err = s.shownError(err)
	}
	r.Body = hide(r.Body)
	return r, nil
}

// describe is what is in a profile, for people; of what is none, its beginning.
func (s *Scraper) describe(profile []byte, contentType string, claim *listen.Claim) (string, error) {
	const some = 4 << 10
	if err := isProfile(profile, contentType); err != nil {
		return strings.ToValidUTF8(string(profile[:min(len(profile), some)]), "\uFFFD"), err
	}
	plain, err := s.unpacked(profile, claim)
	if err != nil {
		return "", err
	}
	cost, err := delta.Cost(plain)
	if err != nil {
		return "", &notProfile{Err: err, Instead: "data in another format"}
	}
	if err := claim.Grow(cost); err != nil {
		return "", err
	}
	text, err := delta.Describe(plain)
	if err != nil {
		return "", &notProfile{Err: err, Instead: "data in another format"}
	}
	return fmt.Sprintf("%s, unpacked %s\n%s", component.Bytes(len(profile)), component.Bytes(len(plain)), text), nil
}

// ofASecond is a URL of a profile that takes a second, if it takes time.
func ofASecond(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return raw
	}
	if q := u.Query(); q.Has("seconds") {
		q.Set("seconds", "1")
		u.RawQuery = q.Encode()
	}
	return u.String()
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
