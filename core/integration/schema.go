package integration

import (
	"tandem/core"
	"tandem/core/mapping"
)

// Schema returns the JSON Schema of <integration>/integration.yaml.
func Schema() []byte {
	return mapping.Schema("Integration", integrationFile{}, mapping.Notes{
		"title":                      {Doc: "What people read."},
		"description":                {Doc: "What people read."},
		"docs":                       {Doc: "Address of the vendor's documentation."},
		"base":                       {Doc: "Template of the base address of its API, without a query and without a slash at the end; {name} stands for a field."},
		"settings":                   {Doc: "Fields that an administrator fills in whatever the grant is."},
		"grants":                     {Doc: "The ways to authorize it; an administrator takes one."},
		"no_authorization":           {Doc: "true instead of grants: its operations need none."},
		"limits":                     {Doc: "What the vendor allows."},
		"limits.requests_per_minute": {Doc: "Calls a minute, a tenth of them at once; counted per tenant, host and replica."},
		"limits.concurrency":         {Doc: "Calls in flight; 32 if absent, and at most."},
		"errors":                     {Doc: "Answers that mean something else than their status says; the first that fits counts."},
		"errors.status":              {Doc: "300 to 599."},
		"errors.field":               {Doc: "Way into the JSON answer, names with dots between; goes with equals."},
		"errors.equals":              {Doc: "The text that the field must be."},
		"errors.kind":                {Doc: "What the answer means.", Words: core.Kinds()},
		"error_texts":                {Doc: "Ways into the JSON body of a refusal; the first that leads to a text is shown to the caller."},
		"name":                       {Doc: "What templates call the field: a-z, 0-9 and _."},
		"label":                      {Doc: "Stands above the field, or is what people choose."},
		"help":                       {Doc: "Stands below the field."},
		"pattern":                    {Doc: "Regular expression (RE2) that the whole value must match."},
		"required":                   {Doc: "It must be filled in."},
		"secret":                     {Doc: "Kept sealed and never shown again."},
		"multiline":                  {Doc: "It may hold several lines, for keys in PEM form."},
		"default":                    {Doc: "The value when nothing is filled in; not for secrets."},
		"options":                    {Doc: "The only values."},
		"grants.id":                  {Doc: "Its name in the file: a-z, 0-9 and -."},
		"grants.type":                {Doc: "How a credential is obtained.", Words: grantTypes()},
		"grants.help":                {Doc: "Tells the administrator where the values come from."},
		"grants.fields":              {Doc: "Filled in beside the settings."},
		"grants.authorize":           {Doc: "Template of the sign-in address."},
		"grants.token":               {Doc: "Template of the token address."},
		"grants.revoke":              {Doc: "Template of the address that ends a token (RFC 7009)."},
		"grants.issuer":              {Doc: "What the vendor calls itself in its answers (RFC 9207)."},
		"grants.scopes":              {Doc: "What is asked for, one an entry."},
		"grants.in_header":           {Doc: "Client id and secret go into the header Authorization, not into the body."},
		"grants.parameters":          {Doc: "Further parameters of the sign-in or the token call."},
		"grants.audience":            {Doc: "aud of the signed assertion."},
		"grants.subject":             {Doc: "sub of the signed assertion."},
		"grants.token_base":          {Doc: "The value of the token answer that is the base address from then on."},
		"grants.token_hosts":         {Doc: "The hosts that token_base may name, such as *.vendor.com."},
		"grants.token_life":          {Doc: "How long access tokens live when the answer does not say it."},
		"grants.refresh_life":        {Doc: "How long refresh tokens live when the answer does not say it."},
		"grants.header":              {Doc: "The name of the header that carries the key."},
		"grants.value":               {Doc: "Template of that header's value."},
		"grants.username":            {Doc: "Template of the user name."},
		"grants.password":            {Doc: "Template of the password; no secret stands in the file."},
		"grants.account":             {Doc: "Where the vendor tells whose credential it is."},
		"account.url":                {Doc: "Called with GET to prove that the credential works."},
		"account.field":              {Doc: "Way to the account's name in the answer."},
	})
}

// NodesSchema returns the JSON Schema of webex/nodes.yaml.
func NodesSchema() []byte {
	return mapping.Schema("Nodes of Webex Connect", nodesForm{}, mapping.Notes{
		"nodes":             {Doc: "The nodes that need an authorization."},
		"node":              {Doc: "Its id in addresses: a-z, 0-9 and -."},
		"id":                {Doc: "Of this entry, which the console keeps its default authorization by; that of the node if absent. A second entry of a node, for other versions, needs one."},
		"title":             {Doc: "Its name in Webex Connect."},
		"versions":          {Doc: "The versions that are understood, newest first, in quotes."},
		"integration":       {Doc: "The id of an integration."},
		"authorization":     {Doc: "The name of the authorization that it uses; the default if absent."},
		"methods":           {Doc: "What it does."},
		"methods.method":    {Doc: "The method's id in addresses: a-z, 0-9 and -."},
		"methods.title":     {Doc: "Its Method Name in Webex Connect."},
		"methods.operation": {Doc: "The operation of the integration that does it there; without one the hub does it alone."},
	})
}
