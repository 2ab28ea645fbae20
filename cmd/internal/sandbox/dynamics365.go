package sandbox

import (
	"net/http"

	"tandem/core"
)

// dynamics365 is the CRM of dynamics365.
type dynamics365 struct{}

func newDynamics365(_ string, _ core.Clock) *dynamics365 { return &dynamics365{} }

func (*dynamics365) serve(http.ResponseWriter, *http.Request, string) bool { return false }
