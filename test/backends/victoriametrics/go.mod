module collector-test-victoriametrics
go 1.26
require github.com/VictoriaMetrics/VictoriaMetrics v1.131.0
