package main

import (
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/admin"
	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/explore"
	"collector/pkg/exporters"
	"collector/pkg/faro"
	"collector/pkg/imports"
	"collector/pkg/local"
	"collector/pkg/logging"
	"collector/pkg/logs"
	"collector/pkg/metrics"
	"collector/pkg/otlp"
	"collector/pkg/pipeline"
	"collector/pkg/profiles"
	"collector/pkg/remote"
	"collector/pkg/remotecfg"
	"collector/pkg/remotewrite"
	"collector/pkg/scrape"
	"collector/pkg/tracing"
)

// components is the table of all that a configuration may name, family by
// family. own are the program's metrics, and registry is where it adds to them; nil
// where nothing runs.
func components(log *logging.Log, access *admin.Access, own prometheus.Gatherer, registry prometheus.Registerer) []component.Definition {
	return slices.Concat(
		logging.Components(log),
		tracing.Components(version),
		admin.Components(access),
		imports.Components(),
		remotecfg.Components(version, registry),
		local.Components(),
		remote.Components(),
		discovery.Components(),
		scrape.Components(),
		exporters.Components(own),
		metrics.Components(),
		remotewrite.Components(),
		logs.Components(),
		otlp.Components(),
		faro.Components(),
		profiles.Components(),
		explore.Components(),
	)
}

// leftOut are the components that this build lacks: the build tag that omits them, by
// their names.
func leftOut() map[string]string {
	tags := map[string]string{}
	maps.Copy(tags, exporters.LeftOut())
	maps.Copy(tags, otlp.LeftOut())
	return tags
}

// valueKinds are the kinds of values that components export.
func valueKinds() []pipeline.Kind {
	return slices.Concat(pipeline.Kinds(), discovery.Kinds(), otlp.Kinds())
}
