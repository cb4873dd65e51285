package control

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-iot/slipway/control/internal/model"
)

var updatePage = flag.Bool("update", false, "write docs/api.md anew")

// What becomes of the operations that have no handler.
const (
	later = "later"        // belongs to a feature that is to come
	never = "out of scope" // belongs to what Slipway is not
)

// apiAreas lists every operation of AWS's model once, in the order of
// docs/api.md. State and reason are those of the area's operations that have no
// handler.
var apiAreas = []struct {
	title, operations string
	state, reason     string
}{
	{
		title: "Things",
		operations: `CreateThing DescribeThing UpdateThing DeleteThing ListThings RegisterThing
			AttachThingPrincipal DetachThingPrincipal ListThingPrincipals ListThingPrincipalsV2
			ListPrincipalThings ListPrincipalThingsV2`,
	},
	{
		title:      "Thing types",
		operations: `CreateThingType DescribeThingType UpdateThingType DeprecateThingType DeleteThingType ListThingTypes`,
	},
	{
		title: "Thing groups",
		operations: `CreateThingGroup DescribeThingGroup UpdateThingGroup DeleteThingGroup ListThingGroups
			AddThingToThingGroup RemoveThingFromThingGroup UpdateThingGroupsForThing ListThingGroupsForThing
			ListThingsInThingGroup`,
	},
	{
		title: "Billing groups",
		operations: `CreateBillingGroup DescribeBillingGroup UpdateBillingGroup DeleteBillingGroup ListBillingGroups
			AddThingToBillingGroup RemoveThingFromBillingGroup ListThingsInBillingGroup`,
	},
	{
		title: "Certificates",
		operations: `CreateKeysAndCertificate CreateCertificateFromCsr RegisterCertificate
			RegisterCertificateWithoutCA DescribeCertificate UpdateCertificate DeleteCertificate ListCertificates
			ListCertificatesByCA`,
	},
	{
		title: "CA certificates",
		operations: `RegisterCACertificate DescribeCACertificate UpdateCACertificate DeleteCACertificate
			ListCACertificates GetRegistrationCode DeleteRegistrationCode`,
	},
	{
		title: "Policies",
		operations: `CreatePolicy GetPolicy ListPolicies DeletePolicy CreatePolicyVersion GetPolicyVersion
			ListPolicyVersions DeletePolicyVersion SetDefaultPolicyVersion AttachPolicy DetachPolicy
			ListAttachedPolicies ListTargetsForPolicy AttachPrincipalPolicy DetachPrincipalPolicy
			ListPrincipalPolicies ListPolicyPrincipals GetEffectivePolicies TestAuthorization`,
	},
	{
		title: "Provisioning templates and claims",
		operations: `CreateProvisioningTemplate DescribeProvisioningTemplate UpdateProvisioningTemplate
			DeleteProvisioningTemplate ListProvisioningTemplates CreateProvisioningTemplateVersion
			DescribeProvisioningTemplateVersion DeleteProvisioningTemplateVersion ListProvisioningTemplateVersions
			CreateProvisioningClaim`,
	},
	{
		title: "Registration tasks",
		operations: `StartThingRegistrationTask StopThingRegistrationTask DescribeThingRegistrationTask
			ListThingRegistrationTasks ListThingRegistrationTaskReports`,
	},
	{
		title: "Endpoints and domain configurations",
		operations: `DescribeEndpoint CreateDomainConfiguration DescribeDomainConfiguration
			UpdateDomainConfiguration DeleteDomainConfiguration ListDomainConfigurations`,
	},
	{
		title:      "Role aliases",
		operations: `CreateRoleAlias DescribeRoleAlias UpdateRoleAlias DeleteRoleAlias ListRoleAliases`,
	},
	{
		title: "Authorizers",
		operations: `CreateAuthorizer DescribeAuthorizer UpdateAuthorizer DeleteAuthorizer ListAuthorizers
			SetDefaultAuthorizer DescribeDefaultAuthorizer ClearDefaultAuthorizer TestInvokeAuthorizer`,
	},
	{
		title: "Settings",
		operations: `DescribeEventConfigurations UpdateEventConfigurations GetIndexingConfiguration
			UpdateIndexingConfiguration SetLoggingOptions GetLoggingOptions SetV2LoggingOptions GetV2LoggingOptions
			SetV2LoggingLevel DeleteV2LoggingLevel ListV2LoggingLevels`,
	},
	{
		title:      "Encryption settings",
		operations: `DescribeEncryptionConfiguration UpdateEncryptionConfiguration`,
		state:      never, reason: "chooses a KMS key of AWS; Slipway's keys are sealed by its own",
	},
	{
		title: "Topic rules and destinations",
		operations: `CreateTopicRule GetTopicRule ReplaceTopicRule DeleteTopicRule ListTopicRules EnableTopicRule
			DisableTopicRule CreateTopicRuleDestination GetTopicRuleDestination UpdateTopicRuleDestination
			DeleteTopicRuleDestination ListTopicRuleDestinations ConfirmTopicRuleDestination`,
	},
	{
		title:      "Tags",
		operations: `TagResource UntagResource ListTagsForResource`,
	},
	{
		title: "Search and dynamic groups",
		operations: `SearchIndex DescribeIndex ListIndices GetStatistics GetCardinality GetPercentiles
			GetBucketsAggregation CreateDynamicThingGroup UpdateDynamicThingGroup DeleteDynamicThingGroup
			GetThingConnectivityData CreateFleetMetric DescribeFleetMetric UpdateFleetMetric DeleteFleetMetric
			ListFleetMetrics`,
		state: later, reason: "fleet indexing",
	},
	{
		title: "Transfer between accounts",
		operations: `TransferCertificate AcceptCertificateTransfer RejectCertificateTransfer
			CancelCertificateTransfer ListOutgoingCertificates`,
		state: later, reason: "certificate transfer",
	},
	{
		title: "Certificate providers",
		operations: `CreateCertificateProvider DescribeCertificateProvider UpdateCertificateProvider
			DeleteCertificateProvider ListCertificateProviders`,
		state: later, reason: "functions that sign",
	},
	{
		title: "Jobs",
		operations: `CreateJob DescribeJob UpdateJob CancelJob DeleteJob ListJobs GetJobDocument
			AssociateTargetsWithJob CancelJobExecution DeleteJobExecution DescribeJobExecution ListJobExecutionsForJob
			ListJobExecutionsForThing CreateJobTemplate DescribeJobTemplate DeleteJobTemplate ListJobTemplates`,
		state: later, reason: "jobs, which rotate certificates",
	},
	{
		title:      "Managed job templates",
		operations: `DescribeManagedJobTemplate ListManagedJobTemplates`,
		state:      never, reason: "documents that AWS publishes for its own agents",
	},
	{
		title: "Audits",
		operations: `DescribeAccountAuditConfiguration UpdateAccountAuditConfiguration
			DeleteAccountAuditConfiguration StartOnDemandAuditTask DescribeAuditTask CancelAuditTask ListAuditTasks
			DescribeAuditFinding ListAuditFindings ListRelatedResourcesForAuditFinding CreateScheduledAudit
			DescribeScheduledAudit UpdateScheduledAudit DeleteScheduledAudit ListScheduledAudits CreateAuditSuppression
			DescribeAuditSuppression UpdateAuditSuppression DeleteAuditSuppression ListAuditSuppressions
			CreateMitigationAction DescribeMitigationAction UpdateMitigationAction DeleteMitigationAction
			ListMitigationActions StartAuditMitigationActionsTask DescribeAuditMitigationActionsTask
			CancelAuditMitigationActionsTask ListAuditMitigationActionsTasks ListAuditMitigationActionsExecutions`,
		state: later, reason: "audits of certificates and policies",
	},
	{
		title: "Detection of unusual behaviour",
		operations: `CreateSecurityProfile DescribeSecurityProfile UpdateSecurityProfile DeleteSecurityProfile
			ListSecurityProfiles AttachSecurityProfile DetachSecurityProfile ListSecurityProfilesForTarget
			ListTargetsForSecurityProfile ValidateSecurityProfileBehaviors GetBehaviorModelTrainingSummaries
			ListActiveViolations ListViolationEvents PutVerificationStateOnViolation CreateCustomMetric
			DescribeCustomMetric UpdateCustomMetric DeleteCustomMetric ListCustomMetrics CreateDimension
			DescribeDimension UpdateDimension DeleteDimension ListDimensions ListMetricValues
			StartDetectMitigationActionsTask DescribeDetectMitigationActionsTask CancelDetectMitigationActionsTask
			ListDetectMitigationActionsTasks ListDetectMitigationActionsExecutions`,
		state: never, reason: "watches what devices do once they run; Slipway gives them their identity",
	},
	{
		title: "Firmware updates and streams",
		operations: `CreateOTAUpdate GetOTAUpdate DeleteOTAUpdate ListOTAUpdates CreateStream DescribeStream
			UpdateStream DeleteStream ListStreams`,
		state: never, reason: "delivers firmware",
	},
	{
		title: "Commands",
		operations: `CreateCommand GetCommand UpdateCommand DeleteCommand ListCommands GetCommandExecution
			DeleteCommandExecution ListCommandExecutions`,
		state: never, reason: "remote control of running devices",
	},
	{
		title: "Software packages",
		operations: `CreatePackage GetPackage UpdatePackage DeletePackage ListPackages CreatePackageVersion
			GetPackageVersion UpdatePackageVersion DeletePackageVersion ListPackageVersions GetPackageConfiguration
			UpdatePackageConfiguration AssociateSbomWithPackageVersion DisassociateSbomFromPackageVersion
			ListSbomValidationResults`,
		state: never, reason: "keeps an inventory of software",
	},
}

