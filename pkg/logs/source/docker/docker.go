// Package docker is loki.source.docker: it reads the output of containers.
//
// A tail follows the output of one container through the Docker Engine:
//
//	Engine ──frames──▶ joiner ──lines──▶ batch ──WriteLogs──▶ sinks
//	   ▲                                   │
//	   └───────── since ◀── cursor ◀── nil ┘
//
// A cursor moves only when every sink has accepted the lines before it, and it
// says exactly which lines those are, so that nothing is lost and nothing is
// repeated however often a connection ends.
package docker

// The output streams of a container.
const (
	stdout = iota
	stderr
	streamCount
)

// streamName is Docker's name of a stream.
func streamName(stream int) string {
	if stream == stderr {
		return "stderr"
	}
	return "stdout"
}

// streamIndex is the inverse of streamName.
func streamIndex(name string) int {
	if name == "stderr" {
		return stderr
	}
	return stdout
}
