. "$(dirname "$0")/../lib.sh"

ok create-thing-group --thing-group-name groups-plant --tags Key=site,Value=north \
  --thing-group-properties 'thingGroupDescription=A plant,attributePayload={attributes={city=Bern}}'
is 'thingGroupName' groups-plant
take plant thingGroupArn
take id thingGroupId
case $plant in arn:aws:iot:us-east-1:*:thinggroup/groups-plant) ;; *) fail "the ARN is $plant" ;; esac
ok create-thing-group --thing-group-name groups-hall --parent-group-name groups-plant
take hall thingGroupArn
ok create-thing-group --thing-group-name groups-line --parent-group-name groups-hall
take line thingGroupArn
refuse ResourceAlreadyExistsException "groups-plant already exists in current account with different properties" \
  create-thing-group --thing-group-name groups-plant
# AWS's model has no ResourceNotFoundException here.
refuse InvalidRequestException "groups-none" create-thing-group --thing-group-name groups-lost --parent-group-name groups-none

ok describe-thing-group --thing-group-name groups-plant
is '[thingGroupArn,thingGroupId,version]' "[\"$plant\",\"$id\",1]"
is 'thingGroupProperties' '{"attributePayload":{"attributes":{"city":"Bern"}},"thingGroupDescription":"A plant"}'
is 'keys(thingGroupMetadata)' '["creationDate"]'
ok describe-thing-group --thing-group-name groups-line
is 'thingGroupMetadata.[parentGroupName,rootToParentThingGroups[].groupName]' '["groups-hall",["groups-plant","groups-hall"]]'
refuse ResourceNotFoundException "groups-none does not exist" describe-thing-group --thing-group-name groups-none

ok update-thing-group --thing-group-name groups-plant --expected-version 1 \
  --thing-group-properties 'thingGroupDescription=The plant,attributePayload={attributes={floor=2},merge=true}'
is '@' '{"version":2}'
ok describe-thing-group --thing-group-name groups-plant
is 'thingGroupProperties' '{"attributePayload":{"attributes":{"city":"Bern","floor":"2"}},"thingGroupDescription":"The plant"}'
refuse VersionConflictException "does not match the expected version" \
  update-thing-group --thing-group-name groups-plant --thing-group-properties thingGroupDescription=x --expected-version 1
refuse ResourceNotFoundException "groups-none" \
  update-thing-group --thing-group-name groups-none --thing-group-properties thingGroupDescription=x

ok list-thing-groups --name-prefix-filter groups-
is 'thingGroups[].groupName' '["groups-hall","groups-line","groups-plant"]'
is 'thingGroups[2].groupArn' "$plant"
ok list-thing-groups --parent-group groups-plant --recursive
is 'thingGroups[].groupName | sort(@)' '["groups-hall","groups-line"]'
ok list-thing-groups --parent-group groups-plant
is 'thingGroups[].groupName' '["groups-hall"]'
refuse ResourceNotFoundException "groups-none" list-thing-groups --parent-group groups-none

for name in a b c; do ok create-thing --thing-name "groups-$name"; done
ok add-thing-to-thing-group --thing-group-name groups-hall --thing-name groups-a
silent
ok add-thing-to-thing-group --thing-group-arn "$line" --thing-name groups-b
ok add-thing-to-thing-group --thing-group-name groups-line --thing-name groups-b
refuse ResourceNotFoundException "groups-none" add-thing-to-thing-group --thing-group-name groups-hall --thing-name groups-none
refuse ResourceNotFoundException "groups-none" add-thing-to-thing-group --thing-group-name groups-none --thing-name groups-a
refuse InvalidRequestException "thingGroupName or thingGroupArn" add-thing-to-thing-group --thing-name groups-a
refuse InvalidRequestException "belongs to the same hierarchy" add-thing-to-thing-group --thing-group-name groups-line --thing-name groups-a

ok list-things-in-thing-group --thing-group-name groups-hall
is 'things' '["groups-a"]'
ok list-things-in-thing-group --thing-group-name groups-plant --recursive
is 'things | sort(@)' '["groups-a","groups-b"]'
refuse ResourceNotFoundException "groups-none" list-things-in-thing-group --thing-group-name groups-none

ok create-thing-group --thing-group-name groups-other
ok create-thing-group --thing-group-name groups-third
ok update-thing-groups-for-thing --thing-name groups-a --thing-groups-to-add groups-other groups-third --thing-groups-to-remove groups-hall
silent
ok list-thing-groups-for-thing --thing-name groups-a
is 'thingGroups[].groupName' '["groups-other","groups-third"]'
ok list-thing-groups-for-thing --thing-name groups-a --page-size 1 --max-items 1
is 'thingGroups[].groupName' '["groups-other"]'
refuse ResourceNotFoundException "groups-none" list-thing-groups-for-thing --thing-name groups-none
refuse ResourceNotFoundException "groups-none" update-thing-groups-for-thing --thing-name groups-a --thing-groups-to-add groups-none
ok list-thing-groups-for-thing --thing-name groups-a
is 'thingGroups[].groupName' '["groups-other","groups-third"]'

ok remove-thing-from-thing-group --thing-group-name groups-other --thing-name groups-a
silent
ok list-thing-groups-for-thing --thing-name groups-a
is 'thingGroups[].groupName' '["groups-third"]'
refuse ResourceNotFoundException "groups-none" remove-thing-from-thing-group --thing-group-name groups-none --thing-name groups-a

refuse InvalidRequestException " Cannot delete thing group : groups-plant when there are still child groups attached to it" \
  delete-thing-group --thing-group-name groups-plant
refuse VersionConflictException "groups-line" delete-thing-group --thing-group-name groups-line --expected-version 7
for name in line hall plant other third; do ok delete-thing-group --thing-group-name "groups-$name"; done
silent
refuse ResourceNotFoundException "groups-line" describe-thing-group --thing-group-name groups-line
ok list-thing-groups-for-thing --thing-name groups-b
is 'thingGroups' '[]'
for name in a b c; do ok delete-thing --thing-name "groups-$name"; done
