package main

import (
	"fmt"
	"os"
	"strings"
)

// rule is one line of rules.txt: a promise of the design.
type rule struct {
	id string
	// model: the model checker finds the loss when the rule is dropped.
	model bool
	text  string
	// without is why the rule has no mutant: "not built yet: ...".
	without string
}

// section is the part of the design that has the rule.
func (r rule) section() string {
	n, _, _ := strings.Cut(r.id, "-")
	return "section " + n
}

// loadRules reads the list. A line is "id | text", or "id | text | why it has no
// mutant"; an id that the model has checked has a "*" behind it.
func loadRules(name string) ([]rule, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var list []rule
	for n, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		parts := strings.Split(line, "|")
		if len(parts) < 2 || len(parts) > 3 {
			return nil, fmt.Errorf("%s:%d: %d fields, not 2 or 3", name, n+1, len(parts))
		}
		r := rule{text: strings.TrimSpace(parts[1])}
		r.id, r.model = strings.CutSuffix(strings.TrimSpace(parts[0]), "*")
		if len(parts) == 3 {
			r.without = strings.TrimSpace(parts[2])
		}
		list = append(list, r)
	}
	return list, nil
}
