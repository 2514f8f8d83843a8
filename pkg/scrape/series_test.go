package scrape

import (
	"errors"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
)

// However long the names and values of a page or a target are, what is logged,
// kept and shown of them is short.
func TestErrorsQuoteOnlyTheBeginning(t *testing.T) {
	const most = 4 << 10
	long := strings.Repeat("\x01", 1<<20)
	cfg := config(nil)
	for name, err := range map[string]error{
		"a label name":         read(textType, `a{"x.y"="`+long+"\"} 1\n"),
		"a long label name":    read(textType, `a{"`+long+"\"=\"1\"} 1\n"),
		"a metric name":        read(textType, `{"`+long+"\"} 1\n"),
		"a label twice":        read(textType, `a{x="`+long+"\",x=\"1\"} 1\n"),
		"not UTF-8":            read(textType, `a{x="`+strings.Repeat("\xff", 1<<20)+"\"} 1\n"),
		"syntax":               read(textType, `a{x="`+long+"\" 1\n"),
		"syntax (OpenMetrics)": read(openMetricsType, `a{x="`+long+"\" 1\n# EOF\n"),
		"content type":         parsed().fail("text/"+long, "a 1\n"),
		"a target's label":     endpointOf(cfg, "x", long+"\xff"),
		"a target's address":   endpointOf(cfg, "__address__", "http://"+long),
		"a target's interval":  endpointOf(cfg, "__scrape_interval__", long),
		"a target's URL":       endpointOf(cfg, "__address__", "a:80"+long),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		} else if n := len(err.Error()); n > most {
			t.Errorf("%s: the error has %d bytes: %.80s", name, n, err)
		}
	}
}

func read(contentType, page string) error { return parsed().fail(contentType, page) }

// fail reads a page that has an error.
func (p *pages) fail(contentType, page string) error {
	p.settings.fallback = ""
	var out content
	_, err := p.history.read(&reader{settings: &p.settings, rules: &p.rules, target: p.target, now: p.now, out: &out}, []byte(page), contentType, p.track)
	return err
}

func endpointOf(cfg Config, name, value string) error {
	b := labels.NewBuilder(at("a:1"))
	_, err := newEndpoint(&cfg, "j", b.Set(name, value).Labels())
	return err
}

// A series beyond a label limit counts as that, whatever else is wrong with it.
func TestLabelLimitsComeFirst(t *testing.T) {
	p := parsed()
	p.rules.valLengthMax = 10
	if err := p.fail(textType, `a{"x.y"="12345678901"} 1`+"\n"); !errors.Is(err, errLabelLimit) {
		t.Errorf("the error is %v", err)
	}
}
