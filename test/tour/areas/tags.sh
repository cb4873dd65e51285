. "$(dirname "$0")/../lib.sh"

# tagged ARN tours the three operations of tags on a resource that was made
# with the tag made=yes.
tagged() {
  ok list-tags-for-resource --resource-arn "$1"
  is 'tags' '[{"Key":"made","Value":"yes"}]'
  ok tag-resource --resource-arn "$1" --tags Key=made,Value=again Key=site,Value=
  silent
  ok list-tags-for-resource --resource-arn "$1"
  is 'sort_by(tags,&Key)[].[Key,Value]' '[["made","again"],["site",""]]'
  ok untag-resource --resource-arn "$1" --tag-keys made other
  silent
  ok list-tags-for-resource --resource-arn "$1"
  is 'tags[].Key' '["site"]'
}

made=(--tags Key=made,Value=yes)
ok create-thing-type --thing-type-name tags-a "${made[@]}"
take arn thingTypeArn
tagged "$arn"
ok create-thing-group --thing-group-name tags-a "${made[@]}"
take arn thingGroupArn
tagged "$arn"
ok create-billing-group --billing-group-name tags-a "${made[@]}"
take arn billingGroupArn
tagged "$arn"
ok create-policy --policy-name tags-a --policy-document '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iot:Connect","Resource":"*"}}' "${made[@]}"
take arn policyArn
tagged "$arn"
ok create-provisioning-template --template-name tags-a --provisioning-role-arn arn:aws:iam::000000000000:role/p "${made[@]}" \
  --template-body '{"Resources":{"thing":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":"a"}}}}'
take arn templateArn
tagged "$arn"

ok create-role-alias --role-alias tags-a --role-arn arn:aws:iam::000000000000:role/p "${made[@]}"
take alias roleAliasArn
tagged "$alias"
ok create-authorizer --authorizer-name tags-a --authorizer-function-arn arn:aws:lambda:us-east-1:000000000000:function:a \
  --signing-disabled "${made[@]}"
take authorizer authorizerArn
tagged "$authorizer"
ok create-domain-configuration --domain-configuration-name tags-a "${made[@]}"
take domain domainConfigurationArn
tagged "$domain"
ok create-topic-rule --rule-name tags_a --tags made=yes \
  --topic-rule-payload "{\"sql\":\"SELECT * FROM 'a'\",\"actions\":[{\"lambda\":{\"functionArn\":\"arn:aws:lambda:us-east-1:000000000000:function:a\"}}]}"
tagged "${arn%:*}:rule/tags_a"

none=${arn/tags-a/tags-none}
refuse ResourceNotFoundException "$none" list-tags-for-resource --resource-arn "$none"
refuse ResourceNotFoundException "tags-none" tag-resource --resource-arn "$none" --tags Key=a,Value=b
refuse ResourceNotFoundException "tags-none" untag-resource --resource-arn "$none" --tag-keys a
refuse InvalidRequestException "Tag key \"a\" stands twice" tag-resource --resource-arn "$arn" --tags Key=a,Value=b Key=a,Value=c
refuse InvalidRequestException "aws:" tag-resource --resource-arn "$arn" --tags Key=aws:a,Value=b
ok create-thing --thing-name tags-a
take thing thingArn
refuse InvalidRequestException "carries no tags" tag-resource --resource-arn "$thing" --tags Key=a,Value=b
ok list-tags-for-resource --resource-arn "$arn"
is 'tags[].Key' '["site"]'

ok delete-thing --thing-name tags-a
ok delete-topic-rule --rule-name tags_a
ok update-domain-configuration --domain-configuration-name tags-a --domain-configuration-status DISABLED
ok delete-domain-configuration --domain-configuration-name tags-a
ok delete-authorizer --authorizer-name tags-a
ok delete-role-alias --role-alias tags-a
ok delete-provisioning-template --template-name tags-a
ok delete-policy --policy-name tags-a
ok delete-billing-group --billing-group-name tags-a
ok delete-thing-group --thing-group-name tags-a
ok deprecate-thing-type --thing-type-name tags-a
ok delete-thing-type --thing-type-name tags-a
