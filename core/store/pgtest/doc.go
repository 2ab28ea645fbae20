// Package pgtest gives tests a real PostgreSQL.
//
// The first call of Start in a test binary makes a cluster in a temporary
// folder with the programs of the Debian package and starts it; every call
// creates one fresh database in it. Commits are as durable as in production:
// fsync and synchronous_commit keep their defaults.
//
// The server listens on a Unix socket in its own private folder, so packages
// tested side by side never meet and nobody else can connect. A small shell
// stands between the test binary and the server. It waits for the end of its
// standard input, which comes when the test binary ends, be it by exit, panic,
// timeout or kill -9; then it stops the server and removes the folder. Nobody
// has to call anything at the end.
package pgtest
