//go:build tools

// Package tools names the program that is compared: node_exporter.
package tools

import (
	_ "github.com/prometheus/node_exporter"
)
