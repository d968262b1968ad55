package harness

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"html"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
)

// Main is the program: it runs the benches, prints their tables, and writes them with their charts into the docs folder. Where -run
// picks some, the page keeps the sections of the others; -short writes nothing.
func Main(benches ...Bench) {
	if err := run(benches, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(benches []Bench, args []string) error {
	flags := flag.NewFlagSet("benchmarks", flag.ContinueOnError)
	rounds := flags.Int("rounds", 10, "medians are taken of so many rounds")
	only := flags.String("run", "", "run only benches that match this regular expression, and keep what the page says of the others")
	short := flags.Bool("short", false, "one round of the least work, to see that everything runs; writes no docs")
	docs := flags.String("docs", filepath.Join("..", "docs"), "folder for benchmarks.md and its charts")
	if err := flags.Parse(args); err != nil {
		return err
	}
	match, err := regexp.Compile(*only)
	if err != nil {
		return err
	}
	var results []Result
	for _, b := range benches {
		if !match.MatchString(b.Name) {
			continue
		}
		result, err := Run(b, Options{Rounds: *rounds, Short: *short})
		if err != nil {
			return err
		}
		fmt.Println(result.Markdown())
		results = append(results, result)
	}
	if *short {
		return nil
	}
	return write(*docs, *rounds, benches, results)
}

const preamble = `# Benchmarks

Written by ` + "`make bench`" + `; do not edit. Contenders take turns on the same machine and the same work, in short batches whose order is drawn
anew each time. Of a round, the best batch counts: what disturbs one only ever makes it longer. Figures are medians over the rounds. Times
stand only as ratios to a floor, which runs twice under two names: how far the twin is from 1 is how far any other ratio may be off.
`

// write writes the page: new sections for results, and those that it has for the other benches.
func write(dir string, rounds int, benches []Bench, results []Result) error {
	path, charts := filepath.Join(dir, "benchmarks.md"), filepath.Join(dir, "benchmarks")
	if err := os.MkdirAll(charts, 0o755); err != nil {
		return err
	}
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	const heading = "\n## "
	sections := map[string]string{}
	for _, section := range strings.Split(string(old), heading)[1:] {
		name, _, _ := strings.Cut(section, "\n")
		sections[name] = heading + strings.TrimRight(section, "\n") + "\n"
	}
	for _, r := range results {
		section := "\n" + r.Markdown()
		if r.Bench.Chart != "" {
			chart := strings.ToLower(strings.TrimPrefix(r.Bench.Name, "Benchmark")) + ".svg"
			if err := os.WriteFile(filepath.Join(charts, chart), []byte(r.SVG()), 0o644); err != nil {
				return err
			}
			section += fmt.Sprintf("\n![%s: %s](benchmarks/%s)\n", r.Bench.Name, r.title(r.Bench.Chart), chart)
		}
		sections[r.Bench.Name] = section + fmt.Sprintf("\n%d rounds with %s on %d CPUs; %s.\n", rounds, runtime.Version(), runtime.NumCPU(), peers())
	}
	page := preamble
	for _, b := range benches {
		page += sections[b.Name]
	}
	return os.WriteFile(path, []byte(page), 0o644)
}

// peers names the versions of what is compared with.
func peers() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown versions"
	}
	var names []string
	for _, dep := range info.Deps {
		switch dep.Path {
		case "golang.org/x/oauth2", "github.com/zitadel/oidc/v3", "cloud.google.com/go/auth", "github.com/auth0/go-jwt-middleware/v2", "k8s.io/apiserver", "github.com/zitadel/zitadel-go/v3", "github.com/MicahParks/keyfunc/v3":
			names = append(names, dep.Path+" "+dep.Version)
		}
	}
	return strings.Join(names, ", ")
}

// Markdown is the section of the result, from its heading on.
func (r Result) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n%s\n\n", r.Bench.Name, strings.TrimSpace(r.Bench.About))
	keys := r.keys()
	b.WriteString("| contender |")
	for _, key := range keys {
		fmt.Fprintf(&b, " %s |", r.title(key))
	}
	b.WriteString("\n| --- |" + strings.Repeat(" ---: |", len(keys)) + "\n")
	for _, row := range r.Rows {
		fmt.Fprintf(&b, "| %s |", row.Contender)
		for _, key := range keys {
			n, ok := row.Figures[key]
			switch {
			case !ok:
				b.WriteString(" – |")
			case key == Ratio:
				fmt.Fprintf(&b, " %s (%s to %s) |", number(n), number(row.Least), number(row.Most))
			default:
				fmt.Fprintf(&b, " %s |", number(n))
			}
		}
		b.WriteByte('\n')
	}
	if len(r.Bench.Claims) > 0 {
		b.WriteByte('\n')
	}
	for _, c := range r.Bench.Claims {
		fmt.Fprintln(&b, "- "+r.judge(c))
	}
	return b.String()
}