// What stands below this line of docs/api.md is made of the routes.
const apiHeading = "\n## Operations\n"

func TestAPIPageIsWhatTheRoutesSay(t *testing.T) {
	file := filepath.Join("..", "docs", "api.md")
	there, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, _, ok := strings.Cut(string(there), apiHeading)
	if !ok {
		t.Fatalf("docs/api.md has no line %q", strings.TrimSpace(apiHeading))
	}
	page := head + apiHeading + apiTables(t)
	if *updatePage {
		if err := os.WriteFile(file, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if page != string(there) {
		t.Error("docs/api.md is not what the routes say: go test ./control -run TestAPIPage -update writes it.")
	}
}

// apiTables writes the summary and one table for each area.
func apiTables(t *testing.T) string {
	all := map[string]model.Operation{}
	for _, o := range model.Operations {
		all[o.Name] = o
	}
	handled := new(Server).operations()
	counts := map[string]int{}
	var body strings.Builder
	for _, area := range apiAreas {
		undone := false
		fmt.Fprintf(&body, "\n### %s\n\n| operation | method and path | state | why |\n|---|---|---|---|\n", area.title)
		for _, name := range strings.Fields(area.operations) {
			o, ok := all[name]
			if !ok {
				t.Errorf("%s is listed twice, or AWS's model has it not.", name)
			}
			delete(all, name)
			state, reason := "done", ""
			if handled[name] == nil {
				state, reason, undone = area.state, area.reason, true
			}
			if state == "" {
				t.Errorf("%s has no handler, and its area does not say why.", name)
			}
			counts[state]++
			fmt.Fprintf(&body, "| %s | `%s %s` | %s | %s |\n", name, o.Method, o.Path, state, reason)
		}
		if area.state != "" && !undone {
			t.Errorf("%s says what becomes of operations without a handler, and has none.", area.title)
		}
	}
	for name := range all {
		t.Errorf("%s is in no area.", name)
	}
	return fmt.Sprintf("\nOf %d operations, %d are done, %d come later and %d are out of scope.\n",
		len(model.Operations), counts["done"], counts[later], counts[never]) + body.String()
}
