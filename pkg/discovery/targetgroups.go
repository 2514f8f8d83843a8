package discovery

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"go.yaml.in/yaml/v3"

	"collector/pkg/filewatch"
)

// maxTargetFile bounds a file that lists targets.
const maxTargetFile = 16 << 20

// filepathLabel names the file that a target comes from.
const filepathLabel = model.MetaLabelPrefix + "filepath"

// targetGroup is targets with the labels that they share, as files list them.
type targetGroup struct {
	Targets []string          `json:"targets" yaml:"targets"`
	Labels  map[string]string `json:"labels" yaml:"labels"`
}

// readTargets reads the targets that a file lists: all of them or none.
func readTargets(path string) (targets []Target, modified time.Time, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, time.Time{}, err
	}
	text, err := filewatch.Read(path, maxTargetFile)
	if err != nil {
		return nil, time.Time{}, err
	}
	groups, err := parseGroups(strings.ToLower(filepath.Ext(path)), text)
	if err != nil {
		return nil, time.Time{}, err
	}
	targets, err = ofGroups(groups, filepathLabel, path)
	return targets, info.ModTime(), err
}

// parseGroups reads groups of targets in the format that the name of a file with
// this extension says.
func parseGroups(extension string, text []byte) (groups []*targetGroup, err error) {
	switch extension {
	case ".json":
		return parseJSON(text)
	case ".yml", ".yaml":
		decoder := yaml.NewDecoder(bytes.NewReader(text))
		decoder.KnownFields(true)
		if err := decoder.Decode(&groups); err != nil && err != io.EOF { // an empty file lists none
			return nil, err
		}
		return groups, nil
	}
	return nil, fmt.Errorf("the name ends in %q: end it in .json, .yml or .yaml", extension)
}

func parseJSON(text []byte) (groups []*targetGroup, err error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	err = decoder.Decode(&groups)
	if err == nil {
		if _, after := decoder.Token(); after != io.EOF {
			return nil, fmt.Errorf("line %d: unexpected content after the end of the list", lineAt(text, decoder.InputOffset()))
		}
		return groups, nil
	}
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return nil, fmt.Errorf("line %d: %w", lineAt(text, syntax.Offset), err)
	case errors.As(err, &kind):
		return nil, fmt.Errorf("line %d: %w", lineAt(text, kind.Offset), err)
	case err == io.EOF, errors.Is(err, io.ErrUnexpectedEOF):
		return nil, errors.New("the list is cut off")
	}
	return nil, err
}

// lineAt is the number of the line that holds the byte before offset.
func lineAt(text []byte, offset int64) int {
	return 1 + bytes.Count(text[:max(0, min(offset-1, int64(len(text))))], []byte("\n"))
}

// ofGroups are the targets of groups, with a label that says where the groups are.
// Labels without a value are omitted, as they mean the same as absent ones.
func ofGroups(groups []*targetGroup, label, where string) ([]Target, error) {
	var out []Target
	b := labels.NewBuilder(labels.EmptyLabels())
	for i, group := range groups {
		if group == nil {
			return nil, fmt.Errorf("group %d is null", i+1)
		}
		b.Reset(labels.EmptyLabels())
		for name, value := range group.Labels {
			if !model.UTF8Validation.IsValidLabelName(name) {
				return nil, fmt.Errorf("group %d: %q is not a valid name for a label", i+1, name)
			}
			b.Set(name, value)
		}
		b.Set(label, where)
		for _, address := range group.Targets {
			b.Set(model.AddressLabel, address)
			out = append(out, b.Labels())
		}
	}
	return out, nil
}
