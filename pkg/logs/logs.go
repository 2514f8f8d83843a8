// Package logs is the components that read, change and deliver log entries; each
// has a folder of its own.
package logs
