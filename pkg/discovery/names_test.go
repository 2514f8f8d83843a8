package discovery

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

func TestNamesOfLabelsAreMadeValidAsPrometheusDoes(t *testing.T) {
	legacy, utf8 := model.LegacyValidation, model.UTF8Validation
	for _, c := range []struct {
		scheme   model.ValidationScheme
		in, want labels.Labels
	}{
		{legacy, labels.FromStrings("5g_interface", "a", "2fa", "b"), labels.FromStrings("_2fa", "b", "_5g_interface", "a")},
		{legacy, labels.FromStrings("http.status", "a", "ü", "b"), labels.FromStrings("_", "b", "http_status", "a")},
		{legacy, labels.FromStrings("2fa", "a", "_2fa", "own"), labels.FromStrings("_2fa", "own")},
		{legacy, labels.FromStrings("a.b", "a", "a-b", "b"), labels.FromStrings("a_b", "b")},
		{legacy, labels.FromStrings("..x", "a", "a:b", "c"), labels.FromStrings("_x", "a", "a_b", "c")},
		{legacy, labels.FromStrings("__tmp", "a", "ok", "b"), labels.FromStrings("__tmp", "a", "ok", "b")},
		{utf8, labels.FromStrings("5g.interface", "a", "bad\xff", "b"), labels.FromStrings("5g.interface", "a", "bad\uFFFD", "b")},
	} {
		got := NewLabelNames(c.scheme, nil).Valid(c.in)
		if !labels.Equal(got, c.want) {
			t.Errorf("%s: %v becomes %v, want %v", c.scheme, c.in, got, c.want)
		}
		if !validNames(got, c.scheme) {
			t.Errorf("%s: %v is not valid", c.scheme, got)
		}
	}
	if lset := labels.FromStrings("2fa", "a"); !labels.Equal((*LabelNames)(nil).Valid(lset), labels.FromStrings("_2fa", "a")) {
		t.Error("without a LabelNames, names are not made valid in the legacy scheme")
	}
}

func TestEachInvalidNameIsWarnedOfOnce(t *testing.T) {
	var log bytes.Buffer
	n := NewLabelNames(model.LegacyValidation, slog.New(slog.NewTextHandler(&log, nil)))
	for range 3 {
		n.Valid(labels.FromStrings("2fa", "a", "ok", "b"))
		n.Valid(labels.FromStrings("5g", "a", "_5g", "b"))
	}
	if got := log.String(); strings.Count(got, "level=WARN") != 2 || !strings.Contains(got, "label=2fa valid_name=_2fa") || !strings.Contains(got, "label dropped") {
		t.Errorf("logged:\n%s", got)
	}
	for i := range 1000 {
		n.Valid(labels.FromStrings(fmt.Sprint(i), "a"))
	}
	if got := strings.Count(log.String(), "level=WARN"); got != maxWarnedNames {
		t.Errorf("%d warnings of 1,002 names, want %d", got, maxWarnedNames)
	}
}