func (r Result) judge(c Claim) string {
	text := fmt.Sprintf("%s, %s: at most %s", c.Contender, r.title(c.Key), number(c.Most))
	i := slices.IndexFunc(r.Rows, func(row Row) bool { return row.Contender == c.Contender })
	if i < 0 {
		return text + ": not measured."
	}
	n, ok := r.Rows[i].Figures[c.Key]
	switch {
	case !ok:
		return text + ": not measured."
	case n <= c.Most:
		return fmt.Sprintf("%s: holds with %s.", text, number(n))
	case c.Key == Ratio && n <= c.Most*r.noise():
		return fmt.Sprintf("%s: %s, which is within the noise that the twin floor shows with %s.", text, number(n), number(r.noise()))
	default:
		return fmt.Sprintf("%s: **does not hold**, with %s.", text, number(n))
	}
}

// noise is what the floor's twin, the row after it, differs from the floor.
func (r Result) noise() float64 {
	i := slices.IndexFunc(r.Bench.Contenders, func(c Contender) bool { return c.Floor })
	if i < 0 || i+1 >= len(r.Rows) || r.Rows[i+1].Contender != r.Bench.Contenders[i].Name+" again" {
		return 1
	}
	return max(1, r.Rows[i+1].Figures[Ratio])
}

func (r Result) keys() []string {
	var keys []string
	has := func(key string) bool {
		return slices.ContainsFunc(r.Rows, func(row Row) bool { _, ok := row.Figures[key]; return ok })
	}
	for _, key := range []string{Ratio, Allocations} {
		if has(key) {
			keys = append(keys, key)
		}
	}
	for _, c := range r.Bench.Columns {
		keys = append(keys, c.Key)
	}
	return keys
}

func (r Result) title(key string) string {
	switch key {
	case Ratio:
		return "× floor (least to most)"
	case Allocations:
		return "allocations"
	}
	for _, c := range r.Bench.Columns {
		if c.Key == key {
			return c.Title
		}
	}
	return key
}

func number(n float64) string {
	switch {
	case n == math.Trunc(n):
		return fmt.Sprintf("%.0f", n)
	case math.Abs(n) < 10:
		return fmt.Sprintf("%.2f", n)
	default:
		return fmt.Sprintf("%.1f", n)
	}
}

// SVG draws Bench.Chart as bars, in colours that stand on light and on dark. A bar that would dwarf the others is cut.
func (r Result) SVG() string {
	const left, width, right, line = 230, 400, 90, 28
	values := make([]float64, len(r.Rows))
	for i, row := range r.Rows {
		values[i] = row.Figures[r.Bench.Chart]
	}
	// The scale is that of the second greatest, doubled, where the greatest is beyond it.
	sorted := slices.Sorted(slices.Values(values))
	top := sorted[len(sorted)-1]
	if n := len(sorted); n > 1 && sorted[n-2] > 0 {
		top = min(top, 2*sorted[n-2])
	}
	top = cmp.Or(top, 1)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" font-family="sans-serif" font-size="13">`+"\n",
		left+width+right, line*(len(r.Rows)+1)+8)
	fmt.Fprintf(&b, "<style>text{fill:#24292f}@media(prefers-color-scheme:dark){text{fill:#c9d1d9}}</style>\n")
	fmt.Fprintf(&b, `<text x="8" y="18" font-weight="bold">%s: %s</text>`+"\n", r.Bench.Name, html.EscapeString(r.title(r.Bench.Chart)))
	for i, row := range r.Rows {
		y := line*(i+1) + 4
		colour := "#8c959f"
		if strings.HasPrefix(row.Contender, "postern") {
			colour = "#2da44e"
		}
		text := "–"
		if n, ok := row.Figures[r.Bench.Chart]; ok {
			text = number(n)
		}
		if values[i] > top {
			text += " (bar cut)"
		}
		bar := math.Max(1, width*math.Min(values[i], top)/top)
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`, left-8, y+15, html.EscapeString(row.Contender))
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.0f" height="%d" fill="%s"/>`, left, y, bar, line-8, colour)
		fmt.Fprintf(&b, `<text x="%.0f" y="%d">%s</text>`+"\n", left+bar+6, y+15, text)
	}
	b.WriteString("</svg>\n")
	return b.String()
}
