package docker

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"collector/pkg/durable"
)

// positionsFile is where Alloy keeps what it has read of Docker's logs, in the
// same directory:
//
//	positions:
//	  ? path: cursor-<container>
//	    labels: '{__address__="…", …}'
//	  : "<seconds since the epoch>"
const positionsFile = "positions.yml"

const cursorPrefix = "cursor-"

// readAlloyPositions reads the file that an Alloy left behind. It is never
// written; a container that has a cursor of ours doesn't look at it.
func (s *cursorStore) readAlloyPositions() map[string]int64 {
	path := filepath.Join(s.dir, positionsFile)
	data, err := durable.ReadFile(path, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var positions map[string]int64
	if err == nil {
		positions, err = parsePositions(data)
	}
	if err != nil {
		s.metrics.cursorDamage.Inc()
		s.logger.Error("Alloy's positions can't be read; containers without a cursor are read from their beginning", "file", path, "err", err)
		return nil
	}
	if len(s.entries) == 0 && len(positions) > 0 {
		s.logger.Info("continuing from Alloy's positions", "file", path, "containers", len(positions))
	}
	return positions
}

// parsePositions returns the seconds by container. A container that is listed
// with several sets of labels has had its labels changed; the newest counts.
// What is not the cursor of a container is ignored.
func parsePositions(data []byte) (map[string]int64, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(data, &root); err != nil {
		return nil, err
	}
	out := make(map[string]int64)
	if len(root.Content) == 0 {
		return out, nil
	}
	eachPair(root.Content[0], func(key, value *yaml.Node) {
		if key.Value != "positions" {
			return
		}
		eachPair(value, func(key, value *yaml.Node) {
			path := key.Value // before Alloy, Promtail's keys were plain strings
			eachPair(key, func(name, v *yaml.Node) {
				if name.Value == "path" {
					path = v.Value
				}
			})
			id, ok := strings.CutPrefix(path, cursorPrefix)
			seconds, err := strconv.ParseInt(value.Value, 10, 64)
			if ok && err == nil && id != "" && seconds > 0 && seconds < 1<<33 {
				out[id] = max(out[id], seconds)
			}
		})
	})
	return out, nil
}

// eachPair calls f for the pairs of a mapping; other nodes have none.
func eachPair(n *yaml.Node, f func(key, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		f(n.Content[i], n.Content[i+1])
	}
}
