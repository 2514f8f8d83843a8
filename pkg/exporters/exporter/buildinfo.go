package exporter

import (
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// BuildInfo is a series by which dashboards find what an exporter monitors: the program's
// name, such as "node_exporter", with _build_info. userAgent says the version.
func BuildInfo(program, userAgent string) prometheus.Collector {
	_, version, _ := strings.Cut(userAgent, "/")
	tags, revision := "unknown", "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch s.Key {
			case "-tags":
				tags = s.Value
			case "vcs.revision":
				revision = s.Value
			}
		}
	}
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: program + "_build_info", Help: "Always 1; the labels describe the program that has these metrics.",
		ConstLabels: prometheus.Labels{
			"version": version, "revision": revision, "tags": tags,
			"goversion": runtime.Version(), "goos": runtime.GOOS, "goarch": runtime.GOARCH,
		},
	}, func() float64 { return 1 })
}
