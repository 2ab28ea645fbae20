package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"tandem/cmd/internal/sandbox"
)

const executePath = "/cxone/v1/workflow-execute"

// The ids of the bench's configuration and workflow.
const (
	configurationID = "11111111-1111-4111-8111-111111111111"
	workflowID      = "22222222-2222-4222-8222-222222222222"
)

// executeFiles are the mapping files of a CRM with one workflow.
func executeFiles(crm string) map[string]string {
	return map[string]string{
		"crm/integration.yaml": "title: CRM\nbase: http://" + crm + "\nno_authorization: true\n",
		"crm/search-ani.yaml": `title: Search for ANI
input:
  - {name: phoneNumber, type: text, required: true, redact: true}
  - {name: notes, type: text}
example: {phoneNumber: "+41445551234"}
steps:
  - id: find
    request:
      method: POST
      reads: true
      path: /search
      body: {phone: = input.phoneNumber, notes: = input.notes}
output:
  system: {type: crm, label: CRM, baseUrl: = base}
  records:
    for_each: = steps.find.body.records
    as: record
    value:
      type: contact
      label: Contact
      id: = record.Id
      url: '= "/contacts/" + record.Id'
      display: = record.Name
      title: = record.Title
      updated: = record.LastModifiedDate
      linkable: true
      screenPop: true
      fields: = card(record, "Contact", [["Email", "E-mail"], ["Phone", "Phone"], ["MobilePhone", "Mobile"], ["Department", "Department"], ["MailingCity", "City"], ["Description", "Description"]])
  pinRecords: []
`,
		"cxone/configurations.yaml": `tenant: bench
enabled: true
configurations:
  - id: ` + configurationID + `
    name: CRM
    integration: crm
    status: active
    cache: 0s
    workflows:
      - {id: ` + workflowID + `, name: Search for ANI, action: search, operation: search-ani, status: active}
`,
	}
}

// executeBody is a call of a script, 1 KB long.
func executeBody() []byte {
	return []byte(`{"configurationId":"` + configurationID + `","workflowId":"` + workflowID + `","contactId":"4711","actionType":"search",` +
		`"workflowPayload":{"workflowInput":{"phoneNumber":"+41445551234","notes":"` + strings.Repeat("What the IVR has asked. ", 31) + `"},"timeoutMilliSec":"6000"}}`)
}

// execute measures Workflow Execute at the hub, and the same written by hand.
func (l *lab) execute(ctx context.Context) error {
	crm, err := startBare(ctx, plainCRM, "")
	if err != nil {
		return err
	}
	defer crm.close()
	bare, err := startBare(ctx, plainExecute, crm.addr)
	if err != nil {
		return err
	}
	defer bare.close()
	hub, err := l.startExecute(ctx, crm.addr)
	if err != nil {
		return err
	}
	defer hub.close()
	length := 5 * time.Second
	if l.quick {
		length = 1500 * time.Millisecond
	}
	var hubs, bares, ratios, hubCPU, bareCPU []float64
	for round := range 4 { // the first one warms up
		limit := length
		if round == 0 {
			limit = time.Second
		}
		hubBefore, bareBefore := used(hub.PID()), used(bare.cmd.Process.Pid)
		a, err := hammer(ctx, hub.addr(), hub.key, 64, limit)
		if err != nil {
			return err
		}
		hubUsed := used(hub.PID()) - hubBefore
		b, err := hammer(ctx, bare.addr, "", 64, limit)
		if err != nil {
			return err
		}
		if round == 0 {
			continue
		}
		hubs, bares = append(hubs, a.rate()), append(bares, b.rate())
		ratios = append(ratios, a.rate()/b.rate())
		hubCPU = append(hubCPU, perTask(hubUsed, a))
		bareCPU = append(bareCPU, perTask(used(bare.cmd.Process.Pid)-bareBefore, b))
		fmt.Fprintf(l.out, "  clients: 64, round %d: hub %.0f/s, bare handler %.0f/s, ratio %.2f\n", round, a.rate(), b.rate(), a.rate()/b.rate())
	}
	l.row("Workflow Execute per second, clients: 64", "%.0f", median(hubs), "")
	l.row("  bare handler, clients: 64", "%.0f", median(bares), "")
	l.row("  ratio", "%.2f", median(ratios), ">= 0.50")
	l.row("  processor time a call, µs", "%.0f", median(hubCPU), "")
	l.row("  processor time a call, bare handler, µs", "%.0f", median(bareCPU), "")
	return l.executeAlone(ctx, hub, bare, crm)
}

