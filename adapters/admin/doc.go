// Package admin is the operator's API on the admin listener: what triggers
// there are and why one no longer receives, which deliveries were given up, and
// the way to send them again.
//
// It needs a key of adapter "admin" whose user is Tenant Admin, and shows and
// touches that user's tenant only.
package admin
