"""What boto3 builds on the operations: paginators, waiters and exceptions.

It needs the exports of `slipway env`, and as arguments the names of the
operations that are done.
"""

import os
import pathlib
import subprocess
import sys
import tempfile

import boto3
import botocore.exceptions
from botocore import xform_name

iot = boto3.client("iot")

POLICY = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect","Resource":"*"}]}'
TEMPLATE = '{"Resources":{"thing":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":"a"}}}}'
ROLE = "arn:aws:iam::000000000000:role/tour"
FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:tour"
NAMES = ["tour-a", "tour-b", "tour-c"]


def fail(sentence):
    raise SystemExit(f"FAILED: {sentence}")


# A walk names a list operation and the arguments with which it finds at least
# three items. Its paginator must bring, page by page, what one page of the
# largest size brings, in the same order and nothing twice.
def walk(operation, size=1, **arguments):
    paginator = iot.get_paginator(operation)
    key = paginator.result_keys[0].expression
    limit = paginator._limit_key
    whole = getattr(iot, operation)(**arguments, **({limit: 250} if limit else {}))[key]
    if len(whole) < 3:
        fail(f"{operation} finds only {whole}")
    config = {"PageSize": size} if limit else {}
    pages = list(paginator.paginate(**arguments, PaginationConfig=config))
    found = [item for page in pages for item in page[key]]
    if found != whole:
        fail(f"{operation} in pages of {size} is {found}, not {whole}")
    if limit and any(len(page[key]) > size for page in pages):
        fail(f"{operation} brings more than {size} on a page")
    walked.add(operation)


walked = set()


def things():
    iot.create_billing_group(billingGroupName=NAMES[0])
    iot.create_thing_group(thingGroupName="tour-top")
    for name in NAMES:
        iot.create_thing(thingName=name, attributePayload={"attributes": {"lot": "7"}}, billingGroupName=NAMES[0])
        iot.create_thing_type(thingTypeName=name)
        iot.create_thing_group(thingGroupName=name)
        iot.create_thing_group(thingGroupName=f"{name}-below", parentGroupName="tour-top")
        iot.add_thing_to_thing_group(thingGroupName="tour-top", thingName=name)
        iot.add_thing_to_thing_group(thingGroupName=name, thingName=NAMES[0])
    for name in NAMES[1:]:
        iot.create_billing_group(billingGroupName=name)
    walk("list_things")
    walk("list_things", size=2, attributeName="lot", attributeValue="7")
    walk("list_thing_types")
    walk("list_thing_groups")
    walk("list_thing_groups", parentGroup="tour-top", recursive=True)
    walk("list_thing_groups_for_thing", thingName=NAMES[0])
    walk("list_things_in_thing_group", thingGroupName="tour-top")
    walk("list_billing_groups")
    walk("list_things_in_billing_group", billingGroupName=NAMES[0])


def principals():
    made = [iot.create_keys_and_certificate(setAsActive=True)["certificateArn"] for _ in NAMES]
    for arn in made:
        iot.attach_thing_principal(thingName=NAMES[0], principal=arn)
    for name in NAMES[1:]:
        iot.attach_thing_principal(thingName=name, principal=made[0])
    walk("list_certificates")
    walk("list_certificates", size=2, ascendingOrder=True)
    walk("list_thing_principals", thingName=NAMES[0])
    walk("list_thing_principals_v2", thingName=NAMES[0])
    walk("list_principal_things", principal=made[0])
    walk("list_principal_things_v2", principal=made[0])
    return made


CONFIGURATION = """[req]
distinguished_name = dn
x509_extensions = ca
[dn]
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
"""


def openssl(folder, command):
    subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)


