package dockerproxy

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
)

// Socket is where a proxy listens.
type Socket struct {
	Path string
	// Mode is who may connect: those who may write.
	Mode fs.FileMode
	// Group owns the socket; -1 leaves it to the process's own.
	Group int
}

// Listen makes the socket. One that an earlier run has left is replaced; from the
// first moment, the socket has its mode and group. The remote address of a connection
// is the client's user.
func (s Socket) Listen() (net.Listener, error) {
	l, err := s.listen()
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", s.Path, err)
	}
	return socketListener{l}, nil
}

func (s Socket) listen() (_ *net.UnixListener, err error) {
	info, err := os.Lstat(s.Path)
	if err == nil && info.Mode().Type() != fs.ModeSocket {
		return nil, errors.New("this is not a socket, and is left alone: remove it, or use another path")
	}
	// Nobody else can reach into this directory, until all is set.
	dir, err := os.MkdirTemp(filepath.Dir(s.Path), ".new")
	if err != nil {
		return nil, fmt.Errorf("%w: its directory must exist, and be writable by user %d", err, os.Getuid())
	}
	defer os.RemoveAll(dir)
	made := filepath.Join(dir, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: made, Net: "unix"})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			l.Close()
		}
	}()
	l.SetUnlinkOnClose(false) // the next run replaces it
	if err := os.Chown(made, -1, s.Group); err != nil {
		return nil, fmt.Errorf("give it to group %d: %w: only root, or a member of the group, may do that", s.Group, err)
	}
	if err := os.Chmod(made, s.Mode); err != nil {
		return nil, err
	}
	return l, os.Rename(made, s.Path)
}

// socketListener names the clients by their users.
type socketListener struct{ *net.UnixListener }

// Accept implements net.Listener.
func (l socketListener) Accept() (net.Conn, error) {
	c, err := l.AcceptUnix()
	if err != nil {
		return nil, err
	}
	return socketConn{c, user(peer(c))}, nil
}

type socketConn struct {
	*net.UnixConn
	client user
}

// RemoteAddr implements net.Conn.
func (c socketConn) RemoteAddr() net.Addr { return c.client }

// user is a client's user, such as "user 1000".
type user string

// Network implements net.Addr.
func (user) Network() string { return "unix" }

// String implements net.Addr.
func (u user) String() string { return string(u) }
