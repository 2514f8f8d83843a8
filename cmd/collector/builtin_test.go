package main

import (
	"context"
	"os"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"collector/pkg/component"
	"collector/pkg/config"
	"collector/pkg/discovery"
	"collector/pkg/graph"
	"collector/pkg/pipeline"
)

// The rules that put the port of a label into an address do so whatever the
// address looks like.
func TestThePortOfALabelReplacesThePortOfAnyAddress(t *testing.T) {
	rule := regexp.MustCompile(`source_labels = \["__address__", "[a-z_]*port"\]\s+regex\s+= ("[^\n]*")\s+target_label  = "__address__"\s+replacement   = "\$1:\$2"`)
	for _, file := range []string{"builtin/metrics.alloy", "../../deploy/config.alloy"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		rules := rule.FindAllSubmatch(text, -1)
		if len(rules) == 0 {
			t.Errorf("%s: no rule found", file)
		}
		for _, r := range rules {
			quoted, err := strconv.Unquote(string(r[1]))
			if err != nil {
				t.Fatal(err)
			}
			expression := regexp.MustCompile("^(?s:" + quoted + ")$")
			for in, want := range map[string]string{
				"10.0.0.2:80;9100": "10.0.0.2:9100", "host;9100": "host:9100",
				"[fd00::2]:80;9100": "[fd00::2]:9100", "[fd00::1];9100": "[fd00::1]:9100",
			} {
				if got := expression.ReplaceAllString(in, "$1:$2"); got != want {
					t.Errorf("%s: %s makes %q of %q, want %q", file, quoted, got, in, want)
				}
			}
		}
	}
}

// targetsConfig is a component that takes targets, and does nothing.
type targetsConfig struct {
	Targets *discovery.Set `alloy:"targets,attr"`
}

type taking struct{}

func (taking) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// A label excludes a container's output, whatever else it says.
func TestALabelExcludesTheOutputOfAContainer(t *testing.T) {
	block := regexp.MustCompile(`(?ms)^discovery\.relabel "logs" \{$.*?^\}$`)
	source := regexp.MustCompile(`(?ms)^loki\.source\.docker "containers" \{[^}]*targets +=\s+discovery\.relabel\.logs\.output`)
	for _, file := range []string{"builtin/logs.alloy", "../../deploy/config.alloy"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		rules := block.Find(text)
		if rules == nil || !source.Match(text) {
			t.Fatalf("%s: the rules are not there, or not in use", file)
		}
		const given = `[{"a" = "1"}, {"a" = "2", "__meta_docker_container_label_logs_collect" = "false"}, {"a" = "3", "__meta_docker_container_label_logs_collect" = "true"}]`
		configuration := regexp.MustCompile(`discovery\.relabel\.containers\.output`).ReplaceAllString(string(rules), given) +
			"\ntest.targets \"t\" { targets = discovery.relabel.logs.output }\n"
		var got *discovery.Set
		controller := graph.New(graph.Options{
			StoragePath: t.TempDir(), Kinds: slices.Concat(pipeline.Kinds(), discovery.Kinds()),
			Definitions: append(discovery.Components(), component.Define("test.targets", func(c targetsConfig, _ component.Options) (taking, error) {
				got = c.Targets
				return taking{}, nil
			}, component.Doc{})),
		})
		if err := controller.Load(t.Context(), []config.Source{{Name: file, Text: []byte(configuration)}}); err != nil {
			t.Fatal(err)
		}
		var kept []string
		targets, _ := got.Targets()
		for _, target := range targets {
			kept = append(kept, target.Get("a"))
		}
		if !slices.Equal(kept, []string{"1", "3"}) {
			t.Errorf("%s: the targets %q are kept", file, kept)
		}
		controller.Stop(10 * time.Second)
	}
}
