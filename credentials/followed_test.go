package credentials

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Sockets do not work in a bubble, so this looks at which source is in use, and not at what it fetches.
func TestAChangedSecretFileMakesANewSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "secret")
		put := func(text string) {
			require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
			require.NoError(t, os.Chtimes(path, time.Now(), time.Now()))
		}
		put("first\n")
		e := &env{issuer: "https://acme.example", way: "CLIENT_ID", values: map[string]string{"CLIENT_ID": "bot", "CLIENT_SECRET_FILE": path}}
		source, err := e.source(nil)
		require.NoError(t, err)
		f, ok := source.(*followed)
		require.True(t, ok)
		first := f.file.Get()
		time.Sleep(6 * time.Second) // the bubble's clock
		assert.Same(t, first, f.file.Get())
		put("")
		time.Sleep(6 * time.Second)
		assert.Same(t, first, f.file.Get(), "an empty file keeps the source")
		put("second\n")
		time.Sleep(6 * time.Second)
		assert.NotSame(t, first, f.file.Get())
	})
}
