package tails_test

import (
	"testing"

	"collector/pkg/admin/ui/uitest"
	"collector/pkg/inspect"
)

func TestTailsAreFilteredSortedAndPaged(t *testing.T) {
	u := uitest.New(t, uitest.Small, uitest.Having(uitest.NewStock(0, 300)))
	all := uitest.Listed[inspect.LogTail](t, u, "/api/v1/targets/logs")
	if all.Total != 300 || all.Items[0].Error == "" {
		t.Errorf("%d, first %+v", all.Total, all.Items[0])
	}
	if lag := uitest.Listed[inspect.LogTail](t, u, "/api/v1/targets/logs?sort=-lag"); lag.Items[0].LagSeconds != 29.9 {
		t.Errorf("%+v", lag.Items[0])
	}
	if failing := uitest.Listed[inspect.LogTail](t, u, "/api/v1/targets/logs?state=failing"); failing.Total != 3 {
		t.Errorf("%d fail", failing.Total)
	}
	if one := uitest.Listed[inspect.LogTail](t, u, "/api/v1/targets/logs?q=0042"); one.Total != 1 || one.Items[0].Labels["stdout"]["password"] != "(secret)" {
		t.Errorf("%+v", one)
	}
}
