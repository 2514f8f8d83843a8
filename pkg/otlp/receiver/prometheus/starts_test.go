package prometheus

import (
	"runtime/debug"
	"strconv"
	"testing"

	"github.com/prometheus/common/model"
)

func TestStartsTakeAShareOfTheMemoryLimit(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(startCost * memoryShare * 20)) // for 20 series
	to := &keeping{}
	r, _ := receiver(t, to)
	debug.SetMemoryLimit(1 << 40)
	p := &scraped{types: map[string]model.MetricType{"c_total": model.MetricTypeCounter}}
	for i := range 50 {
		p.add(t, 1, 1, "c_total", "i", strconv.Itoa(i))
	}
	write(t, r, to, p)
	if n := r.starts.size(); n != 20 {
		t.Errorf("%d series are remembered, want 20", n)
	}
}
