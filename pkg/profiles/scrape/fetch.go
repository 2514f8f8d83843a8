package scrape

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

	"github.com/klauspost/compress/gzip"
	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/protobuf/encoding/protowire"

	"collector/pkg/cause"
	"collector/pkg/component"
	"collector/pkg/httpclient"
	"collector/pkg/listen"
)

// gzipCost is what a decoder takes, about.
const gzipCost = 64 << 10

var errTooLarge = errors.New("the profile is larger than allowed")

// notProfile is a profile that cannot be used.
type notProfile = cause.NotProfile

// fetch gets a profile, as the target sends it.
func (s *Scraper) fetch(ctx context.Context, e *endpoint, claim *listen.Claim) ([]byte, error) {
	response, err := s.request(ctx, s.client, e, e.url)
	if err != nil {
		return nil, err
	}
	defer func() {
		// The rest, if any, is read so that the connection can be reused.
		_, _ = io.CopyN(io.Discard, response.Body, 64<<10)
		_ = response.Body.Close()
	}()
	if response.StatusCode/100 != 2 {
		return nil, httpclient.Refusal(response, "profiles")
	}
	profile, err := claim.ReadAll(response.Body, response.ContentLength, s.limit)
	switch {
	case err != nil:
		return nil, e.late(err, true)
	case int64(len(profile)) > s.limit:
		return nil, s.tooLarge()
	}
	return profile, isProfile(profile, response.Header.Get("Content-Type"))
}

func (s *Scraper) tooLarge() error {
	return &cause.Limit{Err: fmt.Errorf("%w: a profile may have %s", errTooLarge, component.Bytes(s.limit)), Most: s.limit}
}

// request asks a target for a profile. A timeout is a *cause.Late.
func (s *Scraper) request(ctx context.Context, client *http.Client, e *endpoint, url string) (*http.Response, error) {
	ctx, trail := s.trails.Begin(ctx)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		s.trails.End(trail)
		return nil, err
	}
	request.Header.Set("User-Agent", s.agent)
	response, err := client.Do(request)
	connected := s.trails.End(trail)
	if err != nil {
		return nil, e.late(err, connected)
	}
	return response, nil
}

// late is err and, if it is a timeout, how far the request got.
func (e *endpoint) late(err error, connected bool) error {
	if !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return &cause.Late{
		Err:    fmt.Errorf("the target did not send its profile within %s (scrape_timeout plus the recording time): %w", e.timeout, err),
		Within: e.timeout, Setting: "scrape_timeout", Connected: connected,
	}
}

// isProfile reports what is not a profile in pprof's format, as far as its beginning
// shows. Alloy wants this content type, too.
func isProfile(data []byte, contentType string) error {
	const wanted = "application/octet-stream"
	media, _, _ := mime.ParseMediaType(contentType)
	bad := func(instead, format string, args ...any) error {
		return &notProfile{Err: fmt.Errorf(format, args...), Instead: instead}
	}
	first := bytes.TrimLeft(data[:min(len(data), 64)], " \t\r\n")
	switch _, web := cause.IsWebPage(data[:min(len(data), 4<<10)]); {
	case len(data) == 0:
		return bad("an empty body", "the profile is empty")
	case web:
		return bad("a web page", "the response is a web page")
	case contentType == "":
		return bad("content of no type", "the response has no content type, and not %s", wanted)
	case media != wanted:
		return bad(fmt.Sprintf("content of the type %.100s", contentType), "the response has the content type %.100q, and not %s", contentType, wanted)
	case len(data) > 20 && len(first) > 0 && (first[0] == '{' || first[0] == '['):
		return bad("JSON", "the response is JSON")
	case len(data) < 3, !isGzip(data) && data[0]&7 > 5:
		return bad("data in another format", "the response is not in pprof's format: it begins with %x", data[:min(len(data), 16)])
	}
	return nil
}

func isGzip(data []byte) bool { return bytes.HasPrefix(data, []byte{0x1f, 0x8b}) }

// unpacked is a profile without compression.
func (s *Scraper) unpacked(profile []byte, claim *listen.Claim) ([]byte, error) {
	if !isGzip(profile) {
		return profile, nil
	}
	if err := claim.Grow(gzipCost); err != nil {
		return nil, err
	}
	defer claim.Shrink(gzipCost)
	r, err := gzip.NewReader(bytes.NewReader(profile))
	if err != nil {
		return nil, &notProfile{Err: fmt.Errorf("unpack the profile: %w", err), Instead: "broken gzip"}
	}
	plain, err := claim.ReadAbout(r, listen.GzipSize(profile), s.limit)
	switch {
	case errors.Is(err, listen.ErrNoRoom), errors.Is(err, listen.ErrTooLarge):
		return nil, err
	case err != nil:
		return nil, &notProfile{Err: fmt.Errorf("unpack the profile: %w", err), Instead: "broken gzip"}
	case int64(len(plain)) > s.limit:
		return nil, s.tooLarge()
	}
	return plain, nil
}

// packed is a profile with compression.
func packed(profile []byte) ([]byte, error) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(profile); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// labelDelta says that a profile has been compared with the one before already.
const labelDelta = "__delta__"

// pushRequest is a push.v1.PushRequest with one profile, uncompressed as such.
func pushRequest(e *endpoint, profile []byte) []byte {
	message := func(b []byte, number protowire.Number, content []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(b, number, protowire.BytesType), content)
	}
	lset := e.labels
	if e.compared != nil {
		lset = labels.NewBuilder(lset).Set(labelDelta, "false").Labels()
	}
	var series []byte
	lset.Range(func(l labels.Label) {
		pair := message(message(nil, 1, []byte(l.Name)), 2, []byte(l.Value))
		series = message(series, 1, pair)
	})
	sample := message(make([]byte, 0, len(profile)+16), 1, profile)
	series = message(series, 2, sample)
	return message(make([]byte, 0, len(series)+16), 1, series)
}
