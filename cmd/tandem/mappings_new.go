package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"tandem/core/integration"
	"tandem/core/mapping"
)

type mappingsNew struct {
	Operation string `arg:"" help:"INTEGRATION/OPERATION, for example acme/find-customer."`
	Dir       string `arg:"" optional:"" help:"Folder of mapping files; without it --mappings-dir."`
}

var operationForm = regexp.MustCompile(`^([a-z0-9][a-z0-9-]{0,62})/([a-z0-9][a-z0-9-]{0,62})$`)

// notIntegrations are folders whose files are of another kind.
var notIntegrations = []string{"directory", "workflows", "webex", "cxone"}

// notOperations are files in an integration's folder that are of another kind.
var notOperations = []string{"integration", "entities", "configurations"}

// Run writes an operation that works, with its test, and, where the integration
// is new, its file.
func (m mappingsNew) Run(p *program) error {
	c, err := p.load()
	if err != nil {
		return err
	}
	if m.Dir == "" {
		m.Dir = c.MappingsDir
	}
	parts := operationForm.FindStringSubmatch(m.Operation)
	switch {
	case parts == nil:
		return errors.New("want INTEGRATION/OPERATION, both made of a-z, 0-9 and -, for example acme/find-customer")
	case slices.Contains(notIntegrations, parts[1]):
		return fmt.Errorf("the folder %s holds other files: take another name for the integration", parts[1])
	case slices.Contains(notOperations, parts[2]):
		return fmt.Errorf("%s.yaml is another kind of file: take another name for the operation", parts[2])
	case m.Dir == "":
		return errors.New("the samples built in cannot be changed: name a folder of mapping files, here or with --mappings-dir")
	}
	if info, err := os.Stat(m.Dir); err != nil || !info.IsDir() {
		return fmt.Errorf("there is no folder %s", m.Dir)
	}
	return m.write(p, parts[1], parts[2])
}

// write writes the files, all or none where one of them is there already.
func (m mappingsNew) write(p *program, id, name string) error {
	title, base, err := known(m.Dir, id)
	if err != nil {
		return err
	}
	fill := strings.NewReplacer("{id}", id, "{base}", quoted(base), "{type}", quoted(id), "{name}", name, "{vendor}", quoted(orWords(title, id)), "{title}", quoted(orWords("", name)))
	files := [][2]string{{name + ".yaml", newOperation}, {name + "_test.yaml", newTest}}
	if title == "" {
		files = slices.Insert(files, 0, [2]string{"integration.yaml", newIntegration})
	}
	for _, f := range files {
		if !missing(filepath.Join(m.Dir, id, f[0])) {
			return fmt.Errorf("%s is there already; nothing was written", filepath.Join(m.Dir, id, f[0]))
		}
	}
	if err := os.MkdirAll(filepath.Join(m.Dir, id), 0o755); err != nil { //nolint:gosec // no secret; whoever runs the hub reads it
		return err
	}
	for _, f := range files {
		path := filepath.Join(m.Dir, id, f[0])
		if err := create(path, fill.Replace(f[1])); err != nil {
			return err
		}
		fmt.Fprintln(p.stdout, path)
	}
	_, err = fmt.Fprintf(p.stdout, "\nEdit them, then:\n  tandem mappings test --run %[1]s %[2]s\n  tandem mappings try %[1]s %[2]s\n  tandem mappings lint %[2]s\n", m.Operation, m.Dir)
	return err
}

// create writes a file that must not be there yet.
func create(path, text string) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // no secret; whoever runs the hub reads it
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = f.WriteString(text)
	return err
}

// known returns the title of an integration, empty when it has no file yet, and
// the base address that its tests have.
func known(dir, id string) (title, base string, err error) {
	name := id + "/integration.yaml"
	base = "https://" + id + ".example"
	data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
	if errors.Is(err, fs.ErrNotExist) {
		return "", base, nil
	}
	if err != nil {
		return "", "", err
	}
	f, findings := mapping.Parse(name, data)
	var c *integration.Catalogue
	if len(findings) == 0 {
		c, findings = integration.Load(&mapping.Set{Files: []mapping.File{f}})
	}
	if len(findings) > 0 {
		return "", "", fmt.Errorf("mend the integration first: %s", findings[0])
	}
	i := c.All()[0]
	if i.NoAuthorization { // nobody fills anything in: there is one address
		address, err := integration.Address(i.Base, i.WithDefaults(&integration.Grant{}, nil))
		if err != nil {
			return "", "", fmt.Errorf("%s: %w", name, err)
		}
		base = address.String()
	}
	return i.Title, base, nil
}

