module github.com/walnutdb/walnut/bench

go 1.26.0

require (
	github.com/mattn/go-sqlite3 v1.14.53
	github.com/walnutdb/walnut v0.0.0
)

require (
	github.com/ncruces/go-sqlite3 v0.37.0 // indirect
	github.com/ncruces/go-sqlite3-wasm/v6 v6.5.35401 // indirect
	github.com/ncruces/julianday v1.0.0 // indirect
	golang.org/x/sys v0.50.0 // indirect
)

replace github.com/walnutdb/walnut => ../
