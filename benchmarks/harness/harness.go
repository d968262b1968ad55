// Package harness runs contenders side by side and reports what survives a noisy machine: ratios to a floor that runs twice
// under two names, allocations, and counts such as requests made and callers that waited. Contenders take turns in short
// batches, so that all of them see the same weather; figures are medians over rounds.
//
//	harness.Main(harness.Bench{
//		Name: "BenchmarkTransport", About: "What one request costs.", Chart: harness.Ratio,
//		Contenders: []harness.Contender{
//			{Name: "floor", Floor: true, New: newFloor}, {Name: "floor again", New: newFloor}, {Name: "postern", New: newPostern},
//		},
//	})
//
// A contender that is timed gives Case.Op, one whose figures are counts gives Case.Scenario; it may give both.
package harness

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// Bench is one table.
type Bench struct {
	// Name is that of the Go benchmark, such as "BenchmarkTransport".
	Name string
	// About is Markdown above the table: what is done, and how to read the columns.
	About string
	// Contenders in the order of the table. One that is timed against is marked Floor, and should stand twice, under two
	// names: what the twin's ratio differs from 1 is the noise of the table.
	Contenders []Contender
	// Columns are the counts of Case.Scenario, in order.
	Columns []Column
	// Chart is the figure that is drawn: Ratio, Allocations or the Key of a Column. Empty: no chart.
	Chart string
	// Claims are checked against the medians, and reported whether they hold or not.
	Claims []Claim
}

// Figures that every timed contender has. They are keys, as those of Columns are.
const (
	Ratio       = "ratio"
	Allocations = "allocations"
)

// Column is one count.
type Column struct {
	Key   string
	Title string // of the column, unit included
}

// Claim is an upper limit for a contender's figure.
type Claim struct {
	Contender, Key string
	Most           float64
}

// Contender is one row.
type Contender struct {
	Name  string
	Floor bool
	// New sets the contender up. It is called once a run of the table.
	New func() (Case, error)
}

// Case is a contender at work. Op and Scenario are never called at the same time, nor beside another contender's.
type Case struct {
	// Op does n operations. Nil: the contender is not timed.
	Op func(n int) error
	// Scenario plays one situation through and returns its counts by Column.Key. Nil: there is none.
	Scenario func() (map[string]float64, error)
	// Close, where it is not nil, ends what New started.
	Close func()
}

// Options say how long to measure.
type Options struct {
	// Rounds is how many medians are taken of. Default: 10.
	Rounds int
	// Short makes one round of the least work, to see that everything runs. Its figures mean nothing.
	Short bool
}

// Result is a Bench with its figures.
type Result struct {
	Bench Bench
	Rows  []Row
}

// Row is a contender's figures by key: medians over the rounds, and for Ratio the least and the greatest.
type Row struct {
	Contender   string
	Figures     map[string]float64
	Least, Most float64
}

const (
	// A batch is what a contender does before the next one's turn; a round has so many of each.
	batch   = 200 * time.Microsecond
	batches = 200
)

type player struct {
	Contender
	Case
	n      int       // operations a batch
	times  []float64 // ns an operation, by batch of the current round
	rounds []float64 // the least of times, by round: what disturbs a batch only ever makes it longer
	counts []map[string]float64
}

// Run plays one Bench.
func Run(b Bench, opt Options) (result Result, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: %w", b.Name, err)
		}
	}()
	var players []*player
	for _, c := range b.Contenders {
		set, err := c.New()
		if err != nil {
			return Result{}, fmt.Errorf("%s: %w", c.Name, err)
		}
		if set.Close != nil {
			defer set.Close()
		}
		players = append(players, &player{Contender: c, Case: set})
	}
	rounds, turns, long := max(opt.Rounds, 1), batches, batch
	if opt.Rounds == 0 {
		rounds = 10
	}
	if opt.Short {
		rounds, turns, long = 1, 1, 0
	}
	for _, p := range players {
		if err := p.calibrate(long); err != nil {
			return Result{}, fmt.Errorf("%s: %w", p.Name, err)
		}
	}
	level(players)
	for range rounds {
		if err := play(players, turns); err != nil {
			return Result{}, err
		}
	}
	return summary(b, players)
}

