package control

import (
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/tenants"
)

// allow says whether the key may call the action, for the template that the
// path names, if it names one.
func allow(c *Call) error {
	if c.Key.May(c.Action, c.Path["templateName"]) {
		return nil
	}
	why := "the role " + string(c.Key.Role) + " does not allow the action"
	if c.Key.Role.Allows(c.Action) {
		why = "the key is not for this template"
	}
	return fault.New(fault.AccessDenied, "User: %s is not authorized to perform: %s on resource: %s because %s", userARN(c.Key), c.Action, resourceOf(c), why)
}

// kinds are the words that stand in ARNs for what a path names by a member.
var kinds = map[string]string{
	"thingName": "thing", "thingTypeName": "thingtype", "thingGroupName": "thinggroup", "billingGroupName": "billinggroup",
	"certificateId": "cert", "caCertificateId": "cacert", "policyName": "policy", "templateName": "provisioningtemplate",
	"topic": "topic", "clientId": "client", "roleAlias": "rolealias", "authorizerName": "authorizer", "domainConfigurationName": "domainconfiguration", "ruleName": "rule",
}

// resourceOf is the ARN of what a call is about; a star where its path names
// nothing that has one.
func resourceOf(c *Call) string {
	for member, name := range c.Path { // one path names one such resource
		if kind := kinds[member]; kind != "" {
			return c.Tenant.Resource(kind, name)
		}
	}
	return "*"
}

// userARN is how AWS would name who holds the key.
func userARN(k *tenants.AccessKey) string {
	name := k.Name
	if name == "" {
		name = k.ID
	}
	return "arn:aws:iam::" + k.Account + ":user/" + name
}
