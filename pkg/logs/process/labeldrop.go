package process

// LabelDropConfig is the block stage.label_drop.
type LabelDropConfig struct {
	Values []string `alloy:"values,attr"`
}

// Validate reports settings that can't work.
func (c *LabelDropConfig) Validate() error { return notEmpty("values", c.Values) }

// labelDrop removes labels.
type labelDrop struct{ names []string }

func newLabelDrop(c LabelDropConfig) (Stage, error) {
	return &labelDrop{c.Values}, c.Validate()
}

func (s *labelDrop) Process(e *Entry, emit Emit) {
	for _, name := range s.names {
		e.Labels.Delete(name)
	}
	emit(e)
}
