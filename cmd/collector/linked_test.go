package main

import (
	"os/exec"
	"strings"
	"testing"
)

const (
	framework = "components are run by pkg/graph; of the Collector only processors and their wire types are used"
	clouds    = "requests are signed and tokens fetched by pkg/httpclient and pkg/remotewrite, without a provider's kit"
	testsOnly = "for tests only"
)

// notLinked lists the Go modules, or packages of them, that must not be part of the
// program, with the reason. Their subfolders are meant too.
var notLinked = map[string]string{
	"github.com/grafana/alloy/internal":                       "the program that this one replaces",
	"github.com/grafana/loki/v3":                              "Promtail's packages bring the whole of Loki: tails, stages and pushes are pkg/logs",
	"github.com/prometheus/prometheus/discovery":              "each kind brings its provider's kit; kinds are in pkg/discovery",
	"github.com/prometheus/prometheus/promql":                 "nothing is queried",
	"github.com/prometheus/prometheus/scrape":                 "pkg/scrape parses only what has changed of a page",
	"github.com/prometheus/prometheus/storage":                "pkg/remotewrite sends from the queue on disk",
	"github.com/prometheus/prometheus/tsdb":                   "pkg/queue takes the place of the write-ahead log",
	"go.opentelemetry.io/collector/config/confighttp":         framework,
	"go.opentelemetry.io/collector/config/configgrpc":         framework,
	"go.opentelemetry.io/collector/exporter":                  framework,
	"go.opentelemetry.io/collector/otelcol":                   framework,
	"go.opentelemetry.io/collector/receiver":                  framework,
	"go.opentelemetry.io/collector/service":                   framework,
	"github.com/Azure/azure-sdk-for-go":                       clouds,
	"github.com/aws/aws-sdk-go":                               clouds,
	"github.com/aws/aws-sdk-go-v2":                            clouds,
	"cloud.google.com/go":                                     clouds,
	"google.golang.org/api":                                   clouds,
	"github.com/go-git/go-git":                                "pkg/git reads as much as import.git needs",
	"k8s.io":                                                  "there is nothing of Kubernetes in a Compose stack",
	"github.com/spf13/viper":                                  "the configuration is Alloy's language, and flags are pflag's",
	"github.com/VictoriaMetrics/metricsql":                    testsOnly,
	"github.com/chromedp":                                     testsOnly,
	"github.com/google/go-cmp":                                testsOnly,
	"github.com/prometheus/client_golang/prometheus/testutil": testsOnly,
	"github.com/rogpeppe/go-internal":                         testsOnly,
	"github.com/stretchr/testify":                             testsOnly,
	"net/http/httptest":                                       testsOnly,
}

// TestWhatMustNotBeLinkedIsNot asks the go tool what the program is made of.
func TestWhatMustNotBeLinkedIsNot(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := strings.Fields(string(out))
	if len(packages) < 100 {
		t.Fatalf("the program has only %d packages?", len(packages))
	}
	for _, p := range packages {
		if module, why := forbidden(p); why != "" {
			t.Errorf("%s is linked; %s must not be: %s", p, module, why)
		}
	}
}

// forbidden is the row of notLinked to which a package belongs.
func forbidden(path string) (module, why string) {
	for module, why := range notLinked {
		if path == module || strings.HasPrefix(path, module+"/") {
			return module, why
		}
	}
	return "", ""
}

func TestARowMeansItsFoldersAndNoOthers(t *testing.T) {
	for path, want := range map[string]string{
		"k8s.io/client-go/rest":                                 "k8s.io",
		"go.opentelemetry.io/collector/exporter/exporterhelper": "go.opentelemetry.io/collector/exporter",
		"go.opentelemetry.io/collector/pdata/plog":              "",
		"github.com/prometheus/prometheus/storagex":             "",
	} {
		if module, _ := forbidden(path); module != want {
			t.Errorf("%s belongs to %q, want %q", path, module, want)
		}
	}
}
