package docker

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"collector/pkg/durable"
	"collector/pkg/logs/source/positions"
)

// positionsFile is where Alloy keeps what it has read of Docker's logs, in the
// same directory: seconds since the epoch, by "cursor-<container>" for a path.
const positionsFile = "positions.yml"

const cursorPrefix = "cursor-"

// readAlloyPositions reads the file that an Alloy left behind or, if there is none, the
// one at legacy, which a Promtail wrote. Neither is ever written; they are not used for a
// container that has a cursor of its own.
func (s *cursorStore) readAlloyPositions(legacy string) map[string]int64 {
	path := filepath.Join(s.dir, positionsFile)
	data, err := durable.ReadFile(path, 0)
	if legacy != "" && (err != nil || len(data) == 0) {
		path = legacy
		data, err = os.ReadFile(legacy)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var seconds map[string]int64
	if err == nil {
		seconds, err = parsePositions(data)
	}
	if err != nil {
		s.metrics.cursorDamage.Inc()
		s.logger.Error("the previous positions can't be read; containers without a cursor are read from their beginning", "file", path, "err", err)
		return nil
	}
	if len(s.entries) == 0 && len(seconds) > 0 {
		s.logger.Info("continuing from the previous positions", "file", path, "containers", len(seconds))
	}
	return seconds
}

// parsePositions returns the seconds by container. A container that is listed with
// several sets of labels has had its labels changed; the newest counts. Anything but
// container cursors is ignored.
func parsePositions(data []byte) (map[string]int64, error) {
	out := make(map[string]int64)
	err := positions.EachOfAlloy(data, func(path, _, value string) {
		id, ok := strings.CutPrefix(path, cursorPrefix)
		seconds, err := strconv.ParseInt(value, 10, 64)
		if ok && err == nil && id != "" && seconds > 0 && seconds < 1<<33 {
			out[id] = max(out[id], seconds)
		}
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
