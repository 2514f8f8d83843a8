package main

import (
	"errors"
	"fmt"

	logqllog "github.com/grafana/loki/v3/pkg/logql/log"
	"github.com/grafana/loki/v3/pkg/logql/syntax"
	"github.com/prometheus/prometheus/model/labels"
)

// stream is the lines of a set of labels.
type stream struct {
	labels labels.Labels
	lines  []string
}

func parseStreams(lines map[string][]string) (out []stream, err error) {
	for text, list := range lines {
		lset, err := syntax.ParseLabels(text)
		if err != nil {
			return nil, fmt.Errorf("labels %s: %w", text, err)
		}
		out = append(out, stream{lset, list})
	}
	return out, nil
}

// find reports what finds nothing: each selection of lines, and each range of them from
// which samples are made, has to find a line, and each line's labels have to be those
// that the query groups by.
func find(expr syntax.Expr, streams []stream) error {
	if selector, ok := expr.(syntax.LogSelectorExpr); ok {
		return findLines(selector, streams)
	}
	var errs error
	expr.Walk(func(e syntax.Expr) bool {
		if aggregation, ok := e.(*syntax.RangeAggregationExpr); ok {
			errs = errors.Join(errs, findSamples(aggregation, nil, streams))
		}
		if vector, ok := e.(*syntax.VectorAggregationExpr); ok && vector.Grouping != nil && !vector.Grouping.Without {
			if aggregation, ok := vector.Left.(*syntax.RangeAggregationExpr); ok {
				errs = errors.Join(errs, findSamples(aggregation, vector.Grouping.Groups, streams))
			}
		}
		return true
	})
	return errs
}

func findLines(selector syntax.LogSelectorExpr, streams []stream) error {
	pipeline, err := selector.Pipeline()
	if err != nil {
		return err
	}
	for _, s := range matching(streams, selector.Matchers()) {
		for _, line := range s.lines {
			if _, _, ok := pipeline.ForStream(s.labels).ProcessString(0, line, labels.EmptyLabels()); ok {
				return nil
			}
		}
	}
	return fmt.Errorf("%s finds no lines", selector)
}

// findSamples wants a sample without an error, with all labels of group.
func findSamples(aggregation *syntax.RangeAggregationExpr, group []string, streams []stream) error {
	selector, err := aggregation.Selector()
	if err != nil {
		return err
	}
	extractors, err := aggregation.Extractors()
	if err != nil {
		return err
	}
	if aggregation.Grouping != nil {
		group = append(group, aggregation.Grouping.Groups...)
	}
	for _, s := range matching(streams, selector.Matchers()) {
		for _, extractor := range extractors {
			for _, line := range s.lines {
				samples, _ := extractor.ForStream(s.labels).ProcessString(0, line, labels.EmptyLabels())
				for _, sample := range samples {
					if complete(sample, group) {
						return nil
					}
				}
			}
		}
	}
	return fmt.Errorf("%s finds no samples with the labels %q", aggregation, group)
}

func complete(sample logqllog.ExtractedSample, group []string) bool {
	lset := sample.Labels.Labels()
	for _, name := range group {
		if lset.Get(name) == "" {
			return false
		}
	}
	return lset.Get("__error__") == ""
}

func matching(streams []stream, matchers []*labels.Matcher) (out []stream) {
	for _, s := range streams {
		matches := true
		for _, m := range matchers {
			matches = matches && m.Matches(s.labels.Get(m.Name))
		}
		if matches {
			out = append(out, s)
		}
	}
	return out
}
