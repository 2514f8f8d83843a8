package discovery

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"

	"collector/pkg/component"
	"collector/pkg/durable"
	"collector/pkg/throttle"
)

// saved is the last list of targets, on disk.
type saved struct {
	key     string // identifies the source; without it, nothing is saved
	options component.Options
	quiet   *throttle.Log
}

// savedTargets is the file of the last list: a line with the digest of the source,
// and the targets as JSON.
const savedTargets = "targets.json"

func (s saved) source() []byte {
	sum := sha256.Sum256([]byte(s.key))
	return append(hex.AppendEncode(nil, sum[:]), '\n')
}

// load returns the last list, or nil if there is none of this source.
func (s saved) load() []Target {
	if s.key == "" || s.options.Dir == "" {
		return nil
	}
	text, err := durable.ReadFile(filepath.Join(s.options.Dir, savedTargets), maxTargetFile)
	if err != nil {
		return nil // the first start, as a rule; the source is asked soon
	}
	text, ok := bytes.CutPrefix(text, s.source())
	var targets []Target
	if !ok || json.Unmarshal(text, &targets) != nil {
		return nil
	}
	return targets
}

func (s saved) write(targets []Target) {
	if s.key == "" || s.options.Dir == "" {
		return
	}
	text, err := json.Marshal(targets)
	text = append(s.source(), text...)
	if err == nil && len(text) > maxTargetFile {
		err = fmt.Errorf("they take %d bytes, and at most %d are read", len(text), maxTargetFile)
	}
	if err == nil {
		err = durable.Own(s.options.Dir)
	}
	if err == nil {
		err = durable.WriteFile(filepath.Join(s.options.Dir, savedTargets), text)
	}
	if err != nil {
		s.quiet.Warn(s.options.Logger, "save", "cannot save the targets to disk; they are not available after a restart without their source", "path", s.options.Dir, "err", err)
	}
}