// calibrate finds how many operations fill a batch.
func (p *player) calibrate(long time.Duration) error {
	if p.Op == nil {
		return nil
	}
	// The first operation may fetch and fill what the others find.
	if err := p.Op(1); err != nil {
		return err
	}
	for p.n = 1; ; p.n *= 2 {
		least := time.Duration(math.MaxInt64) // of a few: one that was disturbed would make all batches too short
		for range 5 {
			start := time.Now()
			if err := p.Op(p.n); err != nil {
				return err
			}
			least = min(least, time.Since(start))
		}
		if least >= long {
			return nil
		}
	}
}

// level gives those about as fast as the floor batches of its size: the least of long batches is seldom as lucky as that of short
// ones.
func level(players []*player) {
	i := slices.IndexFunc(players, func(p *player) bool { return p.Floor })
	if i < 0 {
		return
	}
	for _, p := range players {
		if p.Op != nil && p.n*4 >= players[i].n && p.n <= players[i].n*4 {
			p.n = players[i].n
		}
	}
}

// play is one round. Whose turn it is is drawn anew for each turn: what one leaves behind (a cold cache, work for the garbage
// collector) should not always fall on the same other. Timing comes before scenarios, which may sleep.
func play(players []*player, turns int) error {
	order := slices.Clone(players)
	for range turns {
		rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, p := range order {
			if p.Op == nil {
				continue
			}
			start := time.Now()
			if err := p.Op(p.n); err != nil {
				return fmt.Errorf("%s: %w", p.Name, err)
			}
			p.times = append(p.times, float64(time.Since(start))/float64(p.n))
		}
	}
	for _, p := range order {
		if p.Op != nil {
			p.rounds = append(p.rounds, slices.Min(p.times))
			p.times = p.times[:0]
		}
		if p.Scenario != nil {
			counts, err := p.Scenario()
			if err != nil {
				return fmt.Errorf("%s: %w", p.Name, err)
			}
			p.counts = append(p.counts, counts)
		}
	}
	return nil
}

func summary(b Bench, players []*player) (Result, error) {
	result := Result{Bench: b}
	var floor *player
	if i := slices.IndexFunc(players, func(p *player) bool { return p.Floor }); i >= 0 {
		floor = players[i]
	}
	for _, p := range players {
		row := Row{Contender: p.Name, Figures: map[string]float64{}}
		if p.Op != nil {
			if floor == nil || floor.Op == nil {
				return Result{}, errors.New("a contender is timed, but there is no floor to hold its time against")
			}
			var ratios []float64
			for i := range p.rounds {
				ratios = append(ratios, p.rounds[i]/floor.rounds[i])
			}
			row.Figures[Ratio], row.Least, row.Most = median(ratios), slices.Min(ratios), slices.Max(ratios)
			var failed error
			const each = 100
			row.Figures[Allocations] = testing.AllocsPerRun(5, func() { failed = errors.Join(failed, p.Op(each)) }) / each
			if failed != nil {
				return Result{}, fmt.Errorf("%s: %w", p.Name, failed)
			}
		}
		byKey := map[string][]float64{}
		for _, counts := range p.counts {
			for key, n := range counts {
				byKey[key] = append(byKey[key], n)
			}
		}
		for _, key := range slices.Sorted(maps.Keys(byKey)) {
			if !slices.ContainsFunc(b.Columns, func(c Column) bool { return c.Key == key }) {
				return Result{}, fmt.Errorf("%s: count %q has no column", p.Name, key)
			}
			row.Figures[key] = median(byKey[key])
		}
		result.Rows = append(result.Rows, row)
	}
	return result, nil
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	switch n := len(sorted); {
	case n == 0:
		return 0
	case n%2 == 1:
		return sorted[n/2]
	default:
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
}

// Go runs a Bench's timed contenders as a Go benchmark, each under its name.
func Go(b *testing.B, bench Bench) {
	for _, c := range bench.Contenders {
		b.Run(c.Name, func(b *testing.B) {
			set, err := c.New()
			if err != nil {
				b.Fatal(err)
			}
			if set.Close != nil {
				defer set.Close()
			}
			b.ReportAllocs()
			switch {
			case set.Op != nil:
				b.ResetTimer()
				if err := set.Op(b.N); err != nil {
					b.Fatal(err)
				}
			case set.Scenario != nil:
				var counts map[string]float64
				for range b.N {
					if counts, err = set.Scenario(); err != nil {
						b.Fatal(err)
					}
				}
				for key, n := range counts {
					b.ReportMetric(n, key)
				}
			}
		})
	}
}
