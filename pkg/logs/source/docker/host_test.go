package docker

import (
	"testing"

	"collector/pkg/component"
	"collector/pkg/docker"
)

func TestAnEmptyHostIsTheDefaultSocket(t *testing.T) {
	var cfg Config
	cfg.SetToDefault()
	warnings := 0
	s, err := New(cfg, component.Options{Warn: func(name, _ string) {
		if name == "host" {
			warnings++
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if host := s.engine.(*docker.Engine).Status().Host; host != docker.DefaultHost || warnings != 1 {
		t.Errorf("the Engine is at %q, %d warnings", host, warnings)
	}
}
