// Command queries parses queries with the parsers of the programs that will
// run them: Prometheus's own and Loki's own. It reads {"promql": […],
// "logql": […]} and writes the same with an error, or "", for each query. With
// "streams", which are lines by their labels, it also is an error if a part of a
// LogQL query finds nothing in them. It
// is a module apart because Loki brings half of what runs in a cloud along.
// Loki's parser is the one of 3.7; what the dashboards use of LogQL is older than
// the version that the stack runs.
package main

import (
	"encoding/json"
	"log"
	"os"

	"github.com/grafana/loki/v3/pkg/logql/syntax"
	"github.com/prometheus/prometheus/promql/parser"
)

type queries struct {
	PromQL  []string            `json:"promql"`
	LogQL   []string            `json:"logql"`
	Streams map[string][]string `json:"streams,omitempty"`
}

func main() {
	var q queries
	if err := json.NewDecoder(os.Stdin).Decode(&q); err != nil {
		log.Fatal(err)
	}
	streams, err := parseStreams(q.Streams)
	if err != nil {
		log.Fatal(err)
	}
	promql := parser.NewParser(parser.Options{})
	check(q.PromQL, func(query string) error { _, err := promql.ParseExpr(query); return err })
	check(q.LogQL, func(query string) error {
		expr, err := syntax.ParseExpr(query)
		if err != nil || len(streams) == 0 {
			return err
		}
		return find(expr, streams)
	})
	q.Streams = nil
	if err := json.NewEncoder(os.Stdout).Encode(q); err != nil {
		log.Fatal(err)
	}
}

// check replaces each query by what is wrong with it.
func check(list []string, parse func(query string) error) {
	for i, query := range list {
		list[i] = ""
		if err := parse(query); err != nil {
			list[i] = err.Error()
		}
	}
}
