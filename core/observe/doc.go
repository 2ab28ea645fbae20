// Package observe lets an operator look at a running hub: logs without secrets,
// metrics and health.
//
// Rooms know none of it. They are lent a *slog.Logger, and plain functions that
// cmd binds to the methods of Metrics; cmd also names the checks of Health and
// serves Handler on the admin listener. Only cmd imports this package.
package observe
