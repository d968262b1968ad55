package harness

import (
	"encoding/xml"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func spin(d time.Duration) func(int) error {
	return func(n int) error {
		for range n {
			for start := time.Now(); time.Since(start) < d; {
			}
		}
		return nil
	}
}

func of(c Case) func() (Case, error) { return func() (Case, error) { return c, nil } }

func TestRunAndReport(t *testing.T) {
	closed := 0
	waits := []float64{5, 1, 3}
	b := Bench{
		Name: "BenchmarkSpin", About: "Spins.", Chart: Ratio,
		Columns: []Column{{"waits", "callers that waited"}},
		Contenders: []Contender{
			{Name: "floor", Floor: true, New: of(Case{Op: spin(20 * time.Microsecond)})},
			{Name: "postern <3", New: of(Case{Op: spin(60 * time.Microsecond), Close: func() { closed++ }})},
			{Name: "counts", New: of(Case{Scenario: func() (map[string]float64, error) {
				n := waits[0]
				waits = waits[1:]
				return map[string]float64{"waits": n}, nil
			}})},
		},
		Claims: []Claim{{"postern <3", Ratio, 1e6}, {"counts", "waits", 2}, {"nobody", Ratio, 1}, {"counts", Ratio, 1}},
	}
	result, err := Run(b, Options{Rounds: 3})
	require.NoError(t, err)
	assert.Equal(t, 1, closed)
	assert.Equal(t, 1.0, result.Rows[0].Figures[Ratio])
	assert.Greater(t, result.Rows[1].Figures[Ratio], 1.0)
	assert.LessOrEqual(t, result.Rows[1].Least, result.Rows[1].Figures[Ratio])
	assert.Equal(t, 3.0, result.Rows[2].Figures["waits"])

	dir := t.TempDir()
	other := Result{Bench: Bench{Name: "BenchmarkOther", About: "Measured before."}}
	gone := Result{Bench: Bench{Name: "BenchmarkGone"}}
	require.NoError(t, write(dir, 1, []Bench{b, other.Bench, gone.Bench}, []Result{other, gone}))
	require.NoError(t, write(dir, 3, []Bench{b, other.Bench}, []Result{result}))
	page, err := os.ReadFile(filepath.Join(dir, "benchmarks.md"))
	require.NoError(t, err)
	for _, part := range []string{"## BenchmarkSpin", "| floor | 1 (1 to 1) |", "| counts | – | – | 3 |", "**does not hold**, with 3", "holds with", "not measured", "benchmarks/spin.svg", "\n3 rounds", "## BenchmarkOther\n\nMeasured before.", "\n1 rounds"} {
		assert.Contains(t, string(page), part)
	}
	assert.NotContains(t, string(page), "Gone")
	assert.Less(t, strings.Index(string(page), "BenchmarkSpin"), strings.Index(string(page), "BenchmarkOther"), "in the order of the benches")
	chart, err := os.ReadFile(filepath.Join(dir, "benchmarks", "spin.svg"))
	require.NoError(t, err)
	assert.NoError(t, xml.Unmarshal(chart, new(struct{})))
	assert.Contains(t, string(chart), "postern &lt;3")
}

func TestRunFails(t *testing.T) {
	boom := errors.New("boom")
	fails := func() (Case, error) { return Case{}, boom }
	for name, c := range map[string]Contender{
		"New":      {Name: "x", New: fails},
		"Op":       {Name: "x", Floor: true, New: of(Case{Op: func(int) error { return boom }})},
		"Scenario": {Name: "x", New: of(Case{Scenario: func() (map[string]float64, error) { return nil, boom }})},
	} {
		_, err := Run(Bench{Name: "BenchmarkX", Contenders: []Contender{c}}, Options{Short: true})
		assert.ErrorIs(t, err, boom, name)
		assert.ErrorContains(t, err, "BenchmarkX: x: ", name)
	}
	_, err := Run(Bench{Contenders: []Contender{{Name: "x", New: of(Case{Op: spin(0)})}}}, Options{Short: true})
	assert.ErrorContains(t, err, "no floor")
	_, err = Run(Bench{Contenders: []Contender{{Name: "x", New: of(Case{Scenario: func() (map[string]float64, error) { return map[string]float64{"y": 1}, nil }})}}}, Options{})
	assert.ErrorContains(t, err, `"y" has no column`)
}

func TestMedian(t *testing.T) {
	assert.Equal(t, 2.0, median([]float64{3, 1, 2}))
	assert.Equal(t, 2.5, median([]float64{4, 1, 2, 3}))
	assert.Zero(t, median(nil))
}

func TestFlags(t *testing.T) {
	assert.Error(t, run(nil, []string{"-run", "("}))
	assert.Error(t, run(nil, []string{"-nonsense"}))
	assert.NoError(t, run(nil, []string{"-short"}))
}
