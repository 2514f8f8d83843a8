package why

import "testing"

// A target has metrics or profiles, and is counted with its own kind.
func TestProfilesAreASignalOfTheirOwn(t *testing.T) {
	k := &collection{targets: []target{{State: "down"}, {State: "up", Profile: "memory"}, {State: "up", Profile: "block"}}}
	var a Answer
	for _, signal := range []string{"Metrics", "Profiles"} {
		k.scrapesFlow(&a, signal, func(t *target) bool { return t.signal() == signal })
	}
	if len(a.Texts) != 2 || a.Texts[0].Text != "Metrics: 0 of 1 target up." || a.Texts[1].Text != "Profiles: yes, 2 of 2 targets up." {
		t.Errorf("%+v", a.Texts)
	}
	if got := k.targets[1].scraped(); got != "a profile memory" {
		t.Error(got)
	}
	a = Answer{}
	none := &collection{}
	none.scrapesFlow(&a, "Profiles", func(*target) bool { return true })
	if len(a.Texts) > 0 {
		t.Errorf("most containers have no profiles: %+v", a.Texts)
	}
}
