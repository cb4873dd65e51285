package tenants

import (
	"slices"
	"strings"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
)

// whoami is what every key may ask: tools call it before anything else.
const whoami = "sts:GetCallerIdentity"

// adminActions end the names of Slipway's own actions that change who may do
// what, or which programs the server runs.
var adminActions = []string{"Account", "Key", "PutFunction", "DeleteFunction"}

// installerActions hand a device its identity and see that it arrived.
var installerActions = []string{
	"iot:CreateProvisioningClaim", "iot:DescribeEndpoint",
	"iot:DescribeProvisioningTemplate", "iot:ListProvisioningTemplates",
	"iot:DescribeThing", "slipway:ListAttempts", "slipway:DescribeEndpoints",
	"slipway:CreateTrustedClaim", "slipway:ListDeviceCodes", "slipway:ApproveDeviceCode", "slipway:DenyDeviceCode",
}

// functionActions are those of AWS's managed policy AWSIoTThingsRegistration
// (templates.md, section 8): what provisioning code does to the registry.
var functionActions = []string{
	"iot:AddThingToThingGroup", "iot:AttachPolicy", "iot:AttachPrincipalPolicy",
	"iot:AttachThingPrincipal", "iot:CreateCertificateFromCsr", "iot:CreatePolicy",
	"iot:CreateThing", "iot:DescribeCertificate", "iot:DescribeThing",
	"iot:DescribeThingGroup", "iot:DescribeThingType", "iot:DetachPolicy",
	"iot:DetachThingPrincipal", "iot:GetPolicy", "iot:ListAttachedPolicies",
	"iot:ListPolicyPrincipals", "iot:ListPrincipalPolicies",
	"iot:ListPrincipalThings", "iot:ListTargetsForPolicy",
	"iot:ListThingGroupsForThing", "iot:ListThingPrincipals",
	"iot:RegisterCertificate", "iot:RegisterThing",
	"iot:RemoveThingFromThingGroup", "iot:UpdateCertificate", "iot:UpdateThing",
	"iot:UpdateThingGroupsForThing", "iot:AddThingToBillingGroup",
	"iot:DescribeBillingGroup", "iot:RemoveThingFromBillingGroup",
	"iot:DescribeEndpoint",
}

// readVerbs begin the names of actions that change nothing.
var readVerbs = []string{"Describe", "Explain", "Get", "List", "Preview", "Search", "TestAuthorization", "Verify"}

// ParseRole reads a role's name.
func ParseRole(s string) (Role, error) {
	switch r := Role(s); r {
	case Admin, Operator, Installer, Auditor, Function:
		return r, nil
	}
	return "", fault.New(fault.InvalidRequest, "Role %q: expected admin, operator, installer, auditor or function.", arn.Clip(s, 40))
}

// Allows says whether a key with the role may call an action, named as in
// policies: iot:CreateThing, slipway:CreateClaim, sts:GetCallerIdentity. An
// unknown role may nothing.
func (r Role) Allows(action string) bool {
	switch r {
	case Admin:
		return true
	case Operator:
		return !managesAccess(action)
	case Installer:
		return action == whoami || slices.Contains(installerActions, action)
	case Auditor:
		return action == whoami || reads(action)
	case Function:
		return action == whoami || slices.Contains(functionActions, action)
	}
	return false
}

// May says whether the key may call an action that is about a template, or
// about none if the name is empty. An installer's key is for its templates only.
func (k *AccessKey) May(action, template string) bool {
	if k.Role == Installer && template != "" && !slices.Contains(k.Templates, template) {
		return false
	}
	return k.Role.Allows(action)
}

func managesAccess(action string) bool {
	own, ok := strings.CutPrefix(action, "slipway:")
	if !ok || reads(action) {
		return false
	}
	return slices.ContainsFunc(adminActions, func(what string) bool { return strings.HasSuffix(own, what) })
}

func reads(action string) bool {
	_, verb, _ := strings.Cut(action, ":")
	return slices.ContainsFunc(readVerbs, func(v string) bool { return strings.HasPrefix(verb, v) })
}
