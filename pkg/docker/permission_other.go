//go:build !unix

package docker

// permissionAdvice says how to get access to a socket.
func permissionAdvice(string) string { return "run as a user with access to it" }
