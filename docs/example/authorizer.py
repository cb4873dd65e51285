#!/usr/bin/env python3
"""A custom authorizer on the Lambda Runtime API: whoever shows a signed token is the lamp it names."""
import json
import os
import urllib.request

API = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation/"


def allow(action, resource):
    return {"Effect": "Allow", "Action": action, "Resource": "arn:aws:iot:*:*:" + resource}


def decide(event):
    lamp = event.get("token", "")
    if not event["signatureVerified"]:
        return {"isAuthenticated": False}
    return {
        "isAuthenticated": True,
        "principalId": lamp,
        "disconnectAfterInSeconds": 86400,
        "refreshAfterInSeconds": 3600,
        "policyDocuments": [
            {
                "Version": "2012-10-17",
                "Statement": [allow("iot:Connect", f"client/{lamp}"), allow("iot:Publish", f"topic/lamps/{lamp}/*")],
            }
        ],
    }


while True:
    with urllib.request.urlopen(API + "next") as call:
        event, name = json.load(call), call.headers["Lambda-Runtime-Aws-Request-Id"]
    urllib.request.urlopen(API + name + "/response", json.dumps(decide(event)).encode()).close()
