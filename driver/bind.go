// This file binds arguments to parameters.

package driver

import (
	sqldriver "database/sql/driver"
	"fmt"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"
)

// CheckNamedValue lets the values through that bindValue knows. The others
// (named types, pointers, Valuers) go through database/sql's conversion.
func (c *conn) CheckNamedValue(arg *sqldriver.NamedValue) error {
	switch v := arg.Value.(type) {
	case nil, int64, float64, bool, string, []byte, time.Time, sqlite3.ZeroBlob:
		return nil
	case int:
		arg.Value = int64(v)
		return nil
	}
	return sqldriver.ErrSkip
}

// arguments are those that are still to be bound.
type arguments struct {
	pos, named []sqldriver.NamedValue
}

func newArguments(args []sqldriver.NamedValue) (arguments, error) {
	hasNames := false
	for i := range args {
		hasNames = hasNames || args[i].Name != ""
	}
	if !hasNames {
		return arguments{pos: args}, nil
	}
	var a arguments
	for _, arg := range args {
		if arg.Name == "" {
			a.pos = append(a.pos, arg)
			continue
		}
		for _, other := range a.named {
			if other.Name == arg.Name {
				return a, fmt.Errorf("walnut: argument %s is given twice", arg.Name)
			}
		}
		a.named = append(a.named, arg)
	}
	return a, nil
}

// checkNames refuses names that the text of several statements has nowhere,
// before the first of them runs.
func (a *arguments) checkNames(sql string) error {
	for _, arg := range a.named {
		if !strings.Contains(sql, ":"+arg.Name) && !strings.Contains(sql, "@"+arg.Name) &&
			!strings.Contains(sql, "$"+arg.Name) {
			return unknownName(arg.Name)
		}
	}
	return nil
}

func unknownName(name string) error {
	return fmt.Errorf("walnut: argument %s: the statement has no parameter :%[1]s, @%[1]s or $%[1]s", name)
}

// bind binds the arguments of p and takes its positional ones from a. The only
// statement of a text, and the last one, must use all that are left; an only
// one also every name.
func (c *conn) bind(p *prepared, a *arguments, last, only bool) error {
	c.keeper.Running(p.sql) // it is next
	want := p.nparams
	var taken []bool // by parameter, from 1
	if len(a.named) > 0 && want > 0 {
		taken = make([]bool, want+1)
	}
	for _, arg := range a.named {
		n, err := c.bindNamed(p, arg, taken)
		if err != nil {
			return err
		}
		if n == 0 && only {
			return unknownName(arg.Name)
		}
		want -= n
	}
	if err := p.checkCount(a, want, last, taken); err != nil {
		return err
	}
	next := 0
	for i := 1; i <= p.nparams; i++ {
		if taken != nil && taken[i] {
			continue
		}
		if err := c.bindValue(p, i, a.pos[next].Value); err != nil {
			return fmt.Errorf("walnut: argument %d: %w", a.pos[next].Ordinal, err)
		}
		next++
	}
	a.pos = a.pos[next:]
	return nil
}

// bindNamed binds arg to all parameters of its name and says how many.
func (c *conn) bindNamed(p *prepared, arg sqldriver.NamedValue, taken []bool) (n int, err error) {
	for i, name := range p.paramNames() {
		if len(name) < 2 || name[0] == '?' || name[1:] != arg.Name {
			continue
		}
		if err := c.bindValue(p, i+1, arg.Value); err != nil {
			return n, fmt.Errorf("walnut: argument %s: %w", arg.Name, err)
		}
		taken[i+1] = true
		n++
	}
	return n, nil
}

// checkCount compares the positional arguments with the parameters that are
// left for them.
func (p *prepared) checkCount(a *arguments, want int, last bool, taken []bool) error {
	have := len(a.pos)
	if have == want || have > want && !last {
		return nil
	}
	if have > want {
		return fmt.Errorf("walnut: too many arguments: %d positional, for %d parameters", have, want)
	}
	// Name the first parameter that gets nothing.
	free := 0
	for i, name := range p.paramNames() {
		if taken != nil && taken[i+1] {
			continue
		}
		if free++; free > have {
			if name == "" {
				name = "?"
			}
			return fmt.Errorf("walnut: missing argument for parameter %s (number %d): %d positional, for %d parameters",
				name, i+1, have, want)
		}
	}
	return nil // not reached: want counts the free ones
}

// paramNames returns the parameters' names with their prefix, "" for a plain ?.
func (p *prepared) paramNames() []string {
	if p.params == nil && p.nparams > 0 {
		p.params = make([]string, p.nparams)
		for i := range p.params {
			p.params[i] = p.BindName(i + 1)
		}
	}
	return p.params
}

func (c *conn) bindValue(p *prepared, i int, value any) error {
	switch v := value.(type) {
	case nil:
		return p.BindNull(i)
	case int64:
		return p.BindInt64(i, v)
	case float64:
		return p.BindFloat(i, v)
	case bool:
		return p.BindBool(i, v)
	case string:
		return p.BindText(i, v)
	case []byte:
		return p.BindBlob(i, v)
	case time.Time:
		return p.BindTime(i, v, c.times.write)
	case sqlite3.ZeroBlob:
		return p.BindZeroBlob(i, int64(v))
	}
	return fmt.Errorf("a %T cannot be stored", value)
}

// refuseAll is the check of text without a statement.
func (a *arguments) refuseAll() error {
	if n := len(a.pos) + len(a.named); n > 0 {
		return fmt.Errorf("walnut: too many arguments: %d, for no statement", n)
	}
	return nil
}
