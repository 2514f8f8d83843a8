//go:build tools

// Package alertmanager pins the Alertmanager, and its amtool, that tests run.
package alertmanager

import (
	_ "github.com/prometheus/alertmanager/cmd/alertmanager"
	_ "github.com/prometheus/alertmanager/cmd/amtool"
)
