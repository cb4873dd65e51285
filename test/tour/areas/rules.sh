. "$(dirname "$0")/../lib.sh"

payload() { jq -nc --arg sql "$1" '{sql: $sql, description: "tour", ruleDisabled: false, awsIotSqlVersion: "2016-03-23",
  actions: [{republish: {roleArn: "arn:aws:iam::000000000000:role/rules", topic: "rules/out", qos: 1}}],
  errorAction: {sqs: {roleArn: "arn:aws:iam::000000000000:role/rules", queueUrl: "https://queue.example/q", useBase64: false}}}'; }

ok create-topic-rule --rule-name rules_a --topic-rule-payload "$(payload "SELECT * FROM 'rules/in/+'")" --tags 'made=yes&site=hall%201'
silent
refuse ResourceAlreadyExistsException "Rule with given name already exists" create-topic-rule --rule-name rules_a --topic-rule-payload "$(payload "SELECT 1 FROM 'a'")"
refuse InvalidRequestException "at 'ruleName' failed" create-topic-rule --rule-name rules-a --topic-rule-payload "$(payload "SELECT 1 FROM 'a'")"
refuse SqlParseException "" create-topic-rule --rule-name rules_c --topic-rule-payload "$(payload "SELEKT * FROM 'a'")"
ok create-topic-rule --rule-name rules_b --topic-rule-payload "$(payload "SELECT * FROM 'other'")"

ok get-topic-rule --rule-name rules_a
take arn ruleArn
case $arn in arn:aws:iot:us-east-1:*:rule/rules_a) ;; *) fail "the ARN is $arn" ;; esac
is 'rule.[ruleName,sql,description,ruleDisabled,awsIotSqlVersion]' "[\"rules_a\",\"SELECT * FROM 'rules/in/+'\",\"tour\",false,\"2016-03-23\"]"
is 'rule.actions' '[{"republish":{"qos":1,"roleArn":"arn:aws:iam::000000000000:role/rules","topic":"rules/out"}}]'
is 'rule.errorAction.sqs.useBase64' false
is 'type(rule.createdAt)' number
ok list-tags-for-resource --resource-arn "$arn"
is 'sort_by(tags,&Key)[].[Key,Value]' '[["made","yes"],["site","hall 1"]]'
refuse UnauthorizedException "Access to topic rule 'rules_none' was denied" get-topic-rule --rule-name rules_none

ok list-topic-rules
is "rules[?starts_with(ruleName,'rules_')].[ruleName,topicPattern,ruleDisabled]" '[["rules_a","rules/in/+",false],["rules_b","other",false]]'
ok list-topic-rules --topic rules/in/1
is 'rules[].ruleArn' "[\"$arn\"]"
refuse InvalidRequestException "token of the next page" list-topic-rules --next-token bm90aGluZw==

ok disable-topic-rule --rule-name rules_a
silent
ok list-topic-rules --rule-disabled
is 'rules[].ruleName' '["rules_a"]'
ok enable-topic-rule --rule-name rules_a
silent
refuse UnauthorizedException "rules_none" disable-topic-rule --rule-name rules_none
refuse UnauthorizedException "rules_none" enable-topic-rule --rule-name rules_none

ok replace-topic-rule --rule-name rules_a --topic-rule-payload "$(payload "SELECT state FROM 'rules/next'")"
silent
ok get-topic-rule --rule-name rules_a
is 'rule.[sql,ruleDisabled]' "[\"SELECT state FROM 'rules/next'\",false]"
refuse UnauthorizedException "rules_none" replace-topic-rule --rule-name rules_none --topic-rule-payload "$(payload "SELECT 1 FROM 'a'")"

for name in a b; do ok delete-topic-rule --rule-name "rules_$name"; done
silent
refuse InvalidRequestException "at 'ruleName' failed" delete-topic-rule --rule-name rules-a
refuse UnauthorizedException "rules_a" get-topic-rule --rule-name rules_a

# Destinations.
ok create-topic-rule-destination --destination-configuration \
  'vpcConfiguration={subnetIds=[subnet-1],vpcId=vpc-1,roleArn=arn:aws:iam::000000000000:role/rules}'
is 'topicRuleDestination.[status,vpcProperties.vpcId]' '["ENABLED","vpc-1"]'
take vpc topicRuleDestination.arn
[[ $vpc =~ ^arn:aws:iot:us-east-1:[0-9]{12}:ruledestination/vpc/ ]] || fail "the ARN is $vpc"
refuse InvalidRequestException "expected an https URL" create-topic-rule-destination --destination-configuration 'httpUrlConfiguration={confirmationUrl=nowhere}'
none=${vpc%/*}/00000000-0000-0000-0000-000000000000

ok get-topic-rule-destination --arn "$vpc"
is 'topicRuleDestination.[arn,vpcProperties]' "[\"$vpc\",{\"roleArn\":\"arn:aws:iam::000000000000:role/rules\",\"subnetIds\":[\"subnet-1\"],\"vpcId\":\"vpc-1\"}]"
refuse UnauthorizedException "Access to TopicRuleDestination '$none' was denied" get-topic-rule-destination --arn "$none"
ok list-topic-rule-destinations
is "destinationSummaries[?arn=='$vpc'].[status,vpcDestinationSummary.vpcId]" '[["ENABLED","vpc-1"]]'
refuse InvalidRequestException "token of the next page" list-topic-rule-destinations --next-token bm90aGluZw==

ok update-topic-rule-destination --arn "$vpc" --status DISABLED
silent
ok get-topic-rule-destination --arn "$vpc"
is 'topicRuleDestination.status' DISABLED
refuse UnauthorizedException "$none" update-topic-rule-destination --arn "$none" --status ENABLED

refuse InvalidRequestException "The confirmation token is not one" confirm-topic-rule-destination --confirmation-token bm90aGluZw

ok delete-topic-rule-destination --arn "$vpc"
silent
refuse InvalidRequestException "is not the ARN of a topic rule destination" delete-topic-rule-destination --arn "${arn/rule/policy}"
refuse UnauthorizedException "$vpc" get-topic-rule-destination --arn "$vpc"
