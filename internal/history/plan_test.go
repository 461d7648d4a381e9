// Plans: a history before it is run, as numbers. A step says who goes on and
// what is done if that one is free to do something; what the numbers stand for
// depends on the state that the run has come to, so that every list of numbers
// is a history, and a part of one too.

package history

import (
	"encoding/base64"
	"errors"
	"fmt"

	"pgregory.net/rapid"
)

// plan is a history to be run.
type plan struct {
	// seed of the disks.
	seed byte
	// conns is the number of connections but one; see world.setup and
	// world.options for the others.
	conns, spill, auto, faults byte
	steps                      []step
}

// step is one choice of the scheduler. All zero is the simplest.
type step struct {
	// who goes on, of those who can; or something that befalls all of them.
	who byte
	// what is done by one who is free, and with which details.
	what, arg byte
	// more is how many operations more it does before the next choice.
	more byte
}

// scattered draws a byte. rapid prefers small numbers, which are not to be
// special here.
var scattered = rapid.Map(rapid.Byte(), func(b byte) byte { return b * 167 })

// drawPlan draws a plan.
func drawPlan(t *rapid.T) plan {
	b := func(name string) byte { return scattered.Draw(t, name) }
	p := plan{seed: b("seed"), conns: b("conns"), spill: b("spill"), auto: b("auto"), faults: b("faults")}
	t.Repeat(map[string]func(*rapid.T){"step": func(t *rapid.T) {
		p.steps = append(p.steps, step{b("who"), b("what"), b("arg"), b("more")})
	}})
	return p
}

// averageSteps of a drawn plan.
const averageSteps = 120

// String is the plan in a form that parsePlan reads.
func (p plan) String() string {
	b := []byte{p.seed, p.conns, p.spill, p.auto, p.faults}
	for _, s := range p.steps {
		b = append(b, s.who, s.what, s.arg, s.more)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

func parsePlan(text string) (p plan, err error) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return p, fmt.Errorf("the plan cannot be read: %w", err)
	}
	if len(b) < 5 || len(b)%4 != 1 {
		return p, errors.New("the plan is not whole")
	}
	p = plan{seed: b[0], conns: b[1], spill: b[2], auto: b[3], faults: b[4]}
	for b = b[5:]; len(b) > 0; b = b[4:] {
		p.steps = append(p.steps, step{b[0], b[1], b[2], b[3]})
	}
	return p, nil
}
