#!/usr/bin/env python3
"""A custom authorizer as a Lambda function of a custom runtime: it takes the token "allow"."""
import json
import os
import urllib.request

api = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation/"

while True:
    with urllib.request.urlopen(api + "next") as call:
        event, name = json.load(call), call.headers["Lambda-Runtime-Aws-Request-Id"]
    answer = {"isAuthenticated": False}
    if event.get("token") == "allow":
        answer = {
            "isAuthenticated": True,
            "principalId": event["protocolData"].get("mqtt", {}).get("clientId", "poster"),
            "disconnectAfterInSeconds": 3600,
            "refreshAfterInSeconds": 600,
            "policyDocuments": [
                {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:*", "Resource": "*"}]}
            ],
        }
    elif event.get("token") == "odd":
        answer = {"isAuthenticated": "perhaps"}
    urllib.request.urlopen(api + name + "/response", json.dumps(answer).encode()).close()
