package sandbox

import (
	"net/http"

	"tandem/core"
)

// salesforce is the CRM of salesforce.
type salesforce struct{}

func newSalesforce(_ string, _ core.Clock) *salesforce { return &salesforce{} }

func (*salesforce) serve(http.ResponseWriter, *http.Request, string) bool { return false }
