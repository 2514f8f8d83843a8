package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"collector/pkg/pipeline"
)

// withoutSuite are the components that export a sink and are not in the suite of
// pipelinetest, with the reason.
func withoutSuite() map[string]string {
	const (
		shows = "it delivers to nobody: what it shows or counts is done when the call returns"
		makes = "what it forwards is made of many requests: its own tests check what nil means"
	)
	return map[string]string{
		"explore.sink":                        shows,
		"loki.echo":                           shows,
		"otelcol.exporter.debug":              shows,
		"otelcol.connector.host_info":         makes,
		"otelcol.connector.servicegraph":      makes,
		"otelcol.connector.spanmetrics":       makes,
		"otelcol.processor.cumulativetodelta": makes,
		"otelcol.processor.deltatocumulative": makes,
		"otelcol.processor.interval":          makes,
	}
}

// inSuite is how a test runs the suite of pipelinetest.
var inSuite = regexp.MustCompile(`pipelinetest\.Sink\{|otlptest\.PassesOn\(|logstest\.TestPassing\(|\.KeepsTheContractOfSinks\(`)

// TestEverySinkKeepsTheContract finds the components that export a sink and whose folder
// has no test that runs the suite of pipelinetest.
func TestEverySinkKeepsTheContract(t *testing.T) {
	var sinks []string
	for _, kind := range pipeline.Kinds() {
		sinks = append(sinks, kind.Name)
	}
	without := withoutSuite()
	for _, d := range components(nil, nil, nil, nil) {
		exported := false
		for _, e := range d.Doc.Exports {
			exported = exported || slices.Contains(sinks, e.Type)
		}
		if !exported {
			continue
		}
		why, excused := without[d.Name]
		delete(without, d.Name)
		folder := filepath.Join("..", "..", strings.TrimPrefix(d.Config().PkgPath(), "collector/"))
		switch tested := runsSuite(t, folder); {
		case !tested && !excused:
			t.Errorf("%s exports a sink: run pipelinetest.Sink in a test in %s, or say in withoutSuite why not", d.Name, folder)
		case tested && excused:
			t.Errorf("%s is in the suite: remove it from withoutSuite (%q)", d.Name, why)
		}
	}
	for name := range without {
		t.Errorf("%s, which withoutSuite excuses, exports no sink", name)
	}
}

// runsSuite reports whether a test in the folder runs the suite.
func runsSuite(t *testing.T, folder string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if inSuite.Match(text) {
			return true
		}
	}
	return false
}
