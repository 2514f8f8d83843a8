//go:build unix

package dockerproxy

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// shortDir is a directory for sockets, whose paths are limited to 107 bytes.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "proxy")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func listenOn(t *testing.T, s Socket) net.Listener {
	t.Helper()
	l, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestASocketHasItsModeAndGroup(t *testing.T) {
	path := filepath.Join(shortDir(t), "docker.sock")
	for _, mode := range []fs.FileMode{0o600, 0o666, 0o660} {
		listenOn(t, Socket{Path: path, Mode: mode, Group: os.Getgid()}) // in place of the one before
		info, err := os.Stat(path)
		if err != nil || info.Mode() != fs.ModeSocket|mode {
			t.Errorf("the socket is %v, %v, want %v", info.Mode(), err, mode)
		}
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("left in its directory: %v, %v", entries, err)
	}
}

func TestAStaleSocketIsReplaced(t *testing.T) {
	s := Socket{Path: filepath.Join(shortDir(t), "docker.sock"), Mode: 0o600, Group: -1}
	listenOn(t, s).Close()
	if _, err := os.Stat(s.Path); err != nil {
		t.Fatal(err)
	}
	l := listenOn(t, s)
	if c, err := net.Dial("unix", s.Path); err != nil {
		t.Error(err)
	} else {
		c.Close()
	}
	if c, err := l.Accept(); err != nil || !strings.HasPrefix(c.RemoteAddr().String(), "user") {
		t.Errorf("a client is %v, %v", c, err)
	}
}

func TestAFileThatIsNotASocketIsKept(t *testing.T) {
	path := filepath.Join(shortDir(t), "docker.sock")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (Socket{Path: path, Mode: 0o600, Group: -1}).Listen(); err == nil || !strings.Contains(err.Error(), "listen on "+path+": this is not a socket") {
		t.Errorf("got %v", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "x" {
		t.Errorf("the file is %q, %v", text, err)
	}
}

func TestASocketWithoutADirectoryIsExplained(t *testing.T) {
	if _, err := (Socket{Path: filepath.Join(shortDir(t), "no", "s"), Mode: 0o600, Group: -1}).Listen(); err == nil || !strings.Contains(err.Error(), "its directory must exist") {
		t.Errorf("got %v", err)
	}
}
