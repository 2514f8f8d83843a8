// Command queries parses queries with the parsers of the programs that will run them:
// Prometheus's own and Loki's own. It reads {"promql": […], "logql": […]} and writes the
// same with an error, or "", for each query. It is a separate module because Loki has a
// huge number of dependencies. Loki's parser is the one of 3.7; what the dashboards use
// of LogQL is older than the version that the stack runs.
package main

import (
	"encoding/json"
	"log"
	"os"

	"github.com/grafana/loki/v3/pkg/logql/syntax"
	"github.com/prometheus/prometheus/promql/parser"
)

func main() {
	promql := parser.NewParser(parser.Options{})
	parsers := map[string]func(query string) error{
		"promql": func(query string) error { _, err := promql.ParseExpr(query); return err },
		"logql":  func(query string) error { _, err := syntax.ParseExpr(query); return err },
	}
	var queries map[string][]string
	if err := json.NewDecoder(os.Stdin).Decode(&queries); err != nil {
		log.Fatal(err)
	}
	for language, list := range queries {
		parse, ok := parsers[language]
		if !ok {
			log.Fatalf("no parser for %q", language)
		}
		for i, query := range list {
			list[i] = ""
			if err := parse(query); err != nil {
				list[i] = err.Error()
			}
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(queries); err != nil {
		log.Fatal(err)
	}
}
