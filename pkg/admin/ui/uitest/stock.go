package uitest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/admin/ui"
	"collector/pkg/admin/ui/page"
	"collector/pkg/admin/ui/redact"
	"collector/pkg/inspect"
	"collector/pkg/listen"
)

// Stock is an Inventory for tests.
type Stock struct {
	Targets []inspect.ScrapeTarget
	Tails   []inspect.LogTail
	Pushed  []listen.Received
	Hosts   []inspect.Engine
	Running []inspect.Container
	Ends    []inspect.Life
	Missing map[string]string
	Rules   []inspect.Relabeling
	Staged  []inspect.Stages
	// Answer and Err are what Fetch gives; Hold, if it is set, is called before.
	Answer inspect.Response
	Err    error
	Hold   func()

	mu    sync.Mutex
	asked []string // guarded by mu
}

func (s *Stock) ScrapeTargets() []inspect.ScrapeTarget {
	return append([]inspect.ScrapeTarget{}, s.Targets...)
}

func (s *Stock) LogTails() []inspect.LogTail { return append([]inspect.LogTail{}, s.Tails...) }

func (s *Stock) Receivers() []listen.Received { return s.Pushed }

func (s *Stock) Engines() []inspect.Engine { return s.Hosts }

func (s *Stock) Containers() []inspect.Container { return s.Running }

func (s *Stock) Lives() []inspect.Life { return s.Ends }

func (s *Stock) Unlisted() map[string]string { return s.Missing }

func (s *Stock) Relabelings() []inspect.Relabeling { return s.Rules }

func (s *Stock) Stages() []inspect.Stages { return s.Staged }

func (s *Stock) Fetch(_ context.Context, component, id string) (inspect.Response, bool, error) {
	s.mu.Lock()
	s.asked = append(s.asked, component+" "+id)
	s.mu.Unlock()
	if s.Hold != nil {
		s.Hold()
	}
	return s.Answer, true, s.Err
}

// NewStock has n scrape targets and m tails, with secrets in all places where
// one can be.
func NewStock(n, m int) *Stock {
	s := &Stock{Missing: map[string]string{"stopped": "it is not running (exited)"}}
	for i := range n {
		state, failure := "up", ""
		if i%10 == 3 {
			state, failure = "down", "Get \"http://u:hunter2planted@h/metrics?token=hunter2planted\": connection refused"
		}
		name := fmt.Sprintf("shop-service-%04d-1", i)
		meta := []string{"__address__", fmt.Sprintf("10.0.%d.%d:8080", i/256, i%256), redact.ContainerName, "/" + name, redact.ContainerID, fmt.Sprintf("id%060d", i),
			"__meta_docker_container_label_api_key", "hunter2planted", "__param_token", "hunter2planted"}
		for j := range 30 {
			meta = append(meta, fmt.Sprintf("__meta_docker_container_label_com_example_%d", j), strings.Repeat("long ", 20))
		}
		s.Targets = append(s.Targets, inspect.ScrapeTarget{
			Component: "prometheus.scrape.containers", ID: fmt.Sprintf("%016x", i), Job: "containers", URL: fmt.Sprintf("http://u:hunter2planted@10.0.%d.%d:8080/metrics?token=hunter2planted&a=b", i/256, i%256),
			State: state, Error: failure, LastScrape: time.Now().Add(-time.Duration(i) * time.Millisecond), Took: time.Duration(i) * time.Millisecond, Samples: 10 * i, Interval: "15s",
			Labels:     labels.FromStrings("instance", name, "job", "containers", "container", name, "compose_project", "shop", "compose_service", "service-with-a-long-name", "secret_label", "hunter2planted"),
			Discovered: labels.FromStrings(meta...),
		})
		s.Running = append(s.Running, inspect.Container{ID: fmt.Sprintf("id%060d", i), Name: name, Project: "shop", Service: fmt.Sprintf("service-%04d", i/2)})
	}
	for i := range m {
		t := inspect.LogTail{
			Component: "loki.source.docker.all", ID: fmt.Sprintf("id%060d", i), Container: fmt.Sprintf("shop-service-%04d-1", i), State: "reading", Lines: uint64(i), Bytes: uint64(i) << 10,
			Labels: map[string]map[string]string{"stdout": {"container": "shop", "password": "hunter2planted"}, "stderr": {"container": "shop"}}, Cursor: time.Now(), LagSeconds: float64(i) / 10,
		}
		if i%100 == 7 {
			t.State, t.Error, t.ErrorAt = "waiting to connect", "http://x:hunter2planted@host failed", time.Now()
		}
		s.Tails = append(s.Tails, t)
	}
	return s
}

