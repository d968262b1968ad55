package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"
)

// printJSON writes one JSON value, for programs.
func (a *app) printJSON(v any) error {
	enc := json.NewEncoder(a.out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// printTable writes rows in aligned columns, for people.
func (a *app) printTable(rows ...[]string) error {
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(w, strings.TrimRight(strings.Join(row, "\t"), "\t"))
	}
	return w.Flush()
}

// progress tells what happens now, beside the output.
func (a *app) progress(step string) { fmt.Fprintf(a.err, "… %s\n", step) }

// coloured wraps text in a colour (SGR code) where people see it: on a terminal, unless NO_COLOR is set.
func (a *app) coloured(sgr, text string) string {
	f, ok := a.out.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return text
	}
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return text
	}
	return "\x1b[" + sgr + "m" + text + "\x1b[0m"
}

const (
	red    = "31"
	green  = "32"
	yellow = "33"
)

// never is the year from which on an expiry means that there is none: ZITADEL gives the year 9999.
const never = 9999

func date(t time.Time) string {
	switch {
	case t.IsZero():
		return "unknown"
	case t.UTC().Year() >= never:
		return "never"
	}
	return t.UTC().Format("2006-01-02 15:04")
}

// left tells the time until t in the largest unit that fits.
func left(t, now time.Time) string {
	d := t.Sub(now)
	switch {
	case t.IsZero() || t.UTC().Year() >= never:
		return ""
	case d <= 0:
		return "expired"
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", int(d.Hours()/24))
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours", int(d.Hours()))
	}
	return fmt.Sprintf("%d minutes", int(d.Minutes()))
}

func withLeft(t, now time.Time) string {
	if l := left(t, now); l != "" {
		return date(t) + ", " + l + " left"
	}
	return date(t)
}

// rfc3339 is empty for an unknown time.
func rfc3339(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
