package interval

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"collector/pkg/durable"
	"collector/pkg/pipeline"
)

// The journal is a folder with a file for each time between two flushes, named by a
// number that grows, in hexadecimal. A file is a run of records, in little-endian order:
//
//	┌─────────┬──────────┬──────────────────────────┐
//	│ length  │ CRC-32C  │ metrics, as protobuf     │
//	│ 4 bytes │ 4 bytes  │                          │
//	└─────────┴──────────┴──────────────────────────┘
//
// The checksum covers the metrics. A file ends at a record that is torn or damaged.
const (
	recordHeader = 8
	// journalLimit is how many bytes it may have. Beyond, requests are refused.
	journalLimit = 1 << 30
	suffix       = ".held"
)

type journal struct {
	dir    string
	names  []string // files of before, which are not yet removed
	number uint64   // of the next file
	file   *os.File // nil: nothing was written since the last flush
	size   int64    // of all files
	dirty  bool     // file was written to since the last sync
}

// openJournal returns the records of before, and how many files are damaged.
func openJournal(dir string) (j *journal, older [][]byte, damaged int, err error) {
	if err := durable.Own(dir); err != nil {
		return nil, nil, 0, err
	}
	names, err := filepath.Glob(filepath.Join(dir, "*"+suffix)) // in order
	if err != nil {
		return nil, nil, 0, err
	}
	j = &journal{dir: dir, names: names}
	for _, name := range names {
		data, err := durable.ReadFile(name, 0)
		if err != nil {
			return nil, nil, 0, fmt.Errorf("read held metrics: %w", err)
		}
		records, whole := readRecords(data)
		if !whole {
			damaged++
		}
		older = append(older, records...)
		j.size += int64(len(data))
		var number uint64
		if _, err := fmt.Sscanf(filepath.Base(name), "%x", &number); err == nil && number >= j.number {
			j.number = number + 1
		}
	}
	return j, older, damaged, nil
}

// readRecords returns the records of a file, and whether that is all of it.
func readRecords(data []byte) (records [][]byte, whole bool) {
	for len(data) >= recordHeader {
		n, sum := int64(binary.LittleEndian.Uint32(data)), binary.LittleEndian.Uint32(data[4:])
		if n > int64(len(data)-recordHeader) {
			return records, false
		}
		record := data[recordHeader : recordHeader+n]
		if durable.Checksum(0, record) != sum {
			return records, false
		}
		records = append(records, record)
		data = data[recordHeader+n:]
	}
	return records, len(data) == 0
}

// append writes a record with one call, so that it survives the death of the process.
func (j *journal) append(data []byte) error {
	if j.size+int64(len(data)) > journalLimit {
		return fmt.Errorf("hold metrics: %w", pipeline.ErrFull)
	}
	if j.file == nil {
		f, err := durable.OpenFile(filepath.Join(j.dir, fmt.Sprintf("%016x%s", j.number, suffix)), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND)
		if err != nil {
			return fmt.Errorf("hold metrics: %w", err)
		}
		j.file = f
		j.number++
	}
	record := binary.LittleEndian.AppendUint32(make([]byte, 0, recordHeader+len(data)), uint32(len(data)))
	record = binary.LittleEndian.AppendUint32(record, durable.Checksum(0, data))
	n, err := j.file.Write(append(record, data...))
	j.size += int64(n)
	if err != nil {
		// What follows a torn record would not be read: the next one goes into another file.
		j.end()
		return fmt.Errorf("hold metrics: %w", err)
	}
	j.dirty = true
	return nil
}

// end closes the file that is written to.
func (j *journal) end() {
	if j.file == nil {
		return
	}
	j.names = append(j.names, j.file.Name())
	j.file.Close()
	j.file, j.dirty = nil, false
}

// rotate begins another file. It returns those of before.
func (j *journal) rotate() []string {
	j.end()
	names := j.names
	j.names = nil
	return names
}

// remove removes files that are no longer needed.
func (j *journal) remove(names []string) error {
	var errs []error
	for _, name := range names {
		if info, err := os.Stat(name); err == nil {
			j.size -= info.Size()
		}
		errs = append(errs, os.Remove(name))
	}
	return errors.Join(errs...)
}

// unsynced returns the file if it must be synced, which the caller does.
func (j *journal) unsynced() *os.File {
	if !j.dirty {
		return nil
	}
	j.dirty = false
	return j.file
}

// close syncs what is left.
func (j *journal) close() error {
	if j.file == nil {
		return nil
	}
	return errors.Join(j.file.Sync(), j.file.Close())
}
