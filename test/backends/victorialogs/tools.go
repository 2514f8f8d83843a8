//go:build tools

// Package tools pins VictoriaLogs, which takes Loki's push protocol. Its last version
// inside the VictoriaMetrics module differs from the one that VictoriaMetrics itself is
// tested at, hence a separate module.
package tools

import (
	_ "github.com/VictoriaMetrics/VictoriaMetrics/app/victoria-logs"
)
