// Package store keeps everything the hub must not forget, in SQLite or in
// PostgreSQL, behind one set of methods and one conformance suite.
//
// Reading goes through DB's methods. Writing goes through DB.Write, which runs
// a function on a Tx; what the function wrote is on disk when Write returns
// nil. On SQLite there is one write connection, and concurrent calls share one
// commit, so that one fsync serves many; when one of them fails the others are
// run again without it, so that it leaves its neighbours whole. On PostgreSQL
// each call is its own transaction and the server groups the commits.
//
// The room's tables are in migrations, one folder a dialect. Row structs live
// here and hold plain values: times are milliseconds UTC, sets are bit masks
// over the lists in core, and what is a secret arrives sealed.
package store
