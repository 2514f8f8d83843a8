package cause

import (
	"bytes"
	"fmt"
	"html"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"collector/pkg/human"
)

// badPage is a page that can't be read.
func (t *Target) badPage(p *Page) Cause {
	from := ""
	if u, err := url.Parse(p.From); err == nil && p.From != "" {
		from = u.Path
	}
	media, _, _ := mime.ParseMediaType(p.ContentType)
	switch {
	case p.WebPage:
		return t.webPage(p.Title, from)
	case p.JSON, p.Line == 1 && strings.HasPrefix(strings.TrimSpace(p.Text), "{"):
		return t.instead("JSON")
	case p.Err != nil && strings.Contains(p.Err.Error(), "does not end with # EOF"):
		return Cause{BadLine, fmt.Sprintf("The page of %s ends without # EOF, so it is incomplete.", t.name()), "Check why the service does not write all of it, or remove OpenMetrics from scrape_protocols."}
	case p.Line > 0:
		return t.badLine(p)
	case p.ContentType == "":
		return Cause{NotMetrics, t.name() + " does not say what its response is: it has no content type.", "Set scrape_fallback_protocol in the component, such as \"PrometheusText0.0.4\", if the response is metrics."}
	case !isMetrics(media):
		return t.instead("content of the type " + cut(p.ContentType, 100))
	}
	return Cause{NotMetrics, fmt.Sprintf("The response of %s can't be read as metrics: %s", t.name(), sentence(cut(p.Err.Error(), 400))), "Open the target's page and choose Fetch now to see the response."}
}

func isMetrics(media string) bool {
	switch media {
	case "text/plain", "application/openmetrics-text", "application/vnd.google.protobuf":
		return true
	}
	return false
}

// elsewhere is the advice to scrape another path or port.
func (t *Target) elsewhere() string {
	return "Set the path that serves " + t.wants() + " by " + t.setPath() + ", or the port by " + t.setPort() + "." + t.tryPort()
}

func (t *Target) webPage(title, from string) Cause {
	if title != "" {
		title = " (" + quoted(title) + ")"
	}
	if from != "" && isLogin(from) {
		return Cause{Login, fmt.Sprintf("%s redirects to %s, a login page%s.", t.name(), cut(from, 300), title),
			"Set its credentials in the component, or the path or port that serves " + t.wants() + " without a login." + t.tryPort()}
	}
	if from != "" {
		from = ", at " + cut(from, 300) + " to which it redirects,"
	}
	return Cause{WebPage, fmt.Sprintf("%s answers with a web page%s%s instead of metrics.", t.name(), title, from), t.elsewhere()}
}

func (t *Target) instead(what string) Cause {
	return Cause{NotMetrics, fmt.Sprintf("%s answers with %s instead of metrics.", t.name(), what), t.elsewhere()}
}

// badLine is a line that is no metric.
func (t *Target) badLine(p *Page) Cause {
	const fix = "Fix the code that writes this line: because of it, none of the page is used."
	if p.Why != "" {
		return Cause{BadLine, fmt.Sprintf("Line %s of the page of %s can't be used: %s", human.Count(float64(p.Line)), t.name(), sentence(cut(p.Why, 400))), fix}
	}
	if value, is := valueOf(p.Text); is && !isNumber(value) {
		return Cause{NotNumber, fmt.Sprintf("Line %s of the page of %s has the value %s, which is not a number: %s.", human.Count(float64(p.Line)), t.name(), quoted(value), quoted(p.Text)), fix}
	}
	return Cause{BadLine, fmt.Sprintf("Line %s of the page of %s is not in the metrics format: %s.", human.Count(float64(p.Line)), t.name(), quoted(p.Text)), fix}
}

// seriesLine is a line with a series and what follows it. The labels may hold
// anything, quotes excepted.
var seriesLine = regexp.MustCompile(`^\s*[a-zA-Z_:][a-zA-Z0-9_:]*\s*(?:\{(?:[^"{}]|"(?:[^"\\]|\\.)*")*\})?\s*(\S+)(?:\s|$)`)

// valueOf is the value on a line, if it has the form of a series.
func valueOf(line string) (value string, is bool) {
	m := seriesLine.FindStringSubmatch(line)
	if m == nil {
		return "", false
	}
	return m[1], true
}

func isNumber(text string) bool {
	if strings.ContainsAny(text, "pP_") {
		return false // which Go accepts and the format doesn't
	}
	_, err := strconv.ParseFloat(text, 64)
	return err == nil
}

var pageTitle = regexp.MustCompile(`(?is)<title[^>]*>(.*?)</title>`)

// maxBeginning is how much of a text is looked at to tell what it is.
const maxBeginning = 8 << 10

// IsWebPage reports whether text begins as an HTML document does, whatever its
// content type says, and gives its title, on one line.
func IsWebPage(text []byte) (title string, is bool) {
	text = text[:min(len(text), maxBeginning)]
	kind := http.DetectContentType(text)
	xhtml := strings.HasPrefix(kind, "text/xml") && bytes.Contains(bytes.ToLower(text), []byte("<html"))
	if !strings.HasPrefix(kind, "text/html") && !xhtml {
		return "", false
	}
	if found := pageTitle.FindSubmatch(text); found != nil {
		title = cut(oneLine(html.UnescapeString(string(found[1]))), 200)
	}
	return title, true
}

// oneLine is text without line breaks and control characters.
func oneLine(text string) string {
	text = strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return ' '
		}
		return c
	}, text)
	return strings.Join(strings.Fields(text), " ")
}
