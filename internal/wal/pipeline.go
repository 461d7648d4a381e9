// Reading ahead of what is written.

package wal

import "sync"

// pipelineDepth is how many buffers a pipeline has: one is being used, one
// waits, one is being loaded.
const pipelineDepth = 3

// pipeline does n steps, each on one of the items, which are used again: load
// for step i, on a goroutine of its own, and then use, on the caller's, in
// order. So one step is loaded while the step before it is used.
//
// The first error of either ends it. When pipeline returns, nothing of it goes
// on: no load is under way. A single step is made without a goroutine.
func pipeline[T any](n int, items []T, load, use func(i int, item T) error) error {
	if n <= 1 || len(items) == 1 {
		for i := range n {
			err := load(i, items[0])
			if err == nil {
				err = use(i, items[0])
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	type step struct {
		item T
		err  error
	}
	free, loaded := make(chan T, len(items)), make(chan step, len(items))
	for _, item := range items {
		free <- item
	}
	quit := make(chan struct{})
	var loader sync.WaitGroup
	loader.Go(func() {
		for i := range n {
			var s step
			select {
			case s.item = <-free:
			case <-quit:
				return
			}
			select { // the select above chooses at random if it may do both
			case <-quit:
				return
			default:
			}
			s.err = load(i, s.item)
			loaded <- s // does not wait: it has room for all items
			if s.err != nil {
				return
			}
		}
	})
	defer loader.Wait()
	defer close(quit)
	for i := range n {
		s := <-loaded
		if s.err == nil {
			s.err = use(i, s.item)
		}
		if s.err != nil {
			return s.err
		}
		free <- s.item
	}
	return nil
}
