package main

// This file gets the state of a live database from walnutweb's page. Whoever
// answers is not trusted: the answer is bounded, and its texts are made harmless
// before anything else sees them (clean.go).

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/walnutdb/walnut/walnutweb"
)

const (
	// fetchTimeout bounds one answer.
	fetchTimeout = 5 * time.Second
	// mostStatus is how long an answer may be, in bytes.
	mostStatus = 32 << 20
	// statusName is the JSON beside the page.
	statusName = "status.json"
)

// fetcher asks for the state of a database.
type fetcher struct {
	url    string
	client *http.Client
}

// newFetcher makes one for the address of a page or of its JSON.
func newFetcher(address string) (*fetcher, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("%q is no URL: %w", address, err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%q: a URL begins with http:// or https:// and a host", address)
	}
	if !strings.HasSuffix(u.Path, "/"+statusName) {
		u = u.JoinPath(statusName)
	}
	u.Fragment = ""
	t := http.DefaultTransport.(*http.Transport).Clone()
	return &fetcher{u.String(), &http.Client{Transport: t, Timeout: fetchTimeout}}, nil
}

// close ends the connections that are kept.
func (f *fetcher) close() { f.client.CloseIdleConnections() }

// fetch returns the present state.
func (f *fetcher) fetch(ctx context.Context) (*walnutweb.Status, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := f.client.Do(req)
	if err != nil {
		return nil, err // it names the URL
	}
	defer func() { _ = resp.Body.Close() }() // it was only read
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", f.url, harmless(resp.Status))
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, mostStatus+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.url, err)
	}
	if len(b) > mostStatus {
		return nil, fmt.Errorf("%s: more than %d bytes: not a status", f.url, mostStatus)
	}
	s := &walnutweb.Status{}
	if err := json.Unmarshal(b, s); err != nil {
		return nil, fmt.Errorf("%s: not the status of a database (is it the page of walnutweb?): %w", f.url, shortJSON(err))
	}
	if s.Time.IsZero() || s.Stats.PageSize == 0 {
		return nil, fmt.Errorf("%s: not the status of a database (is it the page of walnutweb?)", f.url)
	}
	cleanStatus(s)
	return s, nil
}

// shortJSON keeps what the other side sent out of an error.
func shortJSON(err error) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("no JSON, from byte %d on", syntax.Offset)
	}
	return errors.New(harmless(err.Error()))
}

// cleanStatus makes the texts of a status harmless.
func cleanStatus(s *walnutweb.Status) {
	clean := func(list ...*string) {
		for _, t := range list {
			*t = harmless(*t)
		}
	}
	clean(&s.Path, &s.Failed, &s.Health, &s.Level)
	for i := range s.Readers {
		clean(&s.Readers[i].Label, &s.Readers[i].SQL)
	}
	for i := range s.Writers {
		clean(&s.Writers[i].Label, &s.Writers[i].SQL)
	}
	for i := range s.Checkpoints {
		c := &s.Checkpoints[i]
		clean(&c.Mode, &c.WaitedFor, &c.Err)
	}
}
