package exporter

import (
	"errors"
	"testing"
)

func TestTheFirstErrorOfAScrapeIsHeard(t *testing.T) {
	log := map[string]func(h *Heard, level, message string, err error){
		"slog": func(h *Heard, level, message string, err error) {
			if level == "error" {
				h.Logger().Error(message, "name", "users", "password", "hunter2", "err", err)
			} else {
				h.Logger().Warn(message, "err", err)
			}
		},
		"go-kit": func(h *Heard, level, message string, err error) {
			_ = h.KitLog("level", level, "msg", message, "name", "users", "password", "hunter2", "err", err)
		},
	}
	for kind, say := range log {
		var h Heard
		say(&h, "warn", "careful", errors.New("late"))
		if got := h.Error(); got != "" {
			t.Errorf("%s: a warning is heard: %s", kind, got)
		}
		say(&h, "error", "collector failed", errors.New("no rights"))
		say(&h, "error", "collector failed", errors.New("another"))
		if got := h.Error(); got != "collector failed: users: no rights" {
			t.Errorf("%s: %s", kind, got)
		}
		if h.Forget(); h.Error() != "" {
			t.Errorf("%s: it is not forgotten", kind)
		}
	}
	var h Heard
	h.Logger().With("collector", "shared").Error("whose?")
	if h.Error() != "" {
		t.Error("what exporters share is heard")
	}
}
