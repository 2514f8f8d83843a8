// Package ui has the tests of the debug UI in a real browser. They need
// Chromium, and so run with the tag integration only.
package ui
