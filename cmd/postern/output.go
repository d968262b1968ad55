package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// printJSON writes one JSON value, for programs.
func (a *app) printJSON(v any) error {
	enc := json.NewEncoder(a.out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// printTable writes rows in aligned columns, for people. A cell is cleaned, and a colour around it takes no room.
func (a *app) printTable(rows ...[]string) error {
	const gap = 2
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			_, text, _ := uncoloured(cell)
			widths[i] = max(widths[i], utf8.RuneCountInString(text))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		line := ""
		for i, cell := range row {
			before, text, after := uncoloured(cell)
			line += before + plain(text) + after + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(text)+gap)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	_, err := io.WriteString(a.out, b.String())
	return err
}

// plain makes what somebody else wrote, such as a name, fit for a terminal: no character of it moves the cursor or hides.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
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
	return "\x1b[" + sgr + "m" + text + sgrEnd
}

const sgrEnd = "\x1b[0m"

// uncoloured takes apart what coloured made.
func uncoloured(cell string) (before, text, after string) {
	for _, sgr := range []string{red, green, yellow} {
		start := "\x1b[" + sgr + "m"
		if text, ok := strings.CutPrefix(cell, start); ok && strings.HasSuffix(text, sgrEnd) {
			return start, strings.TrimSuffix(text, sgrEnd), sgrEnd
		}
	}
	return "", cell, ""
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

const expired = "expired"

// left tells the time until t in the largest unit that fits.
func left(t, now time.Time) string {
	d := t.Sub(now)
	switch {
	case t.IsZero() || t.UTC().Year() >= never:
		return ""
	case d <= 0:
		return expired
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", int(d.Hours()/24))
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours", int(d.Hours()))
	}
	return fmt.Sprintf("%d minutes", int(d.Minutes()))
}

func withLeft(t, now time.Time) string {
	switch l := left(t, now); l {
	case "", expired:
		return strings.TrimSuffix(date(t)+", "+l, ", ")
	default:
		return date(t) + ", " + l + " left"
	}
}

// rfc3339 is empty for an unknown time.
func rfc3339(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
