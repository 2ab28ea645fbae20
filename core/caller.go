package core

// Caller is who stands behind an authenticated call.
type Caller struct {
	Tenant  string // name of the tenant in the directory
	UPN     string // the user of the directory in whose name the call is made
	Adapter string // the platform the credential is for: powerautomate, cxone, webex, admin
}
