package logs_test

import (
	"strings"
	"testing"

	"collector/pkg/admin/ui"
	"collector/pkg/admin/ui/uitest"
)

func TestLogsArePagedByACursor(t *testing.T) {
	w := uitest.RunWindow(t)
	uitest.KeepAll(t, w, 250, "")
	u := uitest.New(t, uitest.Small, func(o *ui.Options) { o.Explore = w })
	seen, path := 0, "/explore/logs?q=line&level=error"
	for range 3 {
		page := uitest.Get(t, u, path)
		uitest.CheckPage(t, path, page)
		seen += strings.Count(page, ">trace<span")
		_, next, ok := strings.Cut(page, `<a rel="next" href="`)
		if !ok {
			break
		}
		path, _, _ = strings.Cut(strings.ReplaceAll(next, "&amp;", "&"), `"`)
	}
	if seen != 250 {
		t.Errorf("%d lines were shown", seen)
	}
}
