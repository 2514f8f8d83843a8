package main

import (
	"go/build"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// allowedImports is the architecture: for each package, which others of the
// project it may import. Tests are not held to it.
var allowedImports = map[string]string{
	"cmd/collector/builtin": "",
	"cmd/collector":         "cmd/collector/builtin pkg/* backend/service",

	"backend":         "backend/observe backend/service",
	"backend/service": "backend/api backend/observe backend/page",
	"backend/page":    "",
	"backend/api":     "backend/observe",
	"backend/observe": "",

	"pkg/throttle": "",
	"pkg/suggest":  "",
	"pkg/cause":    "pkg/human pkg/suggest",
	"pkg/mask":     "",
	"pkg/clock":    "pkg/throttle",
	"pkg/spans":    "",

	"pkg/pipeline":   "pkg/backoff",
	"pkg/listen":     "pkg/throttle",
	"pkg/docker":     "pkg/backoff pkg/cause pkg/throttle",
	"pkg/component":  "pkg/deliver pkg/docker pkg/filewatch pkg/listen pkg/mask pkg/spans",
	"pkg/tlsconfig":  "pkg/component",
	"pkg/httpclient": "pkg/cause pkg/component pkg/mask pkg/tlsconfig",
	"pkg/aws":        "pkg/component pkg/httpclient",
	"pkg/httpserver": "pkg/component pkg/listen pkg/pipeline pkg/throttle pkg/tlsconfig",
	"pkg/jsonscan":   "",
	"pkg/logging":    "pkg/component pkg/mask pkg/pipeline",
	"pkg/tracing":    "pkg/component pkg/mask pkg/pipeline pkg/spans pkg/throttle",
	"pkg/durable":    "",
	"pkg/inspect":    "pkg/cause pkg/deliver pkg/listen pkg/pipeline pkg/suggest",
	"pkg/human":      "",
	"pkg/health":     "pkg/cause pkg/deliver pkg/human pkg/inspect pkg/queue",
	"pkg/backoff":    "",
	"pkg/queue":      "pkg/clock pkg/pipeline pkg/durable pkg/throttle",
	"pkg/deliver":    "pkg/backoff pkg/cause pkg/pipeline pkg/queue pkg/durable pkg/spans pkg/throttle",

	"pkg/dockerproxy": "pkg/docker pkg/listen pkg/throttle",

	"pkg/deliver/httpsend": "pkg/cause pkg/deliver pkg/httpclient",

	"pkg/filewatch": "",
	"pkg/lastgood":  "",
	"pkg/git":       "",
	"pkg/imports":   "pkg/cause pkg/component pkg/config pkg/durable pkg/filewatch pkg/git pkg/httpclient pkg/lastgood pkg/mask",

	"pkg/remotecfg":               "pkg/component pkg/durable pkg/httpclient pkg/mask",
	"pkg/remotecfg/remotecfgtest": "",

	"pkg/discovery":  "pkg/backoff pkg/cause pkg/component pkg/docker pkg/durable pkg/filewatch pkg/httpclient pkg/inspect pkg/mask pkg/pipeline pkg/throttle",
	"pkg/config":     "pkg/component pkg/mask pkg/suggest",
	"pkg/live":       "pkg/pipeline",
	"pkg/schedule":   "pkg/discovery",
	"pkg/protofield": "",
	"pkg/reference":  "pkg/component pkg/config pkg/pipeline",
	"pkg/explore":    "pkg/component pkg/live pkg/pipeline",
	"pkg/graph":      "pkg/component pkg/config pkg/deliver pkg/docker pkg/filewatch pkg/health pkg/listen pkg/live pkg/mask pkg/pipeline pkg/spans pkg/suggest",
	"pkg/admin":      "pkg/admin/ui pkg/admin/ui/flow pkg/admin/ui/page pkg/admin/ui/support pkg/backoff pkg/component pkg/config pkg/explore pkg/graph pkg/listen pkg/live pkg/spans pkg/throttle pkg/tlsconfig",

	// No page imports another.
	"pkg/admin/ui":                  "pkg/admin/ui/* pkg/config pkg/explore pkg/graph pkg/inspect pkg/listen pkg/live",
	"pkg/admin/ui/page":             "pkg/suggest pkg/graph pkg/human pkg/mask",
	"pkg/admin/ui/service":          "pkg/admin/ui/page pkg/inspect",
	"pkg/admin/ui/flow":             "pkg/admin/ui/page pkg/cause pkg/deliver pkg/human pkg/mask",
	"pkg/admin/ui/redact":           "pkg/inspect pkg/mask",
	"pkg/admin/ui/why":              uiPackages + " pkg/graph pkg/inspect pkg/listen pkg/suggest",
	"pkg/admin/ui/overview":         uiPackages + " pkg/config pkg/explore pkg/graph pkg/human pkg/inspect pkg/live pkg/mask",
	"pkg/admin/ui/graph":            uiPackages + " pkg/graph pkg/live",
	"pkg/admin/ui/components":       uiPackages + " pkg/graph",
	"pkg/admin/ui/component":        uiPackages + " pkg/graph pkg/mask",
	"pkg/admin/ui/targets":          uiPackages + " pkg/inspect",
	"pkg/admin/ui/tails":            uiPackages + " pkg/inspect",
	"pkg/admin/ui/stages":           uiPackages + " pkg/graph pkg/inspect pkg/mask pkg/pipeline",
	"pkg/admin/ui/relabel":          uiPackages + " pkg/inspect pkg/mask",
	"pkg/admin/ui/live":             uiPackages + " pkg/live",
	"pkg/admin/ui/configuration":    uiPackages + " pkg/config pkg/graph",
	"pkg/admin/ui/support":          uiPackages + " pkg/config pkg/graph pkg/inspect pkg/mask",
	"pkg/admin/ui/explore":          uiPackages + " pkg/admin/ui/explore/window pkg/explore",
	"pkg/admin/ui/explore/window":   uiPackages,
	"pkg/admin/ui/explore/metrics":  uiPackages + " pkg/admin/ui/explore/window pkg/explore",
	"pkg/admin/ui/explore/logs":     uiPackages + " pkg/admin/ui/explore/window pkg/explore",
	"pkg/admin/ui/explore/traces":   uiPackages + " pkg/admin/ui/explore/window pkg/explore",
	"pkg/admin/ui/explore/profiles": uiPackages + " pkg/admin/ui/explore/window pkg/explore",

	"pkg/promtail": "pkg/component pkg/config",

	"pkg/local":           "pkg/component pkg/filewatch pkg/lastgood pkg/local/filematch",
	"pkg/local/filematch": "pkg/component pkg/discovery pkg/filewatch pkg/throttle",

	"pkg/remote":       "pkg/aws pkg/cause pkg/component pkg/durable pkg/httpclient pkg/lastgood pkg/mask pkg/remote/vault",
	"pkg/remote/vault": "pkg/aws pkg/backoff pkg/cause pkg/component pkg/httpclient pkg/lastgood pkg/mask",

	"pkg/logs":                            "pkg/component pkg/logs/echo pkg/logs/enrich pkg/logs/process pkg/logs/relabel pkg/logs/secretfilter pkg/logs/source/api pkg/logs/source/docker pkg/logs/source/file pkg/logs/source/journal pkg/logs/source/syslog pkg/logs/source/windowsevent pkg/logs/write",
	"pkg/logs/source/api":                 signalPackages,
	"pkg/logs/source/docker":              signalPackages + " pkg/logs/source/lines pkg/logs/source/positions",
	"pkg/logs/source/file":                signalPackages + " pkg/filewatch pkg/local/filematch pkg/logs/source/lines pkg/logs/source/positions",
	"pkg/logs/source/syslog":              signalPackages + " pkg/logs/source/lines",
	"pkg/logs/source/stdin":               "pkg/component pkg/logs/source/lines pkg/pipeline",
	"pkg/logs/source/windowsevent":        "pkg/component pkg/pipeline",
	"pkg/logs/source/lines":               "pkg/pipeline",
	"pkg/logs/source/positions":           "pkg/backoff pkg/durable",
	"pkg/logs/echo":                       "pkg/component pkg/pipeline",
	"pkg/logs/enrich":                     "pkg/component pkg/discovery pkg/inspect pkg/pipeline pkg/throttle",
	"pkg/logs/secretfilter":               "pkg/component pkg/inspect pkg/pipeline pkg/throttle",
	"pkg/logs/expression":                 "",
	"pkg/logs/process":                    signalPackages + " pkg/logs/expression",
	"pkg/logs/relabel":                    signalPackages,
	"pkg/logs/write":                      signalPackages,
	"pkg/logs/source/journal":             signalPackages + " pkg/filewatch pkg/logs/source/journal/journalfile pkg/logs/source/lines pkg/logs/source/positions",
	"pkg/logs/source/journal/journalfile": "",

	"pkg/metrics":         "pkg/component pkg/metrics/enrich pkg/metrics/receive pkg/metrics/relabel",
	"pkg/metrics/receive": signalPackages + " pkg/protofield",
	"pkg/metrics/enrich":  signalPackages,
	"pkg/metrics/relabel": signalPackages,

	"pkg/exporters":                       "pkg/component pkg/exporters/apache pkg/exporters/blackbox pkg/exporters/cadvisor pkg/exporters/consul pkg/exporters/elasticsearch pkg/exporters/memcached pkg/exporters/mysql pkg/exporters/postgres pkg/exporters/process pkg/exporters/redis pkg/exporters/self pkg/exporters/snmp pkg/exporters/static pkg/exporters/statsd pkg/exporters/unix pkg/exporters/windows",
	"pkg/exporters/cadvisor":              "pkg/component pkg/discovery pkg/docker pkg/exporters/exporter pkg/httpclient pkg/inspect",
	"pkg/exporters/process":               "pkg/component pkg/exporters/exporter",
	"pkg/exporters/static":                "pkg/component pkg/exporters/exporter",
	"pkg/exporters/snmp":                  "pkg/component pkg/discovery pkg/exporters/exporter",
	"pkg/exporters/consul":                "pkg/component pkg/exporters/exporter pkg/httpclient",
	"pkg/exporters/elasticsearch":         "pkg/component pkg/exporters/exporter pkg/httpclient",
	"pkg/exporters/statsd":                "pkg/component pkg/exporters/exporter pkg/filewatch pkg/listen pkg/throttle",
	"pkg/exporters/apache":                "pkg/component pkg/exporters/exporter",
	"pkg/exporters/exporter":              "pkg/component pkg/discovery pkg/throttle",
	"pkg/exporters/memcached":             "pkg/component pkg/exporters/exporter pkg/httpclient",
	"pkg/exporters/blackbox":              "pkg/component pkg/discovery pkg/exporters/exporter",
	"pkg/exporters/mysql":                 "pkg/component pkg/exporters/exporter",
	"pkg/exporters/postgres":              "pkg/component pkg/exporters/exporter",
	"pkg/exporters/exporter/exportertest": "pkg/component pkg/config pkg/discovery pkg/graph pkg/pipeline",
	"pkg/exporters/redis":                 "pkg/component pkg/exporters/exporter",
	"pkg/exporters/unix":                  "pkg/component pkg/exporters/exporter pkg/throttle",
	"pkg/exporters/self":                  "pkg/component pkg/exporters/exporter",
	"pkg/exporters/windows":               "pkg/component pkg/exporters/exporter",

	"pkg/scrape":      signalPackages,
	"pkg/remotewrite": signalPackages + " pkg/aws pkg/protofield",
	// Roles of OTLP never import each other: what two of them need lies beside them.
	"pkg/otlp":             "pkg/component pkg/otlp/auth pkg/otlp/connector/hostinfo pkg/otlp/connector/servicegraph pkg/otlp/connector/spanlogs pkg/otlp/connector/spanmetrics pkg/otlp/exporter/debug pkg/otlp/exporter/loadbalancing pkg/otlp/exporter/loki pkg/otlp/exporter/otlp pkg/otlp/exporter/otlphttp pkg/otlp/exporter/prometheus pkg/otlp/processor/attributes pkg/otlp/processor/batch pkg/otlp/processor/cumulativetodelta pkg/otlp/processor/deltatocumulative pkg/otlp/processor/discovery pkg/otlp/processor/filter pkg/otlp/processor/groupbyattrs pkg/otlp/processor/interval pkg/otlp/processor/memorylimiter pkg/otlp/processor/resourcedetection pkg/otlp/processor/sampler pkg/otlp/processor/span pkg/otlp/processor/tailsampling pkg/otlp/processor/transform pkg/otlp/receiver/jaeger pkg/otlp/receiver/loki pkg/otlp/receiver/otlp pkg/otlp/receiver/prometheus pkg/otlp/receiver/zipkin pkg/otlp/storage pkg/pipeline",
	"pkg/otlp/wire":        "pkg/jsonscan pkg/listen pkg/pipeline",
	"pkg/otlp/compression": "pkg/listen pkg/otlp/wire",
	"pkg/otlp/rawgrpc":     "pkg/otlp/compression pkg/pipeline",
	"pkg/otlp/security":    "pkg/component pkg/tlsconfig",
	"pkg/otlp/flow":        "pkg/component pkg/pipeline pkg/throttle",
	"pkg/otlp/promname":    "",
	"pkg/otlp/auth":        "pkg/component pkg/httpclient pkg/otlp/flow pkg/otlp/security pkg/pipeline",
	"pkg/otlp/storage":     "pkg/component pkg/otlp/flow pkg/pipeline",
	"pkg/otlp/bridge":      "pkg/component pkg/otlp/flow pkg/pipeline pkg/throttle",

	"pkg/otlp/server":    signalPackages + otlpPackages,
	"pkg/otlp/translate": "pkg/listen pkg/otlp/server pkg/pipeline",

	"pkg/otlp/receiver/otlp":   signalPackages + otlpPackages + " pkg/otlp/server",
	"pkg/otlp/receiver/jaeger": signalPackages + otlpPackages + " pkg/otlp/server pkg/otlp/translate",
	"pkg/otlp/receiver/zipkin": signalPackages + otlpPackages + " pkg/otlp/server pkg/otlp/translate",

	// Where other signals become OTLP, and OTLP becomes other signals. What flows is
	// defined by pkg/pipeline; of the other signals' packages nothing is needed.
	"pkg/otlp/receiver/loki":       "pkg/component pkg/otlp/flow pkg/pipeline",
	"pkg/otlp/receiver/prometheus": "pkg/component pkg/otlp/flow pkg/otlp/promname pkg/pipeline pkg/throttle",
	"pkg/otlp/exporter/loki":       "pkg/component pkg/otlp/promname pkg/pipeline pkg/throttle",
	"pkg/otlp/exporter/prometheus": "pkg/component pkg/otlp/promname pkg/pipeline pkg/throttle",

	"pkg/otlp/connector/hostinfo":     "pkg/component pkg/otlp/flow pkg/pipeline",
	"pkg/otlp/connector/spanlogs":     "pkg/component pkg/otlp/flow pkg/pipeline",
	"pkg/otlp/exporter/debug":         "pkg/component pkg/otlp/flow pkg/pipeline",
	"pkg/otlp/connector/servicegraph": "pkg/component pkg/otlp/bridge pkg/otlp/flow pkg/pipeline",
	"pkg/otlp/connector/spanmetrics":  "pkg/component pkg/otlp/bridge pkg/otlp/flow pkg/pipeline",

	"pkg/otlp/exporter/loadbalancing": "pkg/component pkg/deliver pkg/listen pkg/otlp/exporter pkg/otlp/exporter/otlp pkg/otlp/flow pkg/otlp/wire pkg/pipeline pkg/queue pkg/throttle",

	"pkg/otlp/processor/batch":      "pkg/component pkg/otlp/flow pkg/pipeline",
	"pkg/otlp/processor/match":      "pkg/component pkg/otlp/bridge pkg/pipeline",
	"pkg/otlp/processor/attributes": "pkg/component pkg/otlp/bridge pkg/otlp/flow pkg/otlp/processor/match",

	"pkg/otlp/processor/cumulativetodelta": "pkg/component pkg/otlp/bridge pkg/otlp/flow",
	"pkg/otlp/processor/deltatocumulative": "pkg/component pkg/otlp/bridge pkg/otlp/flow",
	"pkg/otlp/processor/discovery":         "pkg/component pkg/discovery pkg/otlp/flow pkg/pipeline",
	"pkg/otlp/processor/filter":            "pkg/component pkg/otlp/bridge pkg/otlp/flow pkg/otlp/processor/ottl",
	"pkg/otlp/processor/groupbyattrs":      "pkg/component pkg/otlp/bridge pkg/otlp/flow",
	"pkg/otlp/processor/interval":          "pkg/component pkg/durable pkg/otlp/flow pkg/pipeline",
	"pkg/otlp/processor/memorylimiter":     "pkg/component pkg/human pkg/inspect pkg/otlp/flow pkg/pipeline",
	"pkg/otlp/processor/ottl":              "pkg/component pkg/otlp/bridge",
	"pkg/otlp/processor/resourcedetection": "pkg/backoff pkg/component pkg/docker pkg/inspect pkg/otlp/flow pkg/pipeline pkg/throttle",
	"pkg/otlp/processor/sampler":           "pkg/component pkg/otlp/bridge pkg/otlp/flow",
	"pkg/otlp/processor/span":              "pkg/component pkg/otlp/bridge pkg/otlp/flow pkg/otlp/processor/match pkg/pipeline",
	"pkg/otlp/processor/tailsampling":      "pkg/component pkg/durable pkg/listen pkg/otlp/bridge pkg/otlp/flow pkg/otlp/processor/ottl pkg/otlp/wire pkg/pipeline pkg/throttle",
	"pkg/otlp/processor/transform":         "pkg/component pkg/otlp/bridge pkg/otlp/flow pkg/otlp/processor/ottl",

	"pkg/otlp/exporter":          signalPackages + " pkg/otlp/auth pkg/otlp/flow pkg/otlp/storage pkg/otlp/wire",
	"pkg/otlp/exporter/otlp":     signalPackages + otlpPackages + " pkg/otlp/exporter",
	"pkg/otlp/exporter/otlphttp": signalPackages + otlpPackages + " pkg/otlp/exporter",

	"pkg/profiles":        signalPackages + " pkg/profiles/scrape",
	"pkg/profiles/scrape": signalPackages + " pkg/profiles/delta",
	"pkg/profiles/delta":  "pkg/protofield",

	// What pages send is of two signals. Of OTLP, it needs only what lies beside its
	// roles.
	"pkg/faro": "pkg/component pkg/httpserver pkg/listen pkg/otlp/compression pkg/otlp/flow pkg/otlp/wire pkg/pipeline pkg/throttle",
}

const signalPackages = "pkg/backoff pkg/cause pkg/component pkg/deliver pkg/deliver/httpsend pkg/discovery pkg/docker pkg/httpclient pkg/httpserver pkg/inspect pkg/jsonscan pkg/listen pkg/mask pkg/pipeline pkg/queue pkg/durable pkg/clock pkg/schedule pkg/throttle pkg/tlsconfig"

// otlpPackages are what both ends of OTLP need.
const otlpPackages = " pkg/otlp/auth pkg/otlp/compression pkg/otlp/flow pkg/otlp/rawgrpc pkg/otlp/security pkg/otlp/wire"

// uiPackages are what the pages of the debug UI have in common.
const uiPackages = "pkg/cause pkg/admin/ui/flow pkg/admin/ui/page pkg/admin/ui/redact pkg/admin/ui/service"

// onlyImporter lists libraries of which one package is the only importer.
var onlyImporter = map[string]string{
	"github.com/grafana/alloy/syntax":            "pkg/config",
	"github.com/docker/docker":                   "pkg/docker",
	"github.com/prometheus/prometheus/discovery": "",
}

func TestImportsRunOneWay(t *testing.T) {
	root := filepath.Join("..", "..")
	for _, dir := range []string{"cmd", "pkg", "backend"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return err
			}
			if d.Name() == "testdata" {
				return fs.SkipDir
			}
			checkImports(t, root, path)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func checkImports(t *testing.T, root, path string) {
	pkg, err := build.ImportDir(path, 0)
	if err != nil || strings.HasSuffix(path, "test") {
		return // no Go files, or servers for tests
	}
	name, err := filepath.Rel(root, path)
	if err != nil {
		t.Fatal(err)
	}
	allowed, known := allowedImports[name]
	if !known {
		t.Errorf("%s is not in the table of allowed imports: add it", name)
	}
	for _, imported := range pkg.Imports {
		if ours, ok := strings.CutPrefix(imported, "collector/"); ok && !allows(strings.Fields(allowed), ours) {
			t.Errorf("%s imports %s, which the table does not allow", name, ours)
		}
		for library, importer := range onlyImporter {
			if strings.HasPrefix(imported, library) && name != importer {
				t.Errorf("%s imports %s; only %q may", name, imported, importer)
			}
		}
	}
}

func allows(allowed []string, name string) bool {
	return slices.ContainsFunc(allowed, func(a string) bool {
		prefix, wild := strings.CutSuffix(a, "*")
		return a == name || wild && strings.HasPrefix(name, prefix)
	})
}
