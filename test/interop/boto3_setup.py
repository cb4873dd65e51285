"""Sets a fleet up with boto3, unmodified: thing type, policies, template and
claim. The other Python scripts import it; run alone, it also checks what the
registry answers to an SDK: errors as exceptions, pages, numbers and dates.

It needs the exports of `slipway env` and nothing else.
"""

import datetime
import json
import pathlib
import subprocess
import tempfile

import boto3

HERE = pathlib.Path(__file__).parent
iot = boto3.client("iot")


def same(what, expected, actual):
    if expected != actual:
        raise SystemExit(f"FAILED: {what}: expected {expected!r}, got {actual!r}")


def refused(what, exception, call, **arguments):
    """The call must fail with an exception of the service, by its own name."""
    try:
        call(**arguments)
    except getattr(iot.exceptions, exception) as e:
        return e.response
    raise SystemExit(f"FAILED: {what}: expected {exception}")


def document(file, name):
    return (HERE / file).read_text().replace("@NAME@", name)


def new_key(folder, name):
    """A P-256 key in a file, and a signing request for it, by openssl."""
    key, csr = folder / f"{name}.key", folder / f"{name}.csr"
    subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key], check=True)
    subprocess.run(["openssl", "req", "-new", "-key", key, "-subj", f"/CN={name}", "-out", csr], check=True)
    return key, csr.read_text()


class Fleet:
    """A fleet called name; its claim lies in folder."""

    def __init__(self, name):
        self.name = name
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"slipway-{name}-"))
        iot.create_thing_type(thingTypeName=name)
        iot.create_policy(policyName=f"{name}-device", policyDocument=document("device-policy.json", name))
        iot.create_policy(policyName=f"{name}-claim", policyDocument=document("claim-policy.json", name))
        self.template = iot.create_provisioning_template(
            templateName=name, enabled=True, templateBody=document("template.json", name),
            provisioningRoleArn="arn:aws:iam::000000000000:role/provisioning",
        )
        claim = iot.create_keys_and_certificate(setAsActive=True)
        iot.attach_policy(policyName=f"{name}-claim", target=claim["certificateArn"])
        self.claim = self.keep("claim", claim["certificatePem"], claim["keyPair"]["PrivateKey"])
        self.host = iot.describe_endpoint(endpointType="iot:Data-ATS")["endpointAddress"]

    def keep(self, name, certificate, key):
        """Writes certificate and key to files, whose paths it gives."""
        paths = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        for path, text in zip(paths, (certificate, key)):
            path.write_text(text)
        return tuple(map(str, paths))

    def check(self, thing, certificate_id):
        """The registry holds the thing, with exactly this certificate."""
        described = iot.describe_thing(thingName=thing)
        same(f"type of {thing}", self.name, described["thingTypeName"])
        principals = iot.list_thing_principals(thingName=thing)["principals"]
        same(f"principals of {thing}", [certificate_id], [p.rsplit("/", 1)[1] for p in principals])
        certificate = iot.describe_certificate(certificateId=certificate_id)["certificateDescription"]
        same(f"status of {thing}'s certificate", "ACTIVE", certificate["status"])
        attached = iot.list_attached_policies(target=certificate["certificateArn"])["policies"]
        same(f"policies of {thing}", [f"{self.name}-device"], [p["policyName"] for p in attached])


def main():
    fleet = Fleet("boto")
    described = iot.describe_provisioning_template(templateName="boto")
    same("the template's body", json.loads(document("template.json", "boto")), json.loads(described["templateBody"]))
    same("its version", (1, True), (described["defaultVersionId"], described["enabled"]))
    same("a date is a date", datetime.datetime, type(described["creationDate"]))
    same("endpoints are stable", fleet.host, iot.describe_endpoint(endpointType="iot:Data-ATS")["endpointAddress"])

    for i in range(5):
        iot.create_thing(thingName=f"boto-{i}", attributePayload={"attributes": {"n": str(i), "fleet": "boto"}})
    pages = list(iot.get_paginator("list_things").paginate(
        attributeName="fleet", attributeValue="boto", PaginationConfig={"PageSize": 2}))
    same("things on pages of two", [f"boto-{i}" for i in range(5)],
         sorted(t["thingName"] for p in pages for t in p["things"]))
    if len(pages) < 3:
        raise SystemExit("FAILED: five things came on fewer than three pages of two")
    same("creating the same thing again", iot.describe_thing(thingName="boto-1")["thingArn"],
         iot.create_thing(thingName="boto-1", attributePayload={"attributes": {"n": "1", "fleet": "boto"}})["thingArn"])
    refused("another thing of that name", "ResourceAlreadyExistsException",
            iot.create_thing, thingName="boto-1", attributePayload={"attributes": {"n": "2"}})
    refused("a thing that is not there", "ResourceNotFoundException", iot.describe_thing, thingName="nobody")
    iot.delete_thing(thingName="nobody")

    _, csr = new_key(fleet.folder, "direct")
    made = iot.create_certificate_from_csr(certificateSigningRequest=csr, setAsActive=True)
    iot.attach_thing_principal(thingName="boto-1", principal=made["certificateArn"])
    same("things of the principal", ["boto-1"], iot.list_principal_things(principal=made["certificateArn"])["things"])
    refused("deleting an active certificate", "CertificateStateException",
            iot.delete_certificate, certificateId=made["certificateId"])
    refused("a signing request that is none", "InvalidRequestException",
            iot.create_certificate_from_csr, certificateSigningRequest="none")
    refused("a policy that is none", "MalformedPolicyException",
            iot.create_policy, policyName="none", policyDocument='{"Version": "2012-10-17"}')
    refused("a policy that is attached", "DeleteConflictException", iot.delete_policy, policyName="boto-claim")

    iot.tag_resource(resourceArn=fleet.template["templateArn"], tags=[{"Key": "site", "Value": "lab"}])
    same("tags", [{"Key": "site", "Value": "lab"}],
         iot.list_tags_for_resource(resourceArn=fleet.template["templateArn"])["tags"])
    same("who we are", "000000000000", boto3.client("sts").get_caller_identity()["Account"])
    print("done: boto3", boto3.__version__)


if __name__ == "__main__":
    main()
