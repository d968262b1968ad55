package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern/zitadeltest"
)

// What differs from run to run is made alike on both sides.
var differs = []struct {
	what *regexp.Regexp
	by   string
}{
	{regexp.MustCompile(`\b\d{15,20}\b`), "ID"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d`), "DATE"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "ADDRESS"},
	{regexp.MustCompile(` +`), " "},
}

func alike(text string) string {
	for _, d := range differs {
		text = d.what.ReplaceAllString(text, d.by)
	}
	return strings.TrimSpace(text)
}

// The README shows a session at a terminal; the program has to print just that.
func TestTheSessionInTheREADMEIsWhatTheProgramPrints(t *testing.T) {
	s := zitadeltest.Start(t)
	bot := s.AddServiceUser("ci-bot", zitadeltest.WithOrgRole("ORG_OWNER"))
	file := write(t, "pat", []byte(bot.PAT(time.Now().Add(5*24*time.Hour+time.Hour))))
	env := []string{"ZITADEL_ISSUER=" + s.Issuer(), "ZITADEL_PAT_FILE=" + file}
	session := ""
	for _, args := range [][]string{{"doctor"}, {"pat", "list"}} {
		r := runCLI(t, env, "", args...)
		require.Zero(t, r.code, r.err)
		session += "$ postern " + strings.Join(args, " ") + "\n" + r.out + "\n"
	}
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	if !assert.Contains(t, alike(string(readme)), alike(session)) {
		t.Log(session)
	}
}
