package sandbox

import (
	"net/http"

	"tandem/core"
)

// serviceNow is the CRM of servicenow.
type serviceNow struct{}

func newServiceNow(_ string, _ core.Clock) *serviceNow { return &serviceNow{} }

func (*serviceNow) serve(http.ResponseWriter, *http.Request, string) bool { return false }
