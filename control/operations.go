package control

import (
	"context"
	"encoding/json"
	"maps"

	"github.com/slipway-iot/slipway/control/internal/model"
	"github.com/slipway-iot/slipway/store"
)

// An operation of AWS's API, made a Handler by what the model says of it.
type operation func(*model.Operation) Handler

// op makes an operation of a function over its decoded and checked members.
func op[In any](s *Server, answer func(context.Context, *Call, *In) (any, error)) operation {
	return func(o *model.Operation) Handler {
		return func(ctx context.Context, c *Call) (any, error) {
			members, err := s.model.Decode(o, model.Request{Path: c.Path, Query: c.Query, Header: c.Header, Body: c.Body})
			if err != nil {
				return nil, err
			}
			in := new(In)
			if err := json.Unmarshal(members, in); err != nil {
				return nil, err
			}
			return answer(ctx, c, in)
		}
	}
}

// operations gives what answers each operation, area by area; AWS's other ones
// are not there yet.
func (s *Server) operations() map[string]operation {
	all := map[string]operation{"DescribeEndpoint": op(s, s.describeEndpoint)}
	for _, area := range []map[string]operation{
		s.registryOperations(), s.certificateOperations(), s.policyOperations(), s.templateOperations(),
		s.tagOperations(), s.caOperations(), s.accessOperations(), s.settingsOperations(),
		s.ruleOperations(), s.taskOperations(), s.judgeOperations(),
	} {
		maps.Copy(all, area)
	}
	return all
}

func (s *Server) registryOperations() map[string]operation {
	return map[string]operation{
		"CreateThing":                 op(s, s.createThing),
		"DescribeThing":               op(s, s.describeThing),
		"UpdateThing":                 op(s, s.updateThing),
		"DeleteThing":                 op(s, s.deleteThing),
		"ListThings":                  op(s, s.listThings),
		"AttachThingPrincipal":        op(s, s.attachThingPrincipal),
		"DetachThingPrincipal":        op(s, s.detachThingPrincipal),
		"ListThingPrincipals":         op(s, s.listThingPrincipals),
		"ListThingPrincipalsV2":       op(s, s.listThingPrincipalsV2),
		"ListPrincipalThings":         op(s, s.listPrincipalThings),
		"ListPrincipalThingsV2":       op(s, s.listPrincipalThingsV2),
		"CreateThingType":             op(s, s.createThingType),
		"DescribeThingType":           op(s, s.describeThingType),
		"UpdateThingType":             op(s, s.updateThingType),
		"DeprecateThingType":          op(s, s.deprecateThingType),
		"DeleteThingType":             op(s, s.deleteThingType),
		"ListThingTypes":              op(s, s.listThingTypes),
		"CreateThingGroup":            op(s, s.createThingGroup),
		"DescribeThingGroup":          op(s, s.describeThingGroup),
		"UpdateThingGroup":            op(s, s.updateThingGroup),
		"DeleteThingGroup":            op(s, s.deleteThingGroup),
		"ListThingGroups":             op(s, s.listThingGroups),
		"AddThingToThingGroup":        op(s, s.addThingToThingGroup),
		"ListThingsInThingGroup":      op(s, s.listThingsInThingGroup),
		"RemoveThingFromThingGroup":   op(s, s.removeThingFromThingGroup),
		"UpdateThingGroupsForThing":   op(s, s.updateThingGroupsForThing),
		"ListThingGroupsForThing":     op(s, s.listThingGroupsForThing),
		"CreateBillingGroup":          op(s, s.createBillingGroup),
		"DescribeBillingGroup":        op(s, s.describeBillingGroup),
		"UpdateBillingGroup":          op(s, s.updateBillingGroup),
		"DeleteBillingGroup":          op(s, s.deleteBillingGroup),
		"ListBillingGroups":           op(s, s.listBillingGroups),
		"AddThingToBillingGroup":      op(s, s.addThingToBillingGroup),
		"RemoveThingFromBillingGroup": op(s, s.removeThingFromBillingGroup),
		"ListThingsInBillingGroup":    op(s, s.listThingsInBillingGroup),
		"UntagResource":               op(s, s.untagResource),
	}
}

func (s *Server) certificateOperations() map[string]operation {
	return map[string]operation{
		"CreateKeysAndCertificate": op(s, s.createKeysAndCertificate),
		"CreateCertificateFromCsr": op(s, s.createCertificateFromCSR),
		"DescribeCertificate":      op(s, s.describeCertificate),
		"UpdateCertificate":        op(s, s.updateCertificate),
		"DeleteCertificate":        op(s, s.deleteCertificate),
		"ListCertificates":         op(s, s.listCertificates),
	}
}

func (s *Server) policyOperations() map[string]operation {
	return map[string]operation{
		"CreatePolicy":            op(s, s.createPolicy),
		"GetPolicy":               op(s, s.getPolicy),
		"ListPolicies":            op(s, s.listPolicies),
		"DeletePolicy":            op(s, s.deletePolicy),
		"CreatePolicyVersion":     op(s, s.createPolicyVersion),
		"GetPolicyVersion":        op(s, s.getPolicyVersion),
		"ListPolicyVersions":      op(s, s.listPolicyVersions),
		"DeletePolicyVersion":     op(s, s.deletePolicyVersion),
		"SetDefaultPolicyVersion": op(s, s.setDefaultPolicyVersion),
		"AttachPolicy":            op(s, s.attachPolicy),
		"DetachPolicy":            op(s, s.detachPolicy),
		"ListAttachedPolicies":    op(s, s.listAttachedPolicies),
		"ListTargetsForPolicy":    op(s, s.listTargetsForPolicy),
		"AttachPrincipalPolicy":   op(s, s.attachPrincipalPolicy),
		"DetachPrincipalPolicy":   op(s, s.detachPrincipalPolicy),
		"ListPrincipalPolicies":   op(s, s.listPrincipalPolicies),
		"ListPolicyPrincipals":    op(s, s.listPolicyPrincipals),
	}
}

func (s *Server) templateOperations() map[string]operation {
	return map[string]operation{
		"CreateProvisioningTemplate":          op(s, s.createTemplate),
		"DescribeProvisioningTemplate":        op(s, s.describeTemplate),
		"UpdateProvisioningTemplate":          op(s, s.updateTemplate),
		"DeleteProvisioningTemplate":          op(s, s.deleteTemplate),
		"ListProvisioningTemplates":           op(s, s.listTemplates),
		"CreateProvisioningTemplateVersion":   op(s, s.createTemplateVersion),
		"DescribeProvisioningTemplateVersion": op(s, s.describeTemplateVersion),
		"DeleteProvisioningTemplateVersion":   op(s, s.deleteTemplateVersion),
		"ListProvisioningTemplateVersions":    op(s, s.listTemplateVersions),
		"CreateProvisioningClaim":             op(s, s.createProvisioningClaim),
	}
}

func (s *Server) tagOperations() map[string]operation {
	return map[string]operation{
		"TagResource":         op(s, s.tagResource),
		"ListTagsForResource": op(s, s.listTagsForResource),
	}
}

// view reads in one transaction.
func (s *Server) view(ctx context.Context, f func(context.Context, store.Tx) error) error {
	return s.cfg.DB.View(ctx, f)
}

// update writes in one transaction and answers {} once it is on disk.
func (s *Server) update(ctx context.Context, f func(context.Context, store.Tx) error) (any, error) {
	return nil, s.cfg.DB.Update(ctx, f)
}
