. "$(dirname "$0")/../lib.sh"

document() { printf '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:*:*:client/%s"}]}' "$1"; }
ok create-keys-and-certificate --set-as-active
take cert certificateArn
ok create-thing-group --thing-group-name policies-plant
take plant thingGroupArn
ok create-thing-group --thing-group-name policies-hall --parent-group-name policies-plant
take hall thingGroupArn

ok create-policy --policy-name policies-a --policy-document "$(document 1)"
is 'sort(keys(@))' '["policyArn","policyDocument","policyName","policyVersionId"]'
is '[policyName,policyVersionId]' '["policies-a","1"]'
is 'policyDocument' "$(document 1)"
take arn policyArn
refuse ResourceAlreadyExistsException "Policy cannot be created - name already exists (name=policies-a)" \
  create-policy --policy-name policies-a --policy-document "$(document 2)"
refuse MalformedPolicyException "" create-policy --policy-name policies-b --policy-document '{"Statement":[{"Effect":"Maybe"}]}'
ok create-policy --policy-name policies-b --policy-document "$(document b)"
ok create-policy --policy-name policies-c --policy-document "$(document c)"

ok get-policy --policy-name policies-a
is '[policyArn,policyDocument,defaultVersionId]' "$(jq -nc '$ARGS.positional' --args "$arn" "$(document 1)" 1)"
is '[type(creationDate),type(lastModifiedDate),type(generationId)]' '["number","number","string"]'
refuse ResourceNotFoundException "Policy policies-none does not exist" get-policy --policy-name policies-none

ok list-policies
is "policies[?starts_with(policyName,'policies-')].policyName" '["policies-a","policies-b","policies-c"]'
is "policies[?policyName=='policies-a'] | [0].policyArn" "$arn"
refuse InvalidRequestException "token of the next page" list-policies --marker bm90aGluZw==

for n in 2 3 4 5; do ok create-policy-version --policy-name policies-a --policy-document "$(document "$n")"; done
is '[policyArn,policyDocument,policyVersionId,isDefaultVersion]' "$(jq -nc '[$ARGS.positional[], false]' --args "$arn" "$(document 5)" 5)"
refuse VersionsLimitExceededException "The policy policies-a already has the maximum number of versions (5)" \
  create-policy-version --policy-name policies-a --policy-document "$(document 6)"
refuse ResourceNotFoundException "policies-none" create-policy-version --policy-name policies-none --policy-document "$(document 6)"
refuse MalformedPolicyException "" create-policy-version --policy-name policies-a --policy-document no

ok get-policy-version --policy-name policies-a --policy-version-id 3
is '[policyName,policyVersionId,isDefaultVersion]' '["policies-a","3",false]'
is 'policyDocument' "$(document 3)"
refuse ResourceNotFoundException "Policy policies-a has no version 9" get-policy-version --policy-name policies-a --policy-version-id 9

ok set-default-policy-version --policy-name policies-a --policy-version-id 3
silent
refuse ResourceNotFoundException "has no version 9" set-default-policy-version --policy-name policies-a --policy-version-id 9
ok list-policy-versions --policy-name policies-a
is 'policyVersions[].[versionId,isDefaultVersion]' '[["1",false],["2",false],["3",true],["4",false],["5",false]]'
is 'type(policyVersions[0].createDate)' number
refuse ResourceNotFoundException "policies-none" list-policy-versions --policy-name policies-none
ok get-policy --policy-name policies-a
is '[defaultVersionId,policyDocument]' "$(jq -nc '$ARGS.positional' --args 3 "$(document 3)")"

refuse InvalidRequestException "Cannot delete the default version of a policy" delete-policy-version --policy-name policies-a --policy-version-id 3
for n in 1 2 4; do ok delete-policy-version --policy-name policies-a --policy-version-id "$n"; done
silent
refuse ResourceNotFoundException "has no version 1" delete-policy-version --policy-name policies-a --policy-version-id 1

ok attach-policy --policy-name policies-a --target "$cert"
silent
ok attach-policy --policy-name policies-b --target "$plant"
ok attach-policy --policy-name policies-c --target "$hall"
ok attach-policy --policy-name policies-a --target "$hall"
refuse ResourceNotFoundException "policies-none" attach-policy --policy-name policies-none --target "$cert"
refuse ResourceNotFoundException "does not exist" attach-policy --policy-name policies-a --target "${plant/plant/none}"
refuse InvalidRequestException "a policy is attached to a certificate or a thing group" attach-policy --policy-name policies-a --target "$arn"

ok list-attached-policies --target "$hall"
is 'policies[].policyName' '["policies-a","policies-c"]'
is 'policies[0].policyArn' "$arn"
ok list-attached-policies --target "$hall" --recursive
is 'policies[].policyName' '["policies-a","policies-b","policies-c"]'
refuse ResourceNotFoundException "does not exist" list-attached-policies --target "${plant/plant/none}"
ok list-targets-for-policy --policy-name policies-a
is 'sort(targets)' "[\"$cert\",\"$hall\"]"
refuse ResourceNotFoundException "policies-none" list-targets-for-policy --policy-name policies-none

# The deprecated twins.
ok attach-principal-policy --policy-name policies-b --principal "$cert"
silent
refuse ResourceNotFoundException "policies-none" attach-principal-policy --policy-name policies-none --principal "$cert"
ok list-principal-policies --principal "$cert"
is 'policies[].policyName' '["policies-a","policies-b"]'
refuse ResourceNotFoundException "does not exist" list-principal-policies --principal "${cert%/*}/$(printf '0%.0s' {1..64})"
ok list-policy-principals --policy-name policies-b
is 'principals' "[\"$cert\"]"
refuse ResourceNotFoundException "policies-none" list-policy-principals --policy-name policies-none
ok detach-principal-policy --policy-name policies-b --principal "$cert"
silent
refuse InvalidRequestException "at 'policyName'" detach-principal-policy --policy-name 'policies b' --principal "$cert"

ok update-certificate --certificate-id "${cert##*/}" --new-status INACTIVE
refuse DeleteConflictException "Certificate policies must be detached before deletion (arn: $cert)" delete-certificate --certificate-id "${cert##*/}"
refuse DeleteConflictException "The policy cannot be deleted as the policy is attached to one or more principals (name=policies-a)" \
  delete-policy --policy-name policies-a
ok detach-policy --policy-name policies-a --target "$cert"
silent
ok detach-policy --policy-name policies-a --target "$cert"
refuse InvalidRequestException "at 'policyName'" detach-policy --policy-name 'policies a' --target "$cert"
ok detach-policy --policy-name policies-a --target "$hall"
ok detach-policy --policy-name policies-b --target "$plant"
ok detach-policy --policy-name policies-c --target "$hall"
refuse DeleteConflictException "Cannot delete the policy because it has one or more policy versions attached to it (name=policies-a)" \
  delete-policy --policy-name policies-a
ok delete-policy-version --policy-name policies-a --policy-version-id 5
for name in a b c; do ok delete-policy --policy-name "policies-$name"; done
silent
refuse ResourceNotFoundException "policies-a" delete-policy --policy-name policies-a
ok delete-thing-group --thing-group-name policies-hall
ok delete-thing-group --thing-group-name policies-plant
ok delete-certificate --certificate-id "${cert##*/}"
