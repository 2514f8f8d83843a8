package remotecfg

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/uuid"

	"collector/pkg/durable"
)

const (
	// keptName is the file, in the component's folder, that has the configuration
	// that was in force last, after a line:
	//
	//	// DIGEST OF WHAT IT WAS ASKED FOR BY  DIGEST OF THE CONFIGURATION
	keptName = "config.alloy"
	// seedName is the file, in the storage path, in which Alloy keeps the name of an
	// installation.
	seedName = "alloy_seed.json"
)

var errNoneKept = errors.New("there is no configuration on disk")

func digest(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// key represents what a server chooses a configuration by.
func (r *Remote) key() string {
	parts := []string{r.config.URL, r.id}
	for _, name := range slices.Sorted(maps.Keys(r.config.Attributes)) {
		parts = append(parts, name, r.config.Attributes[name])
	}
	return digest(parts...)
}

// keep writes a configuration that is in force, all or nothing.
func (r *Remote) keep(text []byte) error {
	if r.o.Dir == "" {
		return nil
	}
	if before, err := r.kept(); err == nil && bytes.Equal(before, text) {
		return nil
	}
	if err := durable.Own(r.o.Dir); err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(r.o.Dir, keptName), append([]byte(r.head(text)+"\n"), text...))
}

// head is the first line of the file of a configuration.
func (r *Remote) head(text []byte) string { return "// " + r.key() + " " + digest(string(text)) }

// kept reads what keep has written. It returns errNoneKept if there is nothing, or
// only what another server, or another collector, was given.
func (r *Remote) kept() ([]byte, error) {
	if r.o.Dir == "" {
		return nil, errNoneKept
	}
	path := filepath.Join(r.o.Dir, keptName)
	all, err := durable.ReadFile(path, maxAnswer+1<<10)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNoneKept
	}
	if err != nil {
		return nil, err
	}
	head, text, _ := bytes.Cut(all, []byte("\n"))
	switch {
	case string(head) == r.head(text):
		return text, nil
	case bytes.HasSuffix(head, []byte(" "+digest(string(text)))):
		return nil, errNoneKept
	}
	return nil, fmt.Errorf("%s is damaged", path)
}

// seed names an installation.
type seed struct {
	UID     string    `json:"UID"`
	Created time.Time `json:"created_at"`
	Version string    `json:"version"`
}

// installation is the id of this installation, in the file where Alloy has it.
func (r *Remote) installation() string {
	path := filepath.Join(filepath.Dir(r.o.Dir), seedName)
	text, err := durable.ReadFile(path, 1<<10)
	var s seed
	if err == nil && json.Unmarshal(text, &s) == nil && s.UID != "" {
		return s.UID
	}
	s = seed{UID: uuid.NewString(), Created: time.Now().UTC(), Version: r.version}
	text, err = json.Marshal(s)
	if err == nil && r.o.Dir != "" {
		if err = durable.Own(r.o.Dir); err == nil {
			err = durable.WriteFile(path, text)
		}
	}
	if err != nil {
		r.o.Logger.Warn("cannot save the id of this installation; after a restart the server sees a new collector", "path", path, "err", err)
	}
	return s.UID
}
