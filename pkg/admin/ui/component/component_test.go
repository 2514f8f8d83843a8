package component_test

import (
	"fmt"
	"strings"
	"testing"

	"collector/pkg/admin/ui/uitest"
)

func TestAComponentPageStaysSmallWithThousandsOfTargets(t *testing.T) {
	var b strings.Builder
	b.WriteString("toy.source \"a\" {\n\tvalues = [\n")
	for i := range 2000 {
		fmt.Fprintf(&b, "\t\t{\"__address__\" = \"10.0.0.%d:80\", \"long\" = %q},\n", i, strings.Repeat("x", 300))
	}
	fmt.Fprintf(&b, "\t\t{\"huge\" = %q},\n\t]\n}\n", strings.Repeat("y", 1<<18))
	u := uitest.New(t, b.String(), nil)
	page := uitest.Get(t, u, "/component/toy.source.a")
	uitest.CheckPage(t, "component", page)
	if len(page) > uitest.MaxPage || !strings.Contains(page, "all of it as JSON") || !strings.Contains(page, `href="/api/v1/components/toy.source.a"`) {
		t.Errorf("%d bytes, or no link to all of it", len(page))
	}
	if page := uitest.Get(t, u, "/configuration?file=dir%2Fc.alloy&from=1601"); len(page) > uitest.MaxPage {
		t.Errorf("the configuration has %d bytes", len(page))
	}
}
