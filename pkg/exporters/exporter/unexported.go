package exporter

import (
	"fmt"
	"reflect"
	"unsafe"
)

// Unexported is a field of the struct that pointer points to. It is for libraries that
// have no other way to set what differs between exporters, or to close what they open.
func Unexported[T any](pointer any, name string) *T {
	field := reflect.ValueOf(pointer).Elem().FieldByName(name)
	if !field.IsValid() || field.Type() != reflect.TypeFor[T]() {
		panic(fmt.Sprintf("BUG: %T has no field %s of type %v", pointer, name, reflect.TypeFor[T]()))
	}
	return (*T)(unsafe.Pointer(field.UnsafeAddr()))
}
