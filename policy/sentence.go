package policy

import "fmt"

// Sentence explains the decision on the action and resource to somebody who
// never read a policy.
func (d Decision) Sentence(action, resource string) string {
	if d.Policy == "" {
		return fmt.Sprintf("No statement allows %s on %s.", action, resource)
	}
	verb := "denies"
	if d.Allowed {
		verb = "allows"
	}
	return fmt.Sprintf("Statement[%d] of policy %s %s %s on %s.", d.Statement, d.Policy, verb, action, resource)
}
