package cause_test

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"collector/pkg/cause"
)

// Whatever a server says, what is made of it is short, valid text, in which its
// words are quoted.
func FuzzCause(f *testing.F) {
	f.Add(400, "entry too far behind", "", "loki.write.a", "http://loki:3100/push", 0)
	f.Add(200, "<html><title>x</title>", "http://a/login", "a", "http://[::1]:1/metrics", 3)
	f.Add(500, "dial tcp 1.2.3.4:5: connect: connection refused", "", "otelcol.exporter.otlp.a", "tempo:4317", -1)
	f.Add(0, "\xff{\"a\": 1}", "%zz", "", "%zz", 1<<40)
	f.Fuzz(func(t *testing.T, status int, words, location, component, url string, n int) {
		bad := errors.New(words)
		for _, err := range []error{
			bad, &cause.Answer{Err: bad, Status: status, Words: words, Location: location, WebPage: n%2 == 0},
			&cause.RPC{Err: bad, Code: []string{"Unavailable", "Internal", "Unauthenticated", "Unimplemented"}[n&3], Words: words},
			&cause.Late{Err: bad, Within: time.Duration(n), Connected: n%2 == 0}, &cause.Limit{Err: bad, Argument: "label_limit", Have: int64(n), Most: int64(status)},
			&cause.Page{Err: bad, ContentType: words, Line: n, Text: words, From: location}, cause.NewPage(bad, location, []byte(words)),
		} {
			facts := cause.Target{URL: url, Name: component, Container: &cause.Container{Ports: []int{n}, Networks: []string{"a"}}, Networks: []string{"b"}}
			for _, c := range []cause.Cause{cause.OfTarget(err, facts), cause.OfDestination(err, cause.Destination{Component: component, URL: url, Dropped: n > 0})} {
				const most = 2500
				switch {
				case c.Kind == "" || c.Text == "" || c.Fix == "":
					t.Errorf("%T %q: %+v", err, words, c)
				case len(c.Text) > most || len(c.Fix) > most:
					t.Errorf("%T: %d bytes", err, len(c.Text)+len(c.Fix))
				case utf8.ValidString(words+location+component+url) && !utf8.ValidString(c.Text+c.Fix):
					t.Errorf("%T %q: not UTF-8", err, words)
				case strings.Contains(c.Text, "%!"):
					if !strings.Contains(words+location+component+url, "%!") {
						t.Errorf("%T %q: %s", err, words, c.Text)
					}
				}
			}
		}
	})
}
