// Package gittest is a Git server: the program git itself, behind HTTP.
package gittest

import (
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// Server serves one repository, called modules.git.
type Server struct {
	t *testing.T
	// URL is the URL of the repository.
	URL string
	// Down has all requests fail.
	Down atomic.Bool
	// Packs counts the requests for a pack, or for branches and tags.
	Posts  atomic.Int64
	folder string // the working copy
}

// New starts a server with an empty repository. It skips the test where there is no
// git.
func New(t *testing.T) *Server {
	t.Helper()
	program, err := exec.LookPath("git")
	if err != nil {
		t.Skip("there is no git")
	}
	root := t.TempDir()
	s := &Server{t: t, folder: filepath.Join(root, "modules.git")}
	if err := os.Mkdir(s.folder, 0o700); err != nil {
		t.Fatal(err)
	}
	s.Git("init", "-q", "-b", "main")
	backend := &cgi.Handler{
		Path: program, Args: []string{"http-backend"}, Dir: root, Logger: nil,
		Env: []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_NOSYSTEM=1", "HOME=" + root},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch user, password, _ := r.BasicAuth(); {
		case s.Down.Load():
			http.Error(w, "down", http.StatusBadGateway)
		case strings.HasPrefix(r.URL.Path, "/secret/") && (user != "user" || password != "token"):
			http.Error(w, "who are you?", http.StatusUnauthorized)
		case strings.HasPrefix(r.URL.Path, "/moved/") && r.Method == http.MethodGet:
			http.Redirect(w, r, strings.TrimPrefix(r.URL.Path, "/moved")+"?"+r.URL.RawQuery, http.StatusMovedPermanently)
		default:
			if r.Method == http.MethodPost {
				s.Posts.Add(1)
			}
			r.URL.Path = strings.TrimPrefix(r.URL.Path, "/secret")
			backend.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	s.URL = server.URL + "/modules.git"
	return s
}

// Git runs git in the working copy and returns its output.
func (s *Server) Git(args ...string) string {
	s.t.Helper()
	c := exec.Command("git", append([]string{"-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "commit.gpgsign=false"}, args...)...)
	c.Dir = s.folder
	c.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "HOME="+s.folder)
	out, err := c.CombinedOutput()
	if err != nil {
		s.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// Commit writes files, by path, and commits them. An empty text removes a file. It
// returns the id of the commit.
func (s *Server) Commit(files map[string]string) string {
	s.t.Helper()
	for name, text := range files {
		at := filepath.Join(s.folder, name)
		if text == "" {
			if err := os.Remove(at); err != nil {
				s.t.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
			s.t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(text), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	s.Git("add", "-A")
	s.Git("commit", "-q", "-m", "change")
	return s.Git("rev-parse", "HEAD")
}
