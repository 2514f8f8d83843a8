package template

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/Masterminds/semver/v3"
)

// What Sprig's functions return that has methods, and what JSON can be read into.
func TestTheMethodsOfWhatTemplatesHandleAreFound(t *testing.T) {
	now := time.Now()
	duration, month, weekday, number := time.Second, time.May, time.Monday, json.Number("1")
	for _, value := range []any{&now, &duration, &month, &weekday, time.UTC, &number, semver.MustParse("1.2.3")} {
		v := reflect.ValueOf(value)
		for i := range v.NumMethod() {
			if name := v.Type().Method(i).Name; !methodByName(v, name).IsValid() {
				t.Errorf("%T has a method %s, which templates can't call: add it", value, name)
			}
		}
	}
}

type stranger struct{}

func (stranger) Nonsense() string { return "" }

func TestOtherMethodsAreNone(t *testing.T) {
	for _, name := range []string{"Nonsense", "", "zzz"} {
		if methodByName(reflect.ValueOf(stranger{}), name).IsValid() {
			t.Errorf("%q is a method", name)
		}
	}
}
