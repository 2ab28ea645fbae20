package sandbox

import (
	"html/template"
	"net/http"
)

// ticketPage is what stands for the agent's page of a ticket, to which links of
// records and screen pops lead.
var ticketPage = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{{with .}}Ticket {{.id}}{{else}}No such ticket{{end}} (sandbox)</title>
<link rel="stylesheet" href="../../sandbox/style.css">
</head>
<body>
<main>
<p class="tag">Sandbox · Zendesk</p>
{{with .}}<h1>{{.subject}}</h1>
<table><tr><th scope="row">Ticket</th><td>{{.id}}</td></tr><tr><th scope="row">Status</th><td>{{.status}}</td></tr>
<tr><th scope="row">Created</th><td>{{.created_at}}</td></tr><tr><th scope="row">Updated</th><td>{{.updated_at}}</td></tr></table>
{{else}}<h1>There is no such ticket</h1>{{end}}
</main>
</body>
</html>
`))

// page shows a ticket to whoever asks: it is a stand-in on loopback, and people
// who follow a link have no credential.
func (z *zendesk) page(w http.ResponseWriter, id string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	ticket := z.find("ticket", id)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if ticket == nil {
		w.WriteHeader(http.StatusNotFound)
	}
	_ = ticketPage.Execute(w, ticket)
}
