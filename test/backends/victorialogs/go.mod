module collector-test-victorialogs
go 1.26
require github.com/VictoriaMetrics/VictoriaMetrics v1.117.0
