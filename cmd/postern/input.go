package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// confirm asks on the standard error, and takes y or yes on the standard input for consent.
func (a *app) confirm(ctx context.Context, question string) error {
	fmt.Fprintf(a.err, "%s [y/N] ", question)
	answer, err := until(ctx, func() (string, error) { return bufio.NewReader(io.LimitReader(a.in, 64)).ReadString('\n') })
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return usage(errors.New("not confirmed, so nothing was done; answer y, or give --yes"))
}

// read reads all of r, which has at most limit bytes, or gives up when ctx ends.
func read(ctx context.Context, r io.Reader, limit int64) ([]byte, error) {
	content, err := until(ctx, func() ([]byte, error) { return io.ReadAll(io.LimitReader(r, limit+1)) })
	if err == nil && int64(len(content)) > limit {
		err = usage(fmt.Errorf("expected at most %d bytes, got more", limit))
	}
	return content, err
}

// until reads, or gives up when ctx ends: nothing interrupts the read itself, which may wait for a person, so it is left behind.
func until[T any](ctx context.Context, read func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := read()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

// days is a flag for a length of time: 30d, or what time.ParseDuration takes.
type days time.Duration

func (d *days) Type() string { return "duration" }

func (d *days) String() string {
	const day = 24 * time.Hour
	if t := time.Duration(*d); t >= day && t%day == 0 {
		return strconv.Itoa(int(t/day)) + "d"
	}
	return time.Duration(*d).String()
}

// maxDays keeps a length of time far from overflow.
const maxDays = 36500

func (d *days) Set(text string) error {
	if n, ok := strings.CutSuffix(text, "d"); ok {
		count, err := strconv.Atoi(n)
		if err != nil || count <= 0 || count > maxDays {
			return fmt.Errorf("expected days from 1d to %dd, got %q", maxDays, text)
		}
		*d = days(time.Duration(count) * 24 * time.Hour)
		return nil
	}
	t, err := time.ParseDuration(text)
	if err != nil || t <= 0 {
		return fmt.Errorf("expected a time such as 30d or 12h, got %q", text)
	}
	*d = days(t)
	return nil
}
