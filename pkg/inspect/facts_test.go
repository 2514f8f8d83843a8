package inspect

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/cause"
)

// scraping are the rules that the built-in configuration has.
func scraping() Relabeling {
	read := func(names ...string) (out []string) {
		for _, name := range names {
			out = append(out, containerLabel+name)
		}
		return out
	}
	return Relabeling{Component: "discovery.relabel.scrape", Targets: true, Rules: []Rule{
		{Action: "keep", SourceLabels: read("metrics_scrape", "prometheus_io_scrape"), Separator: ";", Regex: "true;.*|.*;true"},
		{Action: "replace", SourceLabels: append([]string{"__address__"}, read("prometheus_io_port")...), TargetLabel: "__address__"},
		{Action: "replace", SourceLabels: append([]string{"__address__"}, read("metrics_port")...), TargetLabel: "__address__"},
		{Action: "replace", SourceLabels: read("prometheus_io_path"), TargetLabel: "__metrics_path__"},
		{Action: "replace", SourceLabels: read("metrics_path"), TargetLabel: "__metrics_path__"},
	}}
}

// container is one with labels, and the target of a URL that is made of it.
func container(url, exposed string, raw map[string]string) (Container, ScrapeTarget) {
	c := Container{ID: "id1", Name: "shop-web-1", Labels: raw, Networks: []string{"shop"}, Here: []string{"shop"}}
	pairs := []string{containerID, c.ID, "__meta_docker_container_name", "/" + c.Name}
	if exposed != "" {
		pairs = append(pairs, exposedPort, exposed)
		c.Ports = []int{8080}
	}
	for name, value := range raw {
		pairs = append(pairs, containerLabel+sanitized(name), value)
	}
	return c, ScrapeTarget{URL: url, Discovered: labels.FromStrings(pairs...), Err: syscall.ECONNREFUSED}
}

func TestAPortThatNobodyChoseIsMentioned(t *testing.T) {
	for name, c := range map[string]struct {
		url, exposed string
		labels       map[string]string
		hint         string
		mistaken     bool
	}{
		"an exposed port":            {"http://10.0.0.2:8080/metrics", "8080", map[string]string{"metrics.scrape": "true"}, "", false},
		"a port that is set":         {"http://10.0.0.2:80/metrics", "", map[string]string{"metrics.port": "80"}, "", false},
		"no port":                    {"http://10.0.0.2:80/metrics", "", map[string]string{"metrics.scrape": "true"}, "The container exposes no port and no label sets one, so port 80, the default, is scraped.", false},
		"a name for a port":          {"http://10.0.0.2:80/metrics", "", map[string]string{"metrics.port": "http"}, "Its label metrics.port is “http”, which is not a port number, so port 80, the default, is scraped.", true},
		"a name beside exposed ones": {"http://10.0.0.2:8080/metrics", "8080", map[string]string{"prometheus.io/port": "http"}, "Its label prometheus.io/port is “http”, which is not a port number, so port 8080, which the container exposes, is scraped.", true},
		"a port that is too large":   {"http://10.0.0.2:8080/metrics", "8080", map[string]string{"metrics.port": "99999"}, "Its label metrics.port is “99999”, which is not a port number", true},
		"a label that nobody reads":  {"http://10.0.0.2:8080/metrics", "8080", map[string]string{"other.port": "http"}, "", false},
	} {
		known, target := container(c.url, c.exposed, c.labels)
		NewFacts([]Container{known}, []Relabeling{scraping()}).Explain(&target)
		if !strings.HasPrefix(target.Hint, c.hint) || (target.Hint == "") != (c.hint == "") || target.Mistaken != c.mistaken {
			t.Errorf("%s: %q, %v", name, target.Hint, target.Mistaken)
		}
		if c.hint != "" && !strings.Contains(target.Cause.Text, target.Hint) {
			t.Errorf("%s: %+v", name, target.Cause)
		}
	}
	// Nothing is known of a target that is no container.
	stranger := ScrapeTarget{URL: "http://example.com:80/metrics", Err: errors.New("x")}
	if NewFacts(nil, []Relabeling{scraping()}).Explain(&stranger); stranger.Hint != "" || stranger.Cause.Kind != cause.Other {
		t.Errorf("%+v", stranger)
	}
}

func TestACauseNamesTheLabelsThatTheRulesRead(t *testing.T) {
	for name, c := range map[string]struct {
		labels map[string]string
		fix    string
	}{
		"the one that it has":        {map[string]string{"prometheus.io/port": "1234", "metrics.scrape": "true"}, "by the label prometheus.io/port."},
		"the one that goes with its": {map[string]string{"prometheus.io/scrape": "true"}, "by the label prometheus.io.port."},
		"the last":                   {nil, "by the label metrics.port."},
	} {
		known, target := container("http://10.0.0.2:1234/metrics", "8080", c.labels)
		NewFacts([]Container{known}, []Relabeling{scraping()}).Explain(&target)
		if target.Cause.Kind != cause.WrongPort || target.Cause.Text != "Nothing listens on port 1234 of shop-web-1, which exposes port 8080." || !strings.HasSuffix(target.Cause.Fix, c.fix) {
			t.Errorf("%s: %+v", name, target.Cause)
		}
	}
}

func TestALabelThatIsNearlyRightIsNamed(t *testing.T) {
	keep := scraping().Rules[0]
	for has, want := range map[string]Typo{
		"metric.scrape":       {"metrics.scrape", "metric.scrape"},
		"metrics-scrap":       {"metrics-scrape", "metrics-scrap"},
		"Metrics.Scrape":      {"metrics.scrape", "Metrics.Scrape"},
		"promtheus.io/scrape": {"prometheus.io/scrape", "promtheus.io/scrape"},
		"metrics.port":        {},
		"com.example.x":       {},
	} {
		known, target := container("http://10.0.0.2:80/metrics", "", map[string]string{has: "true"})
		f := NewFacts([]Container{known}, []Relabeling{scraping()})
		if got, is := f.Typo(keep, target.Discovered); is != (want != Typo{}) || got != want {
			t.Errorf("%s: %+v", has, got)
		}
		if _, is := f.Typo(Rule{Action: "replace", SourceLabels: keep.SourceLabels}, target.Discovered); is {
			t.Errorf("%s: a rule that drops nothing is to blame", has)
		}
	}
	// A label is written as another container has it.
	typo, target := container("http://10.0.0.2:80/metrics", "", map[string]string{"metric-scrape": "true"})
	right := Container{ID: "id2", Labels: map[string]string{"metrics.scrape": "true"}}
	if got, _ := NewFacts([]Container{typo, right}, []Relabeling{scraping()}).Typo(keep, target.Discovered); got.String() != "metrics.scrape is missing; this container has metric-scrape." {
		t.Error(got)
	}
}