def authorities():
    folder = pathlib.Path(tempfile.mkdtemp())
    (folder / "openssl.cnf").write_text(CONFIGURATION)
    openssl(folder, "ecparam -name prime256v1 -genkey -noout -out key")
    made = []
    for name in NAMES:
        openssl(folder, f"req -config openssl.cnf -x509 -new -key key -subj /CN={name} -days 30 -out {name}.pem")
        made.append(iot.register_ca_certificate(caCertificate=(folder / f"{name}.pem").read_text(), certificateMode="SNI_ONLY", setAsActive=True))
    for serial, name in enumerate(NAMES, 1):
        openssl(folder, f"req -config openssl.cnf -new -key key -subj /CN=leaf-{name} -out leaf.csr")
        openssl(folder, f"x509 -req -in leaf.csr -CA {NAMES[0]}.pem -CAkey key -set_serial {serial} -days 30 -out leaf.pem")
        iot.register_certificate(certificatePem=(folder / "leaf.pem").read_text(), status="INACTIVE")
    walk("list_ca_certificates")
    walk("list_certificates_by_ca", size=2, caCertificateId=made[0]["certificateId"])


def policies(certificates):
    for name in NAMES:
        iot.create_policy(policyName=name, policyDocument=POLICY)
        iot.attach_policy(policyName=name, target=certificates[0])
    for arn in certificates[1:]:
        iot.attach_policy(policyName=NAMES[0], target=arn)
    walk("list_policies")
    walk("list_policies", size=2, ascendingOrder=False)
    walk("list_attached_policies", target=certificates[0])
    walk("list_targets_for_policy", policyName=NAMES[0])
    walk("list_principal_policies", principal=certificates[0])
    walk("list_policy_principals", policyName=NAMES[0])
    tags = [{"Key": name, "Value": "yes"} for name in NAMES]
    arn = iot.get_policy(policyName=NAMES[0])["policyArn"]
    iot.tag_resource(resourceArn=arn, tags=tags)
    walk("list_tags_for_resource", resourceArn=arn)


def templates():
    for name in NAMES:
        iot.create_provisioning_template(templateName=name, templateBody=TEMPLATE, provisioningRoleArn=ROLE)
        iot.create_provisioning_template_version(templateName=NAMES[0], templateBody=TEMPLATE)
    walk("list_provisioning_templates")
    walk("list_provisioning_template_versions", templateName=NAMES[0])


def access():
    for name in NAMES:
        iot.create_role_alias(roleAlias=name, roleArn=ROLE)
        iot.create_authorizer(authorizerName=name, authorizerFunctionArn=FUNCTION, signingDisabled=True)
        iot.create_domain_configuration(domainConfigurationName=name)
    walk("list_role_aliases")
    walk("list_role_aliases", size=2, ascendingOrder=False)
    walk("list_authorizers")
    walk("list_domain_configurations")


def settings():
    iot.set_v2_logging_options(roleArn=ROLE, defaultLogLevel="WARN")
    for name in NAMES:
        iot.set_v2_logging_level(logTarget={"targetType": "THING_GROUP", "targetName": name}, logLevel="INFO")
    walk("list_v2_logging_levels", targetType="THING_GROUP")


def rules():
    for name in NAMES:
        payload = {"sql": f"SELECT * FROM '{name}'", "actions": [{"lambda": {"functionArn": FUNCTION}}]}
        iot.create_topic_rule(ruleName=name.replace("-", "_"), topicRulePayload=payload)
        vpc = {"vpcId": name, "subnetIds": ["subnet-1"], "roleArn": ROLE}
        iot.create_topic_rule_destination(destinationConfiguration={"vpcConfiguration": vpc})
    walk("list_topic_rules")
    walk("list_topic_rule_destinations", size=2)


def tasks():
    # A bucket is a folder of the server's.
    bucket = pathlib.Path(os.environ["SLIPWAY_ROOT_CA"]).parent / "buckets" / "tour"
    bucket.mkdir(parents=True)
    (bucket / "one").write_text("no JSON\n")
    for _ in NAMES:  # one at a time
        task = iot.start_thing_registration_task(templateBody=TEMPLATE, inputFileBucket="tour", inputFileKey="one", roleArn=ROLE)
        while iot.describe_thing_registration_task(taskId=task["taskId"])["status"] == "InProgress":
            pass
    walk("list_thing_registration_tasks")
    reports = iot.get_paginator("list_thing_registration_task_reports").paginate(taskId=task["taskId"], reportType="ERRORS")
    links = reports.build_full_result()["resourceLinks"]
    if len(links) != 1:
        fail(f"list_thing_registration_task_reports gives {links}")
    walked.add("list_thing_registration_task_reports")


