package walnutweb_test

import (
	"log"
	"net/http"
	_ "net/http/pprof" // on http.DefaultServeMux

	"github.com/walnutdb/walnut"
	"github.com/walnutdb/walnut/walnutweb"
)

// The page next to pprof, on a listener of its own that only this machine
// reaches.
func Example() {
	db, err := walnut.Open("app.db", nil) // beside the sql.DB of the same file
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("/debug/walnut/", walnutweb.Handler(db, walnutweb.WithActions()))
	go func() { log.Println(http.ListenAndServe("localhost:6060", nil)) }()
}
