// Package compose pins the Docker Compose that tests run, and checks the files
// in deploy/ with its library. It is a module of its own, so that what it needs
// stays out of the collector's go.mod.
package compose