// Asked are the targets that were fetched.
func (s *Stock) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// Having makes s the inventory.
func Having(s *Stock) func(*ui.Options) { return func(o *ui.Options) { o.Inventory = s } }

// Listed is a list as JSON has it.
func Listed[T any](t *testing.T, u *UI, path string) (p page.Paged[T]) {
	t.Helper()
	if err := json.Unmarshal([]byte(Get(t, u, path)), &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// RelabelToy keeps the targets whose address ends in :8080 and whose container's
// name ends in -1 and holds no 3.
func RelabelToy(s *Stock) inspect.Relabeling {
	judge := func(input labels.Labels) (int, bool) {
		if strings.Contains(input.Get(redact.ContainerName), "3") {
			return 1, false
		}
		return -1, true
	}
	return inspect.Relabeling{
		Component: "discovery.relabel.toy",
		Inputs: func() []labels.Labels {
			var all []labels.Labels
			for _, t := range s.Targets {
				all = append(all, t.Discovered)
			}
			return all
		},
		Dropper: func(input labels.Labels, _ string) (int, bool) { return judge(input) },
		Trace: func(input labels.Labels, _ string) inspect.Trace {
			_, kept := judge(input)
			t := inspect.Trace{Input: input, Kept: kept, Steps: []inspect.Step{
				{Rule: inspect.Rule{Action: "replace", SourceLabels: []string{"__param_token"}, Regex: "(.*)", Replacement: "$1", Separator: ";", TargetLabel: "copy"}, Value: Planted, Matched: true,
					Changes: []inspect.LabelChange{{Name: "copy", Before: "", After: Planted}}},
				{Rule: inspect.Rule{Action: "drop", SourceLabels: []string{redact.ContainerName}, Regex: ".*3.*<b>", Replacement: "$1", Separator: ";"}, Value: input.Get(redact.ContainerName), Matched: !kept, Dropped: !kept},
			}}
			if kept {
				t.Output = input
			}
			return t
		},
		After: func(_, output labels.Labels) []inspect.Onward {
			if output.IsEmpty() {
				return nil
			}
			return []inspect.Onward{{Component: "prometheus.scrape.containers", Taken: true, Target: "0000000000000001"}, {Component: "prometheus.scrape.other", Why: "it has no __address__"}}
		},
	}
}

// Copying is a relabeling that copies a secret, and what it made of it.
func Copying(input labels.Labels) inspect.Relabeling {
	inputs := []labels.Labels{input}
	rule := func(from, to, replacement string) inspect.Rule {
		return inspect.Rule{Action: "replace", SourceLabels: []string{from}, Separator: ";", Regex: "(.*)", TargetLabel: to, Replacement: replacement}
	}
	return inspect.Relabeling{
		Component: "discovery.relabel.copying",
		Inputs:    func() []labels.Labels { return inputs },
		Dropper:   func(labels.Labels, string) (int, bool) { return -1, true },
		Trace: func(input labels.Labels, _ string) inspect.Trace {
			return inspect.Trace{
				Input: input, Kept: true,
				Output: labels.FromStrings("copy_of_it", Planted, "part", "Bearer "+Planted, "end", "Planted"),
				Steps: []inspect.Step{
					{Rule: rule("password", "copy_of_it", "$1"), Value: Planted, Matched: true, Changes: []inspect.LabelChange{{Name: "copy_of_it", Before: "", After: Planted}}},
					{Rule: rule("copy_of_it", "part", "Bearer $1"), Value: Planted, Matched: true, Changes: []inspect.LabelChange{{Name: "part", Before: "", After: "Bearer " + Planted}}},
					{Rule: rule("part", "end", "$1"), Value: "Bearer " + Planted, Matched: true, Changes: []inspect.LabelChange{{Name: "end", Before: "", After: "Planted"}}},
					{Rule: rule("end", "last", "$1"), Value: "Planted", Matched: true, Changes: []inspect.LabelChange{{Name: "end", Before: "Planted", After: ""}, {Name: "last", Before: "", After: "Planted"}}},
					{Rule: inspect.Rule{Action: "labeldrop", Regex: "password"}, Changes: []inspect.LabelChange{{Name: "password", Before: Planted, After: ""}}},
				},
			}
		},
		After: func(labels.Labels, labels.Labels) []inspect.Onward {
			return []inspect.Onward{{Component: "other", Why: "it does not want " + Planted}}
		},
	}
}
