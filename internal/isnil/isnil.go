// Package isnil tells a nil that an interface hides.
package isnil

import "reflect"

// Is reports whether v is nil, or holds a nil pointer, func and the like, as a constructor whose error was dropped leaves behind.
func Is(v any) bool {
	switch value := reflect.ValueOf(v); value.Kind() {
	case reflect.Invalid:
		return true
	case reflect.Pointer, reflect.Func, reflect.Map, reflect.Chan, reflect.Slice:
		return value.IsNil()
	default:
		return false
	}
}
