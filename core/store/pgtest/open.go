package pgtest

import "context"

// Open is Start for programs that are no tests, such as benchmarks. The
// database stays until the process ends. Without the Debian package postgresql
// it returns an error that says so.
func Open(ctx context.Context) (string, error) {
	s, err := shared()
	if err != nil {
		return "", err
	}
	name, err := s.createDatabase(ctx)
	return s.url(name), err
}
