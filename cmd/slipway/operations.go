package main

import "path"

// operations names what the verbs call, as AWS does, so that a control plane
// that lacks one can be told by name. The first pattern that matches counts; a
// star stands for one segment.
var operations = [][3]string{
	{"GET", "/things", "ListThings"},
	{"GET", "/things/*", "DescribeThing"},
	{"POST", "/things/*", "CreateThing"},
	{"DELETE", "/things/*", "DeleteThing"},
	{"GET", "/things/*/thing-groups", "ListThingGroupsForThing"},
	{"GET", "/things/*/principals", "ListThingPrincipals"},
	{"PUT", "/things/*/principals", "AttachThingPrincipal"},
	{"DELETE", "/things/*/principals", "DetachThingPrincipal"},
	{"GET", "/principals/things-v2", "ListPrincipalThingsV2"},
	{"GET", "/principals/things", "ListPrincipalThings"},
	{"GET", "/thing-types/*", "DescribeThingType"},
	{"POST", "/thing-types/*", "CreateThingType"},
	{"PUT", "/thing-groups/addThingToThingGroup", "AddThingToThingGroup"},
	{"GET", "/thing-groups/*", "DescribeThingGroup"},
	{"POST", "/keys-and-certificate", "CreateKeysAndCertificate"},
	{"POST", "/certificates", "CreateCertificateFromCsr"},
	{"GET", "/certificates/*", "DescribeCertificate"},
	{"PUT", "/certificates/*", "UpdateCertificate"},
	{"DELETE", "/certificates/*", "DeleteCertificate"},
	{"GET", "/policies/*", "GetPolicy"},
	{"POST", "/attached-policies/*", "ListAttachedPolicies"},
	{"PUT", "/target-policies/*", "AttachPolicy"},
	{"POST", "/target-policies/*", "DetachPolicy"},
	{"GET", "/provisioning-templates", "ListProvisioningTemplates"},
	{"POST", "/provisioning-templates", "CreateProvisioningTemplate"},
	{"GET", "/provisioning-templates/*", "DescribeProvisioningTemplate"},
	{"PATCH", "/provisioning-templates/*", "UpdateProvisioningTemplate"},
	{"POST", "/provisioning-templates/*/provisioning-claim", "CreateProvisioningClaim"},
	{"GET", "/provisioning-templates/*/versions", "ListProvisioningTemplateVersions"},
	{"POST", "/provisioning-templates/*/versions", "CreateProvisioningTemplateVersion"},
	{"DELETE", "/provisioning-templates/*/versions/*", "DeleteProvisioningTemplateVersion"},
	{"POST", "/thing-registration-tasks", "StartThingRegistrationTask"},
	{"GET", "/thing-registration-tasks", "ListThingRegistrationTasks"},
	{"GET", "/thing-registration-tasks/*", "DescribeThingRegistrationTask"},
	{"PUT", "/thing-registration-tasks/*/cancel", "StopThingRegistrationTask"},
	{"GET", "/thing-registration-tasks/*/reports", "ListThingRegistrationTaskReports"},
	{"GET", "/tags", "ListTagsForResource"},
	{"POST", "/tags", "TagResource"},
	{"GET", "/endpoint", "DescribeEndpoint"},
}

// operation gives AWS's name of a call; of one of our own, nothing.
func operation(method, escaped string) string {
	for _, o := range operations {
		if match, _ := path.Match(o[1], escaped); match && o[0] == method {
			return o[2]
		}
	}
	return ""
}
