package expression_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/core/expression"
)

// eval evaluates an expression with some data, as JSON.
func eval(t *testing.T, source string, env *expression.Env) (string, error) {
	t.Helper()
	p, err := expression.Compile(source, names())
	require.NoError(t, err, source)
	v, err := p.Eval(env)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return string(text), nil
}


func names() expression.Names {
	return expression.Names{
		Values: []string{"v"}, Steps: map[string][]string{"find": {"records"}}, Answer: true, Loops: []string{"item"},
		Entities: expression.NewEntities([]expression.Entity{
			{Name: "Contact", Label: "Contact", Keys: map[string]string{"set": "contacts"}, Fields: []expression.EntityField{
				{Name: "Phone", Label: "Phone", Type: "phone", Updatable: true},
				{Name: "MobilePhone", Label: "Mobile", Type: "phone"},
				{Name: "Email", Label: "E-mail", Type: "email"},
			}},
			{Name: "Case", Label: "Case"},
		}),
	}
}