def every_paginator():
    """A paginator of an operation that is done must have been walked."""
    for operation in sorted(done):
        if iot.can_paginate(operation) and operation not in walked:
            fail(f"the paginator of {operation} was not walked")


def no_waiters():
    """The model has no waiter for the client to build."""
    if iot.waiter_names:
        fail(f"there are waiters now: {iot.waiter_names}")


def refused(exception, status, operation, **arguments):
    """The call must fail with the client's own class for the exception."""
    expected = getattr(iot.exceptions, exception)
    try:
        getattr(iot, operation)(**arguments)
    except expected as e:
        answer = e.response
    except botocore.exceptions.ClientError as e:
        fail(f"{operation} was refused with {e.response['Error']['Code']}, not {exception}")
    else:
        fail(f"{operation} was not refused with {exception}")
    meta = answer["ResponseMetadata"]
    if answer["Error"]["Code"] != exception or not answer["Error"]["Message"] or meta["HTTPStatusCode"] != status:
        fail(f"{operation} was refused with {answer}")
    if not meta["RequestId"]:
        fail(f"the refusal of {operation} has no request id")
    return answer


def exceptions(certificates):
    one, nobody = certificates[0].split("/")[1], "0" * 64
    exists = refused("ResourceAlreadyExistsException", 409, "create_thing", thingName=NAMES[0])
    if exists["resourceId"] != NAMES[0] or not exists["resourceArn"].endswith(f":thing/{NAMES[0]}"):
        fail(f"the refusal does not name what exists: {exists}")
    refused("ResourceNotFoundException", 404, "describe_certificate", certificateId=nobody)
    refused("InvalidRequestException", 400, "describe_thing", thingName="a b")
    refused("VersionConflictException", 409, "update_thing", thingName=NAMES[0], expectedVersion=99, attributePayload={"merge": True})
    refused("CertificateStateException", 406, "delete_certificate", certificateId=one)
    iot.update_certificate(certificateId=one, newStatus="INACTIVE")
    refused("DeleteConflictException", 409, "delete_certificate", certificateId=one)
    refused("DeleteConflictException", 409, "delete_policy", policyName=NAMES[0])
    refused("MalformedPolicyException", 400, "create_policy", policyName="tour-bad", policyDocument="{}")
    refused("CertificateValidationException", 400, "register_certificate_without_ca", certificatePem="nothing")
    refused("UnauthorizedException", 401, "get_topic_rule", ruleName="none")
    for _ in range(4):
        iot.create_policy_version(policyName=NAMES[1], policyDocument=POLICY)
    refused("VersionsLimitExceededException", 409, "create_policy_version", policyName=NAMES[1], policyDocument=POLICY)
    iot.create_provisioning_template_version(templateName=NAMES[0], templateBody=TEMPLATE)
    refused("VersionsLimitExceededException", 409, "create_provisioning_template_version", templateName=NAMES[0], templateBody=TEMPLATE)
    refused("DeleteConflictException", 409, "delete_provisioning_template_version", templateName=NAMES[0], versionId=1)
    for i in range(7):
        iot.create_policy(policyName=f"tour-more-{i}", policyDocument=POLICY)
        iot.attach_policy(policyName=f"tour-more-{i}", target=certificates[0])
    iot.create_policy(policyName="tour-eleventh", policyDocument=POLICY)
    refused("LimitExceededException", 410, "attach_policy", policyName="tour-eleventh", target=certificates[0])


done = {xform_name(name) for name in sys.argv[1:]}
things()
certificates = principals()
authorities()
policies(certificates)
templates()
access()
settings()
rules()
tasks()
every_paginator()
no_waiters()
exceptions(certificates)
