package atrest

// Tests of what is judged without files.

import (
	"strings"
	"testing"

	"github.com/walnutdb/walnut/disk"
)

// says fails unless a list has an advice of that level with that text.
func says(t *testing.T, list []Advice, level, text string) {
	t.Helper()
	for _, a := range list {
		if a.Level == level && strings.Contains(a.Text, text) {
			return
		}
	}
	t.Errorf("no %s with %q in %+v", level, text, list)
}

func TestFileSystems(t *testing.T) {
	for text, k := range map[string]disk.Kind{
		Note + " cannot be told":                   {},
		Warning + " when the machine stops":        {Name: "tmpfs", Volatile: true},
		Warning + " over a network":                {Name: "NFS", Network: true},
		Note + " passes syncs on":                  {Name: "overlay", Layered: true},
		Fine + " lies on ext4":                     {Name: "ext4", BlockSize: 4096},
		Note + " no multiple of a page nor a part": {Name: "ext4", BlockSize: 6000},
	} {
		x := &patient{info: &Report{PageSize: 4096}}
		x.kind(k)
		level, text, _ := strings.Cut(text, " ")
		says(t, x.list, level, text)
	}
}

func TestOwners(t *testing.T) {
	for _, c := range []struct {
		db, log, me int
		level, text string
	}{
		{1, 2, 1, Warning, "database file belongs to user 1 and the log to user 2"},
		{5, 5, 0, Note, "belongs to user 5, and this is user 0"},
		{5, 5, 5, "", ""}, {-1, -1, -1, "", ""},
	} {
		x := &patient{}
		x.owners(c.db, c.log, c.me)
		if c.level != "" {
			says(t, x.list, c.level, c.text)
		} else if len(x.list) != 0 {
			t.Errorf("%+v: %+v", c, x.list)
		}
	}
}

// TestShellWord: a name in a command that is to be copied is a name only.
func TestShellWord(t *testing.T) {
	for in, want := range map[string]string{
		"a.db": "a.db", "-rf": "./-rf", "a b": "'a b'", "a'b": `'a'\''b'`, "$(x);`y`": "'$(x);`y`'", "-a b": "'./-a b'",
	} {
		if got := shellWord(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}