// executeAlone measures one call after the other: at the hub, at the bare
// handler and at the CRM itself, in turns.
func (l *lab) executeAlone(ctx context.Context, hub *rig, bare, crm *plain) error {
	calls := 3000
	if l.quick {
		calls = 500
	}
	places := []struct{ addr, key string }{{hub.addr(), hub.key}, {bare.addr, ""}, {crm.addr, ""}}
	times := make([][]float64, len(places))
	conns := make([]*sandbox.Conn, len(places))
	for i, p := range places {
		c, err := sandbox.Dial(ctx, p.addr, p.key)
		if err != nil {
			return err
		}
		defer c.Close()
		conns[i] = c
	}
	body := executeBody()
	for n := range calls + 100 { // the first ones warm up
		for i, c := range conns {
			began := time.Now()
			if err := call(c, body); err != nil {
				return err
			}
			if n >= 100 {
				times[i] = append(times[i], ms(time.Since(began)))
			}
		}
	}
	p50 := func(i int) float64 { return median(times[i]) }
	l.row("Workflow Execute, clients: 1, p50, ms", "%.3f", p50(0), "")
	l.row("  bare handler, p50, ms", "%.3f", p50(1), "")
	l.row("  the CRM's own answer, p50, ms", "%.3f", p50(2), "")
	l.row("  added by the hub to the CRM's answer, p50, ms", "%.3f", p50(0)-p50(2), "<= 0.5")
	return nil
}

// hammer lets clients execute the workflow until the time is over.
func hammer(ctx context.Context, addr, key string, clients int, limit time.Duration) (burst, error) {
	body := executeBody()
	return drive(ctx, addr, key, clients, limit, func(c *sandbox.Conn, _ int) (bool, error) { return true, call(c, body) })
}

// call executes the workflow once.
func call(c *sandbox.Conn, body []byte) error {
	status, answer, err := c.Do("POST", executePath, body)
	if err == nil && (status != 200 || !strings.Contains(string(answer), "Milan Novak")) {
		err = fmt.Errorf("%d %s", status, answer)
	}
	if err != nil {
		return fmt.Errorf("execute the workflow: %w", err)
	}
	return nil
}

// startExecute starts a hub that knows the CRM at an address.
func (l *lab) startExecute(ctx context.Context, crm string) (*rig, error) {
	l.made++
	dir := filepath.Join(l.dir, fmt.Sprintf("execute%d", l.made))
	set := executeFiles(crm)
	set["directory/bench.yaml"] = files["directory/bench.yaml"]
	set["workflows/queue.yaml"], set["workflows/end.yaml"] = files["workflows/queue.yaml"], files["workflows/end.yaml"]
	if err := writeFiles(filepath.Join(dir, "mappings"), set); err != nil {
		return nil, err
	}
	r := &rig{setup: sandbox.Setup{Binary: l.binary, Env: []string{
		"TANDEM_DATA_DIR=" + filepath.Join(dir, "data"), "TANDEM_MAPPINGS_DIR=" + filepath.Join(dir, "mappings"),
		"TANDEM_ALLOW_HOSTS=" + crm, "TANDEM_LOG_LEVEL=info",
	}}}
	var err error
	if r.key, err = r.setup.Key(ctx, tenant, "cxone", user); err != nil {
		return nil, err
	}
	r.Hub, err = r.setup.Start(ctx, nil)
	return r, err
}
