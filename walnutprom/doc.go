// Package walnutprom gives the figures of a walnut.DB to Prometheus.
//
//	registry.MustRegister(walnutprom.New(db))
//
// Nothing runs between two scrapes: a scrape takes [walnut.DB.Stats] and
// [walnut.DB.Readers] once. There is one family a fact, with its unit in its name,
// and the constant label database. No label has a value that a program or its
// users choose: whose a reader is, is told by [walnut.DB.Readers], the page of
// package walnutweb and [walnut.Options] Logger.
//
// The repository's docs directory has a dashboard for Grafana (grafana.json) and
// alerts (alerts.yml) that use these families and no others.
//
// This is a module of its own: the Prometheus client is no dependency of Walnut.
package walnutprom
