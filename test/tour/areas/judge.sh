. "$(dirname "$0")/../lib.sh"

ok create-keys-and-certificate --set-as-active
take cert certificateArn
ok create-thing-group --thing-group-name judge-hall
take hall thingGroupArn
home=${hall%:*}
own='{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect","Resource":"'$home':client/${iot:Connection.Thing.ThingName}"},{"Effect":"Allow","Action":"iot:Publish","Resource":"'$home':topic/judge/*"}]}'
site='{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"iot:Publish","Resource":"'$home':topic/judge/secret"}]}'
ok create-policy --policy-name judge-own --policy-document "$own"
ok create-policy --policy-name judge-site --policy-document "$site"
ok create-thing --thing-name judge-a
ok attach-thing-principal --thing-name judge-a --principal "$cert"
ok add-thing-to-thing-group --thing-name judge-a --thing-group-name judge-hall
ok attach-policy --policy-name judge-own --target "$cert"
ok attach-policy --policy-name judge-site --target "$hall"

ok get-effective-policies --principal "$cert" --thing-name judge-a
is 'effectivePolicies[].policyName' '["judge-own","judge-site"]'
is 'effectivePolicies[0].policyArn' "$home:policy/judge-own"
is 'effectivePolicies[1].policyDocument' "$site"
ok get-effective-policies --thing-name judge-a
is 'effectivePolicies[].policyName' '["judge-site"]'
refuse ResourceNotFoundException "judge-none" get-effective-policies --principal "$cert" --thing-name judge-none
refuse InvalidRequestException "principal or thingName" get-effective-policies

ok test-authorization --principal "$cert" --client-id judge-a --auth-infos \
  "actionType=CONNECT,resources=$home:client/judge-a" "actionType=PUBLISH,resources=$home:topic/judge/1" \
  "actionType=PUBLISH,resources=$home:topic/judge/secret" "actionType=SUBSCRIBE,resources=$home:topicfilter/judge/1"
is 'authResults[].authDecision' '["ALLOWED","ALLOWED","EXPLICIT_DENY","IMPLICIT_DENY"]'
is 'authResults[0].allowed.policies[].policyName' '["judge-own"]'
is 'authResults[2].denied.explicitDeny.policies' "[{\"policyArn\":\"$home:policy/judge-site\",\"policyName\":\"judge-site\"}]"
is 'authResults[0].authInfo' "{\"actionType\":\"CONNECT\",\"resources\":[\"$home:client/judge-a\"]}"
ok test-authorization --principal "$cert" --client-id judge-b --auth-infos "actionType=CONNECT,resources=$home:client/judge-b"
is 'authResults[0].[authDecision,missingContextValues]' '["IMPLICIT_DENY",["iot:Connection.Thing.ThingName"]]'
ok test-authorization --principal "$cert" --client-id judge-a --policy-names-to-skip judge-site --auth-infos \
  "actionType=PUBLISH,resources=$home:topic/judge/secret"
is 'authResults[0].authDecision' ALLOWED
refuse ResourceNotFoundException "judge-none" test-authorization --principal "$cert" --policy-names-to-add judge-none --auth-infos \
  "actionType=PUBLISH,resources=$home:topic/judge/1"
refuse InvalidRequestException "is no ARN" test-authorization --principal "$cert" --auth-infos "actionType=PUBLISH,resources=judge/1"

ok detach-policy --policy-name judge-own --target "$cert"
ok detach-policy --policy-name judge-site --target "$hall"
ok delete-policy --policy-name judge-own
ok delete-policy --policy-name judge-site
ok detach-thing-principal --thing-name judge-a --principal "$cert"
ok delete-thing --thing-name judge-a
ok delete-thing-group --thing-group-name judge-hall
ok update-certificate --certificate-id "${cert##*/}" --new-status INACTIVE
ok delete-certificate --certificate-id "${cert##*/}"
