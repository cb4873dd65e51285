. "$(dirname "$0")/../lib.sh"

role=arn:aws:iam::000000000000:role/bulk
body='{"Parameters":{"Name":{"Type":"String"},"CSR":{"Type":"String"}},"Resources":{"thing":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":{"Ref":"Name"}}},"certificate":{"Type":"AWS::IoT::Certificate","Properties":{"CertificateSigningRequest":{"Ref":"CSR"},"Status":"ACTIVE"}}}}'
start=(start-thing-registration-task --input-file-bucket tasks --input-file-key batch.json --role-arn "$role" --template-body)

# A bucket is a folder of the server's. Every line is refused, and there are so
# many that the task is in progress while it is looked at.
refuse InvalidRequestException "has no object batch.json" "${start[@]}" "$body"
bucket=$(dirname "$SLIPWAY_ROOT_CA")/buckets/tasks
mkdir -p "$bucket"
seq 200000 | sed 's/.*/{"Name":"task-&","CSR":"none"}/' >"$bucket/batch.json"

refuse InvalidRequestException "Resources is empty" "${start[@]}" '{"Resources":{}}'
ok "${start[@]}" "$body"
is 'keys(@)' '["taskId"]'
take id taskId
refuse InvalidRequestException "one at a time" "${start[@]}" "$body"

ok describe-thing-registration-task --task-id "$id"
is '[taskId,inputFileBucket,inputFileKey,roleArn,status]' "[\"$id\",\"tasks\",\"batch.json\",\"$role\",\"InProgress\"]"
is '[successCount,type(failureCount),type(percentageProgress),type(creationDate),type(lastModifiedDate)]' '[0,"number","number","number","number"]'
is 'templateBody' "$body"
none=${id//[0-9a-f]/0}
refuse ResourceNotFoundException "$none" describe-thing-registration-task --task-id "$none"

ok list-thing-registration-tasks --status InProgress
is 'taskIds' "[\"$id\"]"
refuse InvalidRequestException "at 'status' failed" list-thing-registration-tasks --status Lazy
ok list-thing-registration-task-reports --task-id "$id" --report-type ERRORS
is '[reportType,resourceLinks]' '["ERRORS",[]]'
refuse InvalidRequestException "$none" list-thing-registration-task-reports --task-id "$none" --report-type RESULTS

ok stop-thing-registration-task --task-id "$id"
silent
refuse ResourceNotFoundException "$none" stop-thing-registration-task --task-id "$none"
for _ in $(seq 30); do
  ok describe-thing-registration-task --task-id "$id"
  [ "$(jq -r .status out)" = Cancelled ] && break
  sleep 1
done
is 'status' Cancelled
ok list-thing-registration-task-reports --task-id "$id" --report-type ERRORS
is 'length(resourceLinks)' 1
ok list-thing-registration-tasks --status InProgress
is 'taskIds' '[]'
