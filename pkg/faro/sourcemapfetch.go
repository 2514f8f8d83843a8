package faro

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// maxRedirects is how often a download is redirected.
const maxRedirects = 10

// downloader downloads source maps: the script, which says where its source map is,
// and that. Only from allowed origins: what is requested is what a page says.
type downloader struct {
	origins []string
	agent   string
	max     int // bytes of a script or a source map
	client  *http.Client
	metrics *mapMetrics
}

func newDownloader(c SourceMapsConfig, agent string, most int, m *mapMetrics) *downloader {
	d := &downloader{origins: c.DownloadFromOrigins, agent: agent, max: most, metrics: m}
	d.client = &http.Client{
		Timeout:   c.DownloadTimeout,
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, ForceAttemptHTTP2: true},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return fmt.Errorf("it is redirected more than %d times", maxRedirects)
			}
			return d.check(r.URL.String())
		},
	}
	return d
}

func (d *downloader) check(address string) error {
	if !d.allowed(address) {
		return fmt.Errorf("%.200s is not from an origin in download_from_origins", address)
	}
	return nil
}

// allowed reports whether a URL is of one of the origins. Stars and question marks
// are wildcards, and what follows the host in an origin is the beginning of a path.
func (d *downloader) allowed(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return false
	}
	for _, origin := range d.origins {
		host, path := origin, ""
		if i := strings.Index(origin, "://"); i >= 0 {
			if slash := strings.IndexByte(origin[i+len("://"):], '/'); slash >= 0 {
				host, path = origin[:i+len("://")+slash], origin[i+len("://")+slash:]
			}
		}
		ofHost := matches(host, u.Scheme+"://"+u.Host) || matches(host, u.Scheme+"://"+u.Hostname())
		if ofHost && matches(path+"*", u.EscapedPath()) {
			return true
		}
	}
	return false
}

// matches reports whether pattern, in which * is any text and ? any byte, is all of
// text.
func matches(pattern, text string) bool {
	star, again := -1, 0 // the last star, and where in text it was tried last
	p, t := 0, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, again = p, t
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == text[t]):
			p++
			t++
		case star >= 0:
			again++
			p, t = star+1, again
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// sourceMap downloads the source map of a script, with the URL that its sources are
// relative to; nil: the script names none.
func (d *downloader) sourceMap(ctx context.Context, script string) (content []byte, from string, err error) {
	text, err := d.get(ctx, script)
	if err != nil {
		return nil, "", err
	}
	named := mapOf(text)
	if named == "" {
		return nil, "", nil
	}
	if data, ok := strings.CutPrefix(named, "data:"); ok {
		content, err = inline(data)
		return content, script + ".map", err
	}
	base, err := url.Parse(script)
	if err != nil {
		return nil, "", err
	}
	at, err := base.Parse(named)
	if err != nil {
		return nil, "", fmt.Errorf("the script names the source map %.200q: %w", named, err)
	}
	from = at.String()
	if err := d.check(from); err != nil {
		return nil, "", err
	}
	content, err = d.get(ctx, from)
	return content, from, err
}

// get downloads a file.
func (d *downloader) get(ctx context.Context, address string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("User-Agent", d.agent)
	resp, err := d.client.Do(r)
	if err != nil {
		d.metrics.downloads.WithLabelValues(d.metrics.origin(address), "?").Inc()
		return nil, err
	}
	defer resp.Body.Close()
	d.metrics.downloads.WithLabelValues(d.metrics.origin(address), strconv.Itoa(resp.StatusCode)).Inc()
	if err := errStatus(resp); err != nil {
		return nil, fmt.Errorf("download %s: %w", address, err)
	}
	content, err := readLimited(resp.Body, d.max)
	if err != nil {
		return nil, fmt.Errorf("download %s: %w", address, err)
	}
	return content, nil
}

// mapComment is the comment at the end of a script that names its source map.
var mapComment = regexp.MustCompile(`^//[#@]\s(?:sourceMappingURL|sourceURL)=\s*(\S+)\s*$`)

// mapOf is the URL of the source map that a script names; empty: none.
func mapOf(script []byte) string {
	start := max(bytes.LastIndex(script, []byte("//# source")), bytes.LastIndex(script, []byte("//@ source")))
	if start < 0 {
		return ""
	}
	if m := mapComment.FindSubmatch(script[start:]); m != nil {
		return string(m[1])
	}
	return ""
}

var errInline = errors.New("the source map in the script is not valid base64, or not valid percent-encoding")

// inline is what is in a data URL, without its scheme.
func inline(data string) ([]byte, error) {
	kind, text, ok := strings.Cut(data, ",")
	text, err := url.PathUnescape(text)
	if !ok || err != nil {
		return nil, errInline
	}
	if !strings.HasSuffix(kind, ";base64") {
		return []byte(text), nil
	}
	content, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil {
		return nil, errInline
	}
	return content, nil
}
