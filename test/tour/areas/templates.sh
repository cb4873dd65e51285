. "$(dirname "$0")/../lib.sh"

body() { printf '{"Parameters":{"Serial":{"Type":"String"}},"Resources":{"thing":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":{"Fn::Join":["-",["%s",{"Ref":"Serial"}]]}}},"certificate":{"Type":"AWS::IoT::Certificate","Properties":{"CertificateId":{"Ref":"AWS::IoT::Certificate::Id"},"Status":"Active"}}}}' "$1"; }
role=arn:aws:iam::000000000000:role/provisioning
hook=arn:aws:lambda:us-east-1:000000000000:function:check

ok create-provisioning-template --template-name templates-a --description First --template-body "$(body 1)" --enabled \
  --provisioning-role-arn "$role" --pre-provisioning-hook "payloadVersion=2020-04-01,targetArn=$hook"
is '[templateName,defaultVersionId]' '["templates-a",1]'
take arn templateArn
case $arn in arn:aws:iot:us-east-1:*:provisioningtemplate/templates-a) ;; *) fail "the ARN is $arn" ;; esac
refuse ResourceAlreadyExistsException "templates-a already exists" \
  create-provisioning-template --template-name templates-a --template-body "$(body 1)" --provisioning-role-arn "$role"
refuse InvalidRequestException "" create-provisioning-template --template-name templates-b --template-body '{}' --provisioning-role-arn "$role"
ok create-provisioning-template --template-name templates-b --template-body "$(body b)" --provisioning-role-arn "$role" --type JITP

ok describe-provisioning-template --template-name templates-a
is '[templateArn,description,defaultVersionId,enabled,type,provisioningRoleArn]' "[\"$arn\",\"First\",1,true,\"FLEET_PROVISIONING\",\"$role\"]"
is 'preProvisioningHook' "{\"payloadVersion\":\"2020-04-01\",\"targetArn\":\"$hook\"}"
is 'templateBody' "$(body 1)"
is '[type(creationDate),type(lastModifiedDate)]' '["number","number"]'
refuse ResourceNotFoundException "templates-none does not exist" describe-provisioning-template --template-name templates-none

ok list-provisioning-templates
is "templates[?starts_with(templateName,'templates-')].[templateName,enabled,type]" '[["templates-a",true,"FLEET_PROVISIONING"],["templates-b",false,"JITP"]]'
refuse InvalidRequestException "token of the next page" list-provisioning-templates --next-token bm90aGluZw==

ok create-provisioning-template-version --template-name templates-a --template-body "$(body 2)"
is '[templateArn,templateName,versionId,isDefaultVersion]' "[\"$arn\",\"templates-a\",2,false]"
ok create-provisioning-template-version --template-name templates-a --template-body "$(body 3)" --set-as-default
is '[versionId,isDefaultVersion]' '[3,true]'
ok create-provisioning-template-version --template-name templates-a --template-body "$(body 4)"
ok create-provisioning-template-version --template-name templates-a --template-body "$(body 5)"
refuse VersionsLimitExceededException "already has the maximum number of versions (5)" \
  create-provisioning-template-version --template-name templates-a --template-body "$(body 6)"
refuse ResourceNotFoundException "templates-none" create-provisioning-template-version --template-name templates-none --template-body "$(body 1)"

ok describe-provisioning-template-version --template-name templates-a --version-id 3
is '[versionId,isDefaultVersion,templateBody]' "$(jq -nc '[3,true,$ARGS.positional[]]' --args "$(body 3)")"
refuse ResourceNotFoundException "has no version 9" describe-provisioning-template-version --template-name templates-a --version-id 9
ok list-provisioning-template-versions --template-name templates-a --page-size 2
is 'versions[].[versionId,isDefaultVersion]' '[[1,false],[2,false],[3,true],[4,false],[5,false]]'
refuse ResourceNotFoundException "templates-none" list-provisioning-template-versions --template-name templates-none

refuse DeleteConflictException "it is the default version" delete-provisioning-template-version --template-name templates-a --version-id 3
ok delete-provisioning-template-version --template-name templates-a --version-id 5
silent
refuse ResourceNotFoundException "has no version 5" delete-provisioning-template-version --template-name templates-a --version-id 5

ok update-provisioning-template --template-name templates-a --description Second --no-enabled --default-version-id 2 --remove-pre-provisioning-hook
silent
ok describe-provisioning-template --template-name templates-a
is '[description,enabled,defaultVersionId,preProvisioningHook]' '["Second",false,2,null]'
is 'templateBody' "$(body 2)"
refuse ResourceNotFoundException "templates-none" update-provisioning-template --template-name templates-none --description x
refuse InvalidRequestException "exclude each other" update-provisioning-template --template-name templates-a \
  --remove-pre-provisioning-hook --pre-provisioning-hook "payloadVersion=2020-04-01,targetArn=$hook"

refuse InvalidRequestException "templates-a is disabled" create-provisioning-claim --template-name templates-a
ok update-provisioning-template --template-name templates-a --enabled
ok create-provisioning-claim --template-name templates-a
is 'sort(keys(@))' '["certificateId","certificatePem","expiration","keyPair"]'
is '[type(expiration),sort(keys(keyPair))]' '["number",["PrivateKey","PublicKey"]]'
take claim certificateId
ok list-certificates
is "certificates[?certificateId=='$claim']" '[]'
refuse ResourceNotFoundException "templates-none" create-provisioning-claim --template-name templates-none

for name in a b; do ok delete-provisioning-template --template-name "templates-$name"; done
silent
refuse ResourceNotFoundException "templates-a" delete-provisioning-template --template-name templates-a

# RegisterThing: a template of one's own, for one thing.
openssl ecparam -name prime256v1 -genkey -noout -out device.key
openssl req -new -key device.key -subj /CN=templates -out device.csr
cat >body.json <<'JSON'
{"Parameters": {"Name": {"Type": "String"}, "CSR": {"Type": "String"}},
 "Resources": {
  "thing": {"Type": "AWS::IoT::Thing", "Properties": {"ThingName": {"Ref": "Name"}, "AttributePayload": {"site": "plant"}}},
  "certificate": {"Type": "AWS::IoT::Certificate", "Properties": {"CertificateSigningRequest": {"Ref": "CSR"}, "Status": "ACTIVE"}}}}
JSON
jq -n --rawfile csr device.csr '{Name: "templates-thing", CSR: $csr}' >parameters.json
ok register-thing --template-body file://body.json --parameters file://parameters.json
is 'sort(keys(resourceArns))' '["certificate","thing"]'
take thing resourceArns.thing
take cert resourceArns.certificate
take pem certificatePem
[ "$(openssl x509 -noout -pubkey <<<"$pem")" = "$(openssl pkey -in device.key -pubout)" ] || fail "the certificate has another key"
ok list-principal-things --principal "$cert"
is 'things' '["templates-thing"]'
ok describe-thing --thing-name templates-thing
is '[thingArn,attributes]' "[\"$thing\",{\"site\":\"plant\"}]"
refuse InvalidRequestException "" register-thing --template-body file://body.json --parameters Name=templates-other
refuse ResourceNotFoundException "templates-other" describe-thing --thing-name templates-other
ok detach-thing-principal --thing-name templates-thing --principal "$cert"
ok delete-thing --thing-name templates-thing
ok update-certificate --certificate-id "${cert##*/}" --new-status INACTIVE
ok delete-certificate --certificate-id "${cert##*/}"
