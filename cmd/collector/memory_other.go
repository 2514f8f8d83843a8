//go:build !linux

package main

// releaseStart is for Linux only.
func releaseStart() {}
