. "$(dirname "$0")/../lib.sh"

# The data plane, by the real executable and by boto3.
data() { aws iot-data --output json "$@"; }
same() { [ "$2" = "$3" ] || fail "$1: expected \"$2\", got \"$3\""; }

printf 'hello' >payload
data publish --topic tour/a --qos 1 --retain --payload file://payload >/dev/null
data get-retained-message --topic tour/a >message.json
same "what is retained" "tour/a 1 $(printf hello | base64)" "$(jq -r '"\(.topic) \(.qos) \(.payload)"' message.json)"
code=0
data delete-connection --client-id tour-none 2>err || code=$?
same "the exit code of a refusal" 255 "$code"
grep -q "(ResourceNotFoundException) when calling the DeleteConnection operation: ." err || fail "$(<err)"

python3 - <<'END'
import json

import boto3
from botocore.exceptions import ClientError

data = boto3.client("iot-data")
for i in range(3):
    data.publish(topic=f"tour/b/{i}", qos=0, retain=True, payload=b"x" * i + b"x", userProperties=[{"k": "v"}] if i else json.dumps([{"k": "v"}]), contentType="text/plain", messageExpiry=600)
pages = data.get_paginator("list_retained_messages").paginate(PaginationConfig={"PageSize": 2})
found = [(m["topic"], m["payloadSize"], m["qos"]) for page in pages for m in page["retainedTopics"] if m["topic"].startswith("tour/")]
assert found == [("tour/a", 5, 1), ("tour/b/0", 1, 0), ("tour/b/1", 2, 0), ("tour/b/2", 3, 0)], found
one = data.get_retained_message(topic="tour/b/1")
assert one["payload"] == b"xx" and json.loads(one["userProperties"]) == [{"k": "v"}], one


def refused(exception, status, operation, **members):
    try:
        getattr(data, operation)(**members)
    except ClientError as e:
        got = e.response["Error"]["Code"], e.response["ResponseMetadata"]["HTTPStatusCode"]
        assert got == (exception, status), got
        assert isinstance(e, getattr(data.exceptions, exception, ClientError)) and e.response["Error"]["Message"]
        return
    raise AssertionError(f"{operation} was not refused")


refused("InvalidRequestException", 400, "publish", topic="tour/#", payload=b"x")
refused("RequestEntityTooLargeException", 413, "publish", topic="tour/a", payload=b"x" * 131073)
for topic, *_ in found:
    data.publish(topic=topic, retain=True, payload=b"")
refused("ResourceNotFoundException", 404, "get_retained_message", topic="tour/a")
refused("ResourceNotFoundException", 404, "delete_connection", clientId="tour-none", preventWillMessage=True)
refused("NotImplementedException", 501, "get_thing_shadow", thingName="tour")
END
