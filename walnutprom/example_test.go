package walnutprom_test

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/walnutdb/walnut"
	"github.com/walnutdb/walnut/walnutprom"
)

func ExampleNew() {
	dir, err := os.MkdirTemp("", "walnutprom")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	db, err := walnut.Open(filepath.Join(dir, "app.db"), nil) // beside the sql.DB of the same file
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()

	registry := prometheus.NewRegistry() // or prometheus.DefaultRegisterer
	registry.MustRegister(walnutprom.New(db, walnutprom.WithName("orders")))

	// A program serves promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).
	n, err := testutil.GatherAndCount(registry, "walnut_log_failed")
	fmt.Println(n, err)
	// Output: 1 <nil>
}