// orWords returns the title, or the words of a name.
func orWords(title, name string) string {
	if title != "" {
		return title
	}
	words := strings.TrimSpace(strings.ReplaceAll(name, "-", " "))
	if words == "" {
		return name
	}
	return strings.ToUpper(words[:1]) + words[1:]
}

// quoted writes a text in double quotes, which mean in YAML what they mean in
// JSON.
func quoted(text string) string {
	b, _ := json.Marshal(text) //nolint:errchkjson // a string can always be encoded
	return string(b)
}

const newIntegration = `# What an administrator connects in the console. No secret stands in this file:
# it says which fields are filled in, and where each value goes.
title: {vendor}
description: Say here what it is

# The base address of the API, without a slash at the end.
base: https://api.{id}.example/v1

grants:
  - id: key
    type: api_key
    title: API key
    help: Say here where an administrator finds the key.
    fields:
      - name: key
        label: API key
        required: true
        secret: true
    header: X-Api-Key
    value: "{key}"

# What the vendor allows, counted per tenant and host: calls that come faster
# wait for their turn. Leave it out if the vendor has no limit.
limits:
  requests_per_minute: 60

# Where a refusal of the vendor tells why.
error_texts: [message, error.message]
`

const newOperation = `title: {title}
description: Finds customers by what the caller types

# What the caller hands over. redact: it is masked wherever people can read it.
input:
  - name: query
    type: text
    required: true
    max: 100
    redact: true
    help: A name, an e-mail address or a telephone number.

# Further names whose values are masked there, in requests, answers and results.
redact: [email, phone]

# An input with which the file is checked when it is loaded.
example: {query: jane@example.com}

# The calls to the vendor, one after the other. A text that begins with = is an
# expression, everything else stands for itself.
steps:
  - id: find
    request:
      method: GET
      path: /customers # below the base address of integration.yaml
      query:
        search: = input.query
        limit: 10
    on:
      # Some answers that are no 2xx are fine: here 404 means that there is none.
      - status: 404
        then: continue
    extract:
      customers: = body?.customers ?? []

# What the caller gets. This is the form that CXone's customer card shows.
output:
  system: {type: {type}, label: {vendor}, icon: "", baseUrl: = base}
  records:
    for_each: = steps.find.customers
    as: customer
    most: 10
    value:
      type: customer
      label: Customer
      id: = text(customer.id)
      url: = "/customers/" + text(customer.id)
      display: = customer.name
      linkable: true
      screenPop: = len(steps.find.customers) == 1 # several at once pop for nobody
      related: []
      # Those of the card that an administrator has configured, else these.
      fields: = card(customer, "Customer", [["name", "Name"], ["email", "E-mail"]])
  pinRecords: []
`

const newTest = `tests:
  - name: finds a customer
    base: {base}
    input: {query: jane@example.com}
    # The calls that are made, in order, and what the vendor answers to each.
    exchanges:
      - request: {method: GET, path: /customers, query: {search: jane@example.com, limit: "10"}}
        answer:
          status: 200
          body:
            customers:
              - {id: 7, name: Jane Doe, email: jane@example.com}
    result:
      system: {type: {type}, label: {vendor}, icon: "", baseUrl: {base}}
      records:
        - type: customer
          label: Customer
          id: "7"
          url: /customers/7
          display: Jane Doe
          linkable: true
          screenPop: true
          related: []
          fields:
            - {name: name, label: Name, value: Jane Doe}
            - {name: email, label: E-mail, value: jane@example.com}
      pinRecords: []

  - name: finds nobody
    base: {base}
    input: {query: nobody@example.com}
    exchanges:
      - request: {method: GET, path: /customers, query: {search: nobody@example.com, limit: "10"}}
        answer: {status: 404, body: {message: no such customer}}
    result:
      system: {type: {type}, label: {vendor}, icon: "", baseUrl: {base}}
      records: []
      pinRecords: []

  - name: a fault of the vendor is told as it is
    base: {base}
    input: {query: jane@example.com}
    exchanges:
      - request: {method: GET, path: /customers, query: {search: jane@example.com, limit: "10"}}
        answer: {status: 500, body: {message: out of order}}
    error: {status: 500, step: find}
`
