// Examples of the package's documentation.

package driver_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"

	"github.com/ncruces/go-sqlite3"
	"github.com/walnutdb/walnut/driver"
)

// tempFile returns the path of a database that does not exist yet.
func tempFile() (path string, remove func()) {
	dir, err := os.MkdirTemp("", "walnut")
	if err != nil {
		log.Fatal(err)
	}
	return filepath.Join(dir, "app.db"), func() { os.RemoveAll(dir) }
}

func Example() {
	path, remove := tempFile()
	defer remove()

	db, err := sql.Open("walnut", "file:"+path+"?_txlock=immediate")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	_, err = db.Exec(`CREATE TABLE visits(who TEXT NOT NULL);
		INSERT INTO visits VALUES (?), (?)`, "Ada", "Grace")
	if err != nil {
		log.Fatal(err)
	}
	var n int
	if err := db.QueryRow("SELECT count(*) FROM visits").Scan(&n); err != nil {
		log.Fatal(err)
	}
	fmt.Println(n, "visits")
	// Output: 2 visits
}

func ExampleNewConnector() {
	shout := driver.WithInit(func(c *sqlite3.Conn) error {
		return c.CreateFunction("shout", 1, sqlite3.DETERMINISTIC,
			func(ctx sqlite3.Context, args ...sqlite3.Value) { ctx.ResultText(args[0].Text() + "!") })
	})
	connector, err := driver.NewConnector(":memory:", shout)
	if err != nil {
		log.Fatal(err)
	}
	db := sql.OpenDB(connector)
	defer db.Close()

	var s string
	if err := db.QueryRow("SELECT shout('hello')").Scan(&s); err != nil {
		log.Fatal(err)
	}
	fmt.Println(s)
	// Output: hello!
}

// A transaction that reads before it writes runs again when another connection
// has committed in between. One that begins IMMEDIATE waits instead.
func Example_transaction() {
	path, remove := tempFile()
	defer remove()
	db, err := sql.Open("walnut", path)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("CREATE TABLE stock(item, n); INSERT INTO stock VALUES ('apple', 3)"); err != nil {
		log.Fatal(err)
	}

	take := func(ctx context.Context) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback() // does nothing after Commit
		var n int
		if err := tx.QueryRow("SELECT n FROM stock WHERE item = 'apple'").Scan(&n); err != nil {
			return err
		}
		if _, err := tx.Exec("UPDATE stock SET n = ? WHERE item = 'apple'", n-1); err != nil {
			return err
		}
		return tx.Commit()
	}
	for err = take(context.Background()); errors.Is(err, sqlite3.BUSY_SNAPSHOT); {
		err = take(context.Background())
	}
	fmt.Println("error:", err)
	// Output: error: <nil>
}

func ExampleConn() {
	path, remove := tempFile()
	defer remove()
	db, err := sql.Open("walnut", path)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("CREATE TABLE files(data BLOB); INSERT INTO files VALUES (?)", sqlite3.ZeroBlob(11)); err != nil {
		log.Fatal(err)
	}

	conn, err := db.Conn(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	err = conn.Raw(func(c any) error {
		blob, err := c.(driver.Conn).Raw().OpenBlob("main", "files", "data", 1, true)
		if err != nil {
			return err
		}
		defer blob.Close()
		if _, err := io.WriteString(blob, "hello, blob"); err != nil {
			return err
		}
		if _, err := blob.Seek(7, io.SeekStart); err != nil {
			return err
		}
		rest, err := io.ReadAll(blob)
		fmt.Printf("%s\n", rest)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: blob
}

func ExampleConn_backup() {
	path, remove := tempFile()
	defer remove()
	db, err := sql.Open("walnut", path)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("CREATE TABLE t(x); INSERT INTO t VALUES ('saved')"); err != nil {
		log.Fatal(err)
	}

	conn, err := db.Conn(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	err = conn.Raw(func(c any) error {
		return c.(driver.Conn).Raw().Backup("main", "file:"+path+"-copy")
	})
	if err != nil {
		log.Fatal(err)
	}

	saved, err := sql.Open("walnut", path+"-copy?mode=rw")
	if err != nil {
		log.Fatal(err)
	}
	defer saved.Close()
	var x string
	if err := saved.QueryRow("SELECT x FROM t").Scan(&x); err != nil {
		log.Fatal(err)
	}
	fmt.Println(x)
	// Output: saved
}
