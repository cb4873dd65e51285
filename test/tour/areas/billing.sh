. "$(dirname "$0")/../lib.sh"

ok create-billing-group --billing-group-name billing-a --billing-group-properties billingGroupDescription=First --tags Key=cost,Value=7
is 'billingGroupName' billing-a
take arn billingGroupArn
take id billingGroupId
case $arn in arn:aws:iot:us-east-1:*:billinggroup/billing-a) ;; *) fail "the ARN is $arn" ;; esac
ok create-billing-group --billing-group-name billing-b
refuse ResourceAlreadyExistsException "billing-a already exists in current account with different properties" \
  create-billing-group --billing-group-name billing-a
refuse InvalidRequestException "at 'billingGroupName'" create-billing-group --billing-group-name 'billing a'

ok describe-billing-group --billing-group-name billing-a
is '[billingGroupArn,billingGroupId,version,billingGroupProperties]' "[\"$arn\",\"$id\",1,{\"billingGroupDescription\":\"First\"}]"
is 'type(billingGroupMetadata.creationDate)' number
refuse ResourceNotFoundException "billing-none" describe-billing-group --billing-group-name billing-none

ok update-billing-group --billing-group-name billing-a --billing-group-properties billingGroupDescription=Second --expected-version 1
is '@' '{"version":2}'
refuse VersionConflictException "does not match the expected version" \
  update-billing-group --billing-group-name billing-a --billing-group-properties billingGroupDescription=Third --expected-version 1
refuse ResourceNotFoundException "billing-none" \
  update-billing-group --billing-group-name billing-none --billing-group-properties billingGroupDescription=x
ok describe-billing-group --billing-group-name billing-a
is 'billingGroupProperties.billingGroupDescription' Second

ok list-billing-groups --name-prefix-filter billing-
is 'billingGroups[].groupName' '["billing-a","billing-b"]'
is 'billingGroups[0].groupArn' "$arn"
refuse InvalidRequestException "at 'maxResults'" list-billing-groups --max-results 251

for name in 1 2; do ok create-thing --thing-name "billing-$name"; done
ok add-thing-to-billing-group --billing-group-name billing-a --thing-name billing-1
silent
ok add-thing-to-billing-group --billing-group-arn "$arn" --thing-name billing-2
refuse InvalidRequestException "in billing group billing-a already" \
  add-thing-to-billing-group --billing-group-name billing-b --thing-name billing-1
refuse ResourceNotFoundException "billing-none" add-thing-to-billing-group --billing-group-name billing-none --thing-name billing-1
ok describe-thing --thing-name billing-1
is 'billingGroupName' billing-a
ok list-things-in-billing-group --billing-group-name billing-a
is 'things' '["billing-1","billing-2"]'
refuse ResourceNotFoundException "billing-none" list-things-in-billing-group --billing-group-name billing-none

ok remove-thing-from-billing-group --billing-group-name billing-a --thing-name billing-1
silent
refuse ResourceNotFoundException "billing-none" remove-thing-from-billing-group --billing-group-name billing-none --thing-name billing-1
ok list-things-in-billing-group --billing-group-name billing-a
is 'things' '["billing-2"]'

refuse VersionConflictException "billing-a" delete-billing-group --billing-group-name billing-a --expected-version 1
for name in a b; do ok delete-billing-group --billing-group-name "billing-$name"; done
silent
refuse ResourceNotFoundException "billing-a" describe-billing-group --billing-group-name billing-a
ok describe-thing --thing-name billing-2
is 'billingGroupName' null
for name in 1 2; do ok delete-thing --thing-name "billing-$name"; done
