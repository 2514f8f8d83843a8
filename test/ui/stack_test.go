//go:build integration

package ui

import (
	"fmt"
	"strings"
	"testing"

	"collector/test/harness"
)

// stack is a collector of the containers of a real Engine.
type stack struct {
	*harness.Collector
	engine *harness.Engine
	ids    map[string]string // of the containers, by name
}

// stackConfig reads the output of all containers, and scrapes those that ask for
// it by a label.
const stackConfig = `
discovery.docker "all" { host = %[1]q }

discovery.relabel "containers" {
	targets = discovery.docker.all.targets
	rule {
		source_labels = ["__meta_docker_container_name"]
		regex         = "/(.*)"
		target_label  = "container"
	}
	rule {
		source_labels = ["__meta_docker_container_label_com_docker_compose_project"]
		target_label  = "project"
	}
	rule {
		source_labels = ["__meta_docker_container_label_com_docker_compose_service"]
		target_label  = "service"
	}
	rule {
		source_labels = ["__meta_docker_container_log_stream"]
		target_label  = "stream"
	}
}

discovery.relabel "scrape" {
	targets = discovery.relabel.containers.output
	rule {
		source_labels = ["__meta_docker_container_label_metrics_scrape"]
		regex         = "true"
		action        = "keep"
	}
	rule {
		source_labels = ["__meta_docker_container_label_metrics_path"]
		regex         = "(.+)"
		target_label  = "__metrics_path__"
	}
	rule {
		source_labels = ["service"]
		target_label  = "job"
	}
}

prometheus.scrape "containers" {
	targets         = discovery.relabel.scrape.output
	scrape_interval = "5s"
	scrape_timeout  = "5s"
	forward_to      = [explore.sink.default.metrics]
}

loki.source.docker "containers" {
	host          = %[1]q
	targets       = discovery.relabel.containers.output
	relabel_rules = discovery.relabel.containers.rules
	forward_to    = [explore.sink.default.logs]
}

explore.sink "default" { }
`

// How many lines the containers of the stack write. Those of "mute" can't be read.
var stackLines = map[string]int{"shop-api-1": 40, "shop-api-2": 30, "shop-worker-1": 20, "blog-web-1": 5, "backup": 10, "mute": 3}

// startStack starts the containers of two Compose projects and two without any,
// and waits until the collector has read and scraped them.
func startStack(t *testing.T) *stack {
	t.Helper()
	s := &stack{engine: harness.StartEngine(t), ids: map[string]string{}}
	for name, lines := range stackLines {
		c := harness.Container{Name: name, Args: []string{fmt.Sprintf("-lines=%d", lines), "-stay"}, Labels: map[string]string{}}
		if project, rest, ok := strings.Cut(name, "-"); ok {
			service, _, _ := strings.Cut(rest, "-")
			c.Labels["com.docker.compose.project"], c.Labels["com.docker.compose.service"] = project, service
		}
		if !strings.Contains(name, "worker") && name != "backup" && name != "mute" {
			c.Labels["metrics.scrape"] = "true"
			c.Args, c.Ports = append(c.Args, "-serve=:8080"), []string{"8080/tcp"}
		}
		if name == "mute" {
			c.LogDriver = "none"
		}
		s.ids[name] = s.engine.Run(t, c)
	}
	s.Collector = harness.NewCollector(t, fmt.Sprintf(stackConfig, s.engine.Host))
	s.Start(t, "--explore.memory=8MiB")
	harness.Eventually(t, waiting, s.collected)
	return s
}

// collected reports whether all lines have been read and all targets scraped.
func (s *stack) collected() error {
	var tails struct {
		Items []struct {
			Container, State, Error string
			Lines                   int
		}
	}
	if err := getJSON(s.URL+"/api/v1/targets/logs", &tails); err != nil {
		return err
	}
	if len(tails.Items) != len(stackLines) {
		return fmt.Errorf("%d tails of %d containers", len(tails.Items), len(stackLines))
	}
	for _, tail := range tails.Items {
		if want := stackLines[tail.Container]; tail.Container == "mute" && tail.Error == "" || tail.Container != "mute" && tail.Lines != want {
			return fmt.Errorf("%s has written %d lines: %+v", tail.Container, want, tail)
		}
	}
	var targets struct{ States map[string]int }
	if err := getJSON(s.URL+"/api/v1/targets", &targets); err != nil {
		return err
	}
	if targets.States["up"] != 3 {
		return fmt.Errorf("targets: %v", targets.States)
	}
	return nil
}
