. "$(dirname "$0")/../lib.sh"

role=arn:aws:iam::000000000000:role/settings

# Events: eleven switches.
ok describe-event-configurations
is 'length(keys(eventConfigurations))' 11
is 'values(eventConfigurations)[].Enabled | contains(@, `true`)' false
ok update-event-configurations --event-configurations '{"THING":{"Enabled":true},"CA_CERTIFICATE":{"Enabled":false}}'
silent
ok describe-event-configurations
is 'eventConfigurations.[THING.Enabled,THING_TYPE.Enabled]' '[true,false]'
is '[type(creationDate),type(lastModifiedDate)]' '["number","number"]'
refuse InvalidRequestException "at 'eventConfigurations' failed to satisfy constraint: Map keys" \
  update-event-configurations --event-configurations '{"TEAPOT":{"Enabled":true}}'
stranger describe-event-configurations
ok update-event-configurations --event-configurations '{"THING":{"Enabled":false}}'

# Indexing.
ok get-indexing-configuration
is '[thingIndexingConfiguration.thingIndexingMode,thingGroupIndexingConfiguration.thingGroupIndexingMode]' '["OFF","OFF"]'
ok update-indexing-configuration --thing-indexing-configuration \
  'thingIndexingMode=REGISTRY,customFields=[{name=attributes.version,type=Number}]'
silent
ok get-indexing-configuration
is 'thingIndexingConfiguration.[thingIndexingMode,customFields]' '["REGISTRY",[{"name":"attributes.version","type":"Number"}]]'
is 'thingGroupIndexingConfiguration.thingGroupIndexingMode' OFF
refuse InvalidRequestException "at 'thingIndexingConfiguration.thingIndexingMode' failed" \
  update-indexing-configuration --thing-indexing-configuration thingIndexingMode=SOME
stranger get-indexing-configuration
ok update-indexing-configuration --thing-indexing-configuration thingIndexingMode=OFF

# Logging, the old way.
ok get-logging-options
is '@' '{"logLevel":"DISABLED"}'
ok set-logging-options --logging-options-payload "roleArn=$role,logLevel=WARN"
silent
ok get-logging-options
is '@' "{\"logLevel\":\"WARN\",\"roleArn\":\"$role\"}"
refuse InvalidRequestException "at 'loggingOptionsPayload.logLevel' failed" set-logging-options --logging-options-payload "roleArn=$role,logLevel=LOUD"
stranger get-logging-options

# Logging, the new way.
refuse NotConfiguredException "not configured" get-v2-logging-options
refuse NotConfiguredException "not configured" set-v2-logging-level --log-target targetType=THING_GROUP,targetName=settings-a --log-level INFO
refuse NotConfiguredException "not configured" list-v2-logging-levels
refuse InvalidRequestException "roleArn must be given" set-v2-logging-options --default-log-level INFO
ok set-v2-logging-options --role-arn "$role" --default-log-level INFO --no-disable-all-logs
silent
ok get-v2-logging-options
is '[roleArn,defaultLogLevel,disableAllLogs]' "[\"$role\",\"INFO\",false]"
ok set-v2-logging-level --log-target targetType=THING_GROUP,targetName=settings-a --log-level DEBUG
silent
ok set-v2-logging-level --log-target targetType=CLIENT_ID,targetName=settings-b --log-level ERROR
ok list-v2-logging-levels
is "logTargetConfigurations[?logTarget.targetName=='settings-a'].[logTarget.targetType,logLevel]" '[["THING_GROUP","DEBUG"]]'
ok list-v2-logging-levels --target-type CLIENT_ID
is 'logTargetConfigurations[].[logTarget.targetName,logLevel]' '[["settings-b","ERROR"]]'
ok delete-v2-logging-level --target-type THING_GROUP --target-name settings-a
silent
ok list-v2-logging-levels --target-type THING_GROUP
is 'logTargetConfigurations' '[]'
refuse InvalidRequestException "not deleted" delete-v2-logging-level --target-type DEFAULT --target-name x
ok delete-v2-logging-level --target-type CLIENT_ID --target-name settings-b
