package process

import "errors"

// TenantConfig is the block stage.tenant.
type TenantConfig struct {
	Label  string `alloy:"label,attr,optional"`
	Source string `alloy:"source,attr,optional"`
	Value  string `alloy:"value,attr,optional"`
}

// Validate reports settings that can't work.
func (c *TenantConfig) Validate() error {
	given := 0
	for _, value := range []string{c.Label, c.Source, c.Value} {
		if value != "" {
			given++
		}
	}
	if given != 1 {
		return errors.New("exactly one of label, source and value is needed")
	}
	return nil
}

// tenantLabel is the label by which an entry chooses its tenant.
const tenantLabel = "__tenant_id__"

// tenant chooses the tenant to which loki.write sends an entry.
type tenant struct{ cfg TenantConfig }

func newTenant(c TenantConfig) (Stage, error) { return &tenant{c}, c.Validate() }

func (s *tenant) Process(e *Entry, emit Emit) {
	id := s.cfg.Value
	switch {
	case s.cfg.Source != "":
		id, _ = e.Extracted.Text(s.cfg.Source)
	case s.cfg.Label != "":
		id, _ = e.Labels.Get(s.cfg.Label)
	}
	if id != "" {
		e.Labels.Set(tenantLabel, id)
	}
	emit(e)
}
