// Package promqltest evaluates the expressions of docs/grafana.json and
// docs/alerts.yml with Prometheus's own parser and engine, on what the collector
// of walnutprom says of databases in the states that the alerts are for. It is a
// module of its own, so that nobody who imports walnutprom gets Prometheus with it.
package promqltest
