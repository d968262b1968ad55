package introspect_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern/introspect"
)

func TestSharedKeyNeverPrintsItsToken(t *testing.T) {
	key := introspect.SharedKey{Issuer: "https://issuer.example", ClientID: "api", Token: "s3cret"}
	asJSON, err := json.Marshal(map[string]any{"key": key, "pointer": &key})
	require.NoError(t, err)
	for _, text := range []string{
		fmt.Sprint(key), fmt.Sprintf("%v %+v %#v %s %q %x", key, key, key, key, key, key), fmt.Sprintf("%+v", &key),
		fmt.Sprintf("%+v", struct{ Key introspect.SharedKey }{key}), string(asJSON),
	} {
		assert.NotContains(t, text, "s3cret")
		assert.Contains(t, text, "https://issuer.example api")
	}
}
