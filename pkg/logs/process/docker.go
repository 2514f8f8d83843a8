package process

// DockerConfig is the block stage.docker.
type DockerConfig struct{}

// fixed is a pipeline of stages that are always the same.
type fixed struct {
	stages []Stage
	inside Emit
}

// newDocker reads what Docker's json-file driver writes.
func newDocker(v *env) (Stage, error) {
	stages, err := newStages([]StageConfig{
		{JSON: &JSONConfig{Expressions: map[string]string{"output": "log", "stream": "stream", "timestamp": "time"}}},
		{Labels: &LabelsConfig{Values: map[string]*string{"stream": nil}}},
		{Timestamp: &TimestampConfig{Source: "timestamp", Format: "RFC3339Nano"}},
		{Output: &OutputConfig{Source: "output"}},
	}, v)
	return &fixed{stages: stages}, err
}

func (s *fixed) within() []Stage { return s.stages }

func (s *fixed) connect(inside Emit) { s.inside = inside }

func (s *fixed) Process(e *Entry, _ Emit) {
	e.Extracted.seed(&e.Labels)
	s.inside(e)
}
