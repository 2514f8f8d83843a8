//go:build integration

package blackbox

import (
	"testing"

	"collector/pkg/exporters/exporter/exportertest"
)

// It needs the right to open ping sockets, which root has.
func TestThisMachineAnswersAPing(t *testing.T) {
	e := exportertest.New(t, Definition(), "config = `modules: {ping: {prober: icmp, icmp: {preferred_ip_protocol: ip4}}}`\n"+target("here", "127.0.0.1", "ping"))
	if code, page := e.Page(); code != 200 || !page.Has("probe_success 1") || !page.Has(`probe_icmp_duration_seconds{phase="rtt"} `) {
		t.Errorf("%d %s", code, page)
	}
}
