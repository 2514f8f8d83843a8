package cadvisor

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// mount is a line of /proc/PID/mountinfo.
type mount struct {
	device
	point, kind, source string
}

func parseMountInfo(text []byte) []mount {
	var out []mount
	for line := range strings.Lines(string(text)) {
		before, after, _ := strings.Cut(line, " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if len(left) < 6 || len(right) < 2 {
			continue
		}
		if d, ok := parseDevice(left[2]); ok {
			out = append(out, mount{d, unescape(left[4]), right[0], unescape(right[1])})
		}
	}
	return out
}

// unescape undoes what the kernel does to white space and backslashes: \040.
func unescape(text string) string {
	if !strings.Contains(text, `\`) {
		return text
	}
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+3 < len(text) {
			if n, err := strconv.ParseUint(text[i+1:i+4], 8, 8); err == nil {
				out.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		out.WriteByte(text[i])
	}
	return out.String()
}

// ofMachine are the mounts of file systems that hold data, each device once, without
// what Docker mounts for each container.
func ofMachine(mounts []mount) []mount {
	var out []mount
	taken := map[string]bool{}
	for _, m := range mounts {
		switch {
		case m.kind == "tmpfs":
			m.source = m.point
		case strings.HasPrefix(m.kind, "ext"), strings.HasPrefix(m.kind, "nfs"), m.kind == "btrfs", m.kind == "xfs", m.kind == "zfs":
		default:
			continue
		}
		if !taken[m.source] && !ofOneContainer(m.point) {
			taken[m.source] = true
			out = append(out, m)
		}
	}
	return out
}

// ofOneContainer reports whether a mount point exists only as long as a container.
func ofOneContainer(point string) bool {
	for _, part := range []string{"/overlay2/", "/containers/", "/overlay-containers/", "/rootfs/overlayfs/"} {
		if strings.Contains(point, part) {
			return true
		}
	}
	return false
}

// diskIO is a line of /proc/diskstats.
type diskIO struct {
	name                                              string
	reads, readsMerged, sectorsRead, readMillis       uint64
	writes, writesMerged, sectorsWritten, writeMillis uint64
	current, busyMillis, weightedMillis               uint64
}

func parseDiskstats(text []byte) map[device]diskIO {
	out := map[device]diskIO{}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 14 {
			continue
		}
		d, ok := parseDevice(fields[0] + ":" + fields[1])
		n := parseNumbers([]byte(strings.Join(fields[3:14], " ")))
		if ok && len(n) == 11 {
			out[d] = diskIO{fields[2], n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7], n[8], n[9], n[10]}
		}
	}
	return out
}

// filesystem is a file system of the machine.
type filesystem struct {
	mount
	size, used, inodes, inodesFree uint64
	io                             diskIO
}

// measureFilesystems asks the kernel about file systems; root is where the host's / is.
// A mount that is not seen below root is skipped: what is there is another one.
func measureFilesystems(root string, mounts []mount, disks map[device]diskIO) []filesystem {
	var out []filesystem
	for _, m := range mounts {
		var st syscall.Stat_t
		var fs unix.Statfs_t
		point := path.Join(root, m.point)
		if syscall.Stat(point, &st) != nil || unix.Statfs(point, &fs) != nil {
			continue
		}
		if m.kind != "btrfs" && m.kind != "zfs" && numberOf(&st) != m.device {
			continue
		}
		unit := uint64(cmp.Or(fs.Frsize, fs.Bsize))
		f := filesystem{mount: m, size: unit * fs.Blocks, used: unit * (fs.Blocks - fs.Bfree), inodes: fs.Files, inodesFree: fs.Ffree}
		f.io = disks[m.device]
		if f.io.name == "" {
			for _, d := range disks {
				if d.name != "" && m.source == "/dev/"+d.name {
					f.io = d
				}
			}
		}
		out = append(out, f)
	}
	return out
}

func numberOf(st *syscall.Stat_t) device {
	return device{uint64(unix.Major(uint64(st.Dev))), uint64(unix.Minor(uint64(st.Dev)))}
}

// holding finds the file system that a folder is on; nil if none is known.
func holding(filesystems []filesystem, root, folder string) *filesystem {
	var st syscall.Stat_t
	if folder == "" || syscall.Stat(path.Join(root, folder), &st) != nil {
		return nil
	}
	var best *filesystem
	for i := range filesystems {
		f := &filesystems[i]
		if f.device == numberOf(&st) {
			return f
		}
		if f.kind == "btrfs" && (f.point == "/" || strings.HasPrefix(folder+"/", f.point+"/")) && (best == nil || len(f.point) > len(best.point)) {
			best = f
		}
	}
	return best
}

// folderUsage is what the files below folders take.
type folderUsage struct {
	bytes, inodes uint64 // of the writable layer
	beside        uint64 // bytes of the Engine's own files: logs, above all
	err           error
}

// containerFolders are the folders of a container that are measured.
type containerFolders struct{ id, layer, beside string }

// diskUsage keeps what containers take on disk. Measuring it looks at every file, so it
// is done at most once a minute, and rarely enough to take no more than 1/500 of the
// time.
type diskUsage struct {
	patient patient[map[string]folderUsage]
	due     map[string]time.Time // belongs to the goroutine that measures
}

const (
	measureEvery = time.Minute
	measureShare = 500
	// measureWait is how long a page waits for it.
	measureWait = time.Second
)

func (d *diskUsage) of(ctx context.Context, wanted []containerFolders) map[string]folderUsage {
	return d.patient.get(ctx, measureWait, func(before map[string]folderUsage) map[string]folderUsage {
		after, due := map[string]folderUsage{}, map[string]time.Time{}
		for _, w := range wanted {
			known, has := before[w.id]
			if next := d.due[w.id]; has && time.Now().Before(next) {
				after[w.id], due[w.id] = known, next
				continue
			}
			begun := time.Now()
			measured := measure(ctx, w)
			if ctx.Err() != nil {
				return before
			}
			after[w.id], due[w.id] = measured, time.Now().Add(max(measureEvery, measureShare*time.Since(begun)))
		}
		d.due = due
		return after
	})
}

func measure(ctx context.Context, w containerFolders) (u folderUsage) {
	u.bytes, u.inodes, u.err = sizeOf(ctx, w.layer)
	if w.beside != "" && u.err == nil {
		u.beside, _, u.err = sizeOf(ctx, w.beside)
	}
	return u
}

// sizeOf is what the files below a folder take, on its own file system, those with
// several names once.
func sizeOf(ctx context.Context, folder string) (bytes, inodes uint64, err error) {
	var top syscall.Stat_t
	if err := syscall.Stat(folder, &top); err != nil {
		return 0, 0, &os.PathError{Op: "stat", Path: folder, Err: err}
	}
	seen := map[uint64]bool{}
	err = filepath.WalkDir(folder, func(_ string, entry fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, fs.ErrNotExist): // it has just been removed
			return nil
		case err != nil:
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return nil
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok || st.Dev != top.Dev {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if st.Nlink > 1 && !entry.IsDir() {
			if seen[st.Ino] {
				return nil
			}
			seen[st.Ino] = true
		}
		bytes += uint64(st.Blocks) * 512
		inodes++
		return nil
	})
	return bytes, inodes, err
}

// patient measures what may take long, or never end, as with a file system whose server
// is away: one measurement at a time, in the background; callers get the last result if
// the next takes too long.
type patient[T any] struct {
	mu      sync.Mutex
	running chan struct{} // guarded by mu; closed when a measurement ends; nil: there is none
	last    T             // guarded by mu
}

func (p *patient[T]) get(ctx context.Context, wait time.Duration, measure func(last T) T) T {
	p.mu.Lock()
	running := p.running
	if running == nil {
		running = make(chan struct{})
		p.running = running
		last := p.last
		go func() {
			measured := measure(last)
			p.mu.Lock()
			defer p.mu.Unlock()
			p.last, p.running = measured, nil
			close(running)
		}()
	}
	p.mu.Unlock()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-running:
	case <-timer.C:
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

// settle waits until no measurement runs, for a while at most.
func (p *patient[T]) settle(wait time.Duration) {
	p.mu.Lock()
	running := p.running
	p.mu.Unlock()
	if running == nil {
		return
	}
	select {
	case <-running:
	case <-time.After(wait):
	}
}
