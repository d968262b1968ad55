package middleware_test

import (
	"io"
	"log"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// quiet keeps panics that a test causes on purpose out of its output.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }
