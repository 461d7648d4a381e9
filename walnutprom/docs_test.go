// The dashboard and the alerts in the repository's docs: they use what the
// collector has, and the dashboard shows all of it.

package walnutprom_test

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"go.yaml.in/yaml/v3"
)

var metricName = regexp.MustCompile(`\bwalnut_[a-z_]+`)

// used is the families that an expression names. Of a histogram there are three
// series, and nothing of its own name.
func used(t *testing.T, expr string, families map[string]*dto.MetricFamily) (list []string) {
	t.Helper()
	for _, name := range metricName.FindAllString(expr, -1) {
		family := name
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			base := strings.TrimSuffix(name, suffix)
			if base != name && families[base].GetType() == dto.MetricType_HISTOGRAM && families[base] != nil {
				family = base
			}
		}
		switch f := families[family]; {
		case f == nil:
			t.Errorf("%s is no metric of the collector, in %s", name, expr)
		case f.GetType() == dto.MetricType_HISTOGRAM && family == name:
			t.Errorf("%s is a histogram: name its _bucket, _sum or _count, in %s", name, expr)
		case f.GetType() == dto.MetricType_COUNTER && !strings.Contains(expr, "rate(") && !strings.Contains(expr, "increase("):
			t.Errorf("%s is a counter: its rate says something, in %s", name, expr)
		}
		list = append(list, family)
	}
	if len(list) == 0 {
		t.Errorf("no metric in %s", expr)
	}
	return list
}

func TestDashboard(t *testing.T) {
	b, err := os.ReadFile("../docs/grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	type source struct{ Type, UID string }
	type target struct {
		Expr       string
		Datasource source
	}
	type panel struct {
		ID          int
		Type, Title string
		Description string
		Datasource  source
		Targets     []target
	}
	var d struct {
		UID        string
		Panels     []panel
		Templating struct {
			List []struct{ Name, Type, Query string }
		}
	}
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	if v := d.Templating.List; len(v) != 2 || v[0].Name != "datasource" || v[0].Type != "datasource" || v[1].Name != "database" {
		t.Errorf("the variables are %+v", v)
	}
	_, r := opened(t)
	families := gather(t, r)
	shown, ids, rows := map[string]bool{}, map[int]bool{}, []string{}
	for _, p := range d.Panels {
		if ids[p.ID] {
			t.Errorf("two panels have the id %d", p.ID)
		}
		ids[p.ID] = true
		if p.Type == "row" {
			rows = append(rows, p.Title)
			continue
		}
		if p.Datasource.UID != "${datasource}" || p.Description == "" || len(p.Targets) == 0 {
			t.Errorf("panel %s: %+v", p.Title, p)
		}
		for _, x := range p.Targets {
			for _, name := range used(t, x.Expr, families) {
				shown[name] = true
			}
			if strings.Count(x.Expr, `{database=~"$database"`) != len(metricName.FindAllString(x.Expr, -1)) {
				t.Errorf("panel %s does not choose the database: %s", p.Title, x.Expr)
			}
		}
	}
	if want := []string{"Log", "Commits", "Syncs", "Readers", "Writers", "Checkpoints", "Side file"}; !slices.Equal(rows, want) {
		t.Errorf("the rows are %q", rows)
	}
	for _, name := range slices.Sorted(maps.Keys(families)) {
		if !shown[name] {
			t.Errorf("%s is on no panel", name)
		}
	}
}

func TestAlerts(t *testing.T) {
	b, err := os.ReadFile("../docs/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	var rules struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	d := yaml.NewDecoder(strings.NewReader(string(b)))
	d.KnownFields(true)
	if err := d.Decode(&rules); err != nil {
		t.Fatal(err)
	}
	_, r := opened(t)
	families := gather(t, r)
	names := map[string]bool{}
	for _, g := range rules.Groups {
		for _, a := range g.Rules {
			used(t, a.Expr, families)
			if names[a.Alert] || !strings.HasPrefix(a.Alert, "Walnut") || a.Labels["severity"] == "" ||
				!strings.Contains(a.Annotations["summary"], "{{ $labels.database }}") || a.Annotations["description"] == "" {
				t.Errorf("the alert is not whole, or there twice: %+v", a)
			}
			names[a.Alert] = true
		}
	}
	doc, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"WalnutLogAboveLimit", "WalnutReaderHoldsLog", "WalnutCheckpointErrors", "WalnutLogFailed", "WalnutSlowSync"} {
		if !names[name] {
			t.Errorf("there is no alert %s", name)
		}
	}
	for name := range names {
		if !strings.Contains(string(doc), name) {
			t.Errorf("docs/operations.md does not have %s", name)
		}
	}
	for _, name := range metricName.FindAllString(string(doc), -1) {
		if families[name] == nil {
			t.Errorf("docs/operations.md names %s, which is no metric of the collector", name)
		}
	}
}
