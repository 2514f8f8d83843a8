package main

import (
	"context"

	"collector/pkg/admin"
	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/explore"
	"collector/pkg/graph"
	"collector/pkg/logging"
	"collector/pkg/logs/process"
	"collector/pkg/logs/source/docker"
	"collector/pkg/logs/write"
	"collector/pkg/otlp"
	"collector/pkg/profiles"
	"collector/pkg/remotewrite"
	"collector/pkg/scrape"
)

// components is the table of all that a configuration may name. It is the only
// place where Alloy's names of components stand.
func components(log *logging.Log, access *admin.Access) []graph.Definition {
	newLogging := func(c logging.Config, o component.Options) (*logging.Component, error) {
		return logging.NewComponent(log, c, o)
	}
	newHTTP := func(c admin.HTTPConfig, o component.Options) (*admin.HTTPBlock, error) {
		return admin.NewHTTPBlock(access, c, o)
	}
	targets := graph.Export{Name: "targets", Type: "list(map(string))", Note: "live: follows what Docker runs"}
	logsReceiver := graph.Export{Name: "receiver", Type: "LogsReceiver"}
	otlpInput := graph.Export{Name: "input", Type: "otelcol.Consumer"}
	definitions := []graph.Definition{
		graph.DefineBlock("logging", newLogging, graph.Doc{
			Summary: "The collector's own log.",
		}),
		graph.DefineBlock("http", newHTTP, graph.Doc{
			Summary: "Who may use the collector's own HTTP server, and TLS for it.",
		}),
		graph.DefineBlock("livedebugging", newLiveDebugging, graph.Doc{
			Summary: "Accepted for compatibility: looking at live data needs no switch.",
		}),
		graph.Define("discovery.docker", discovery.NewDocker, graph.Doc{
			Summary: "The containers of a Docker Engine as targets.", Exports: []graph.Export{targets},
		}),
		graph.Define("discovery.relabel", discovery.NewRelabel, graph.Doc{
			Summary: "Targets with their labels rewritten, or left out, by rules.",
			Exports: []graph.Export{
				{Name: "output", Type: "list(map(string))", Note: "live"},
				{Name: "rules", Type: "RelabelRules"},
			},
		}),
		graph.Define("loki.process", process.New, graph.Doc{
			Summary: "Passes log entries through stages, in the order in which they stand.", Exports: []graph.Export{logsReceiver},
		}),
		graph.Define("loki.source.docker", docker.New, graph.Doc{
			Summary: "Reads the output of containers.",
		}),
		graph.Define("loki.write", write.New, graph.Doc{
			Summary: "Delivers log entries by Loki's push protocol.", Exports: []graph.Export{logsReceiver},
		}),
		graph.Define("prometheus.scrape", scrape.NewBudget().New, graph.Doc{
			Summary: "Scrapes the metrics pages of targets.",
		}),
		graph.Define("prometheus.remote_write", remotewrite.New, graph.Doc{
			Summary: "Delivers samples by Prometheus remote write 1.0.", Exports: []graph.Export{{Name: "receiver", Type: "MetricsReceiver"}},
		}),
		graph.Define("pyroscope.receive_http", profiles.NewReceive, graph.Doc{
			Summary: "Receives profiles that clients push to Pyroscope's HTTP API.",
		}),
		graph.Define("pyroscope.write", profiles.NewWrite, graph.Doc{
			Summary: "Delivers profiles to Pyroscope.", Exports: []graph.Export{{Name: "receiver", Type: "ProfilesReceiver"}},
		}),
		graph.Define("otelcol.receiver.otlp", otlp.NewReceiver, graph.Doc{
			Summary: "Receives traces, metrics and logs by OTLP, over gRPC and HTTP.",
		}),
		graph.Define("otelcol.processor.batch", otlp.NewBatch, graph.Doc{
			Summary: "Says how the exporters behind it put requests together.", Exports: []graph.Export{otlpInput},
		}),
		graph.Define("otelcol.exporter.otlp", otlp.NewExporterGRPC, graph.Doc{
			Summary: "Delivers by OTLP over gRPC.", Exports: []graph.Export{otlpInput},
		}),
		graph.Define("otelcol.exporter.otlphttp", otlp.NewExporterHTTP, graph.Doc{
			Summary: "Delivers by OTLP over HTTP.", Exports: []graph.Export{otlpInput},
		}),
		graph.Define("explore.sink", explore.NewSink, graph.Doc{
			Summary: "A destination that stores nothing: what it is given is shown under Explore, if `--explore.memory` is set.",
			Exports: []graph.Export{
				{Name: "logs", Type: "LogsReceiver"}, {Name: "metrics", Type: "MetricsReceiver"},
				otlpInput, {Name: "profiles", Type: "ProfilesReceiver"},
			},
		}),
	}
	remarks := notes()
	for i := range definitions {
		definitions[i].Doc.Notes = remarks[definitions[i].Name]
	}
	return definitions
}

// liveDebuggingConfig is the block livedebugging.
type liveDebuggingConfig struct {
	Enabled bool `alloy:"enabled,attr,optional"`
}

type liveDebugging struct{}

func newLiveDebugging(liveDebuggingConfig, component.Options) (liveDebugging, error) {
	return liveDebugging{}, nil
}

func (liveDebugging) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}
