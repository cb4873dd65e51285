"""Reaches a server over WebSocket with the AWS IoT Device SDK v2 for JavaScript, as
Node and as a browser load it, which js_websocket_flow.js drives; what became of
those that are refused is read from the server.
"""

import json
import os
import pathlib
import subprocess
import time

from authorizers_flow import HOST, authorizer, sign
from js_flow import version

HERE = pathlib.Path(__file__).parent
KEY = {"id": os.environ["AWS_ACCESS_KEY_ID"], "secret": os.environ["AWS_SECRET_ACCESS_KEY"]}


def shown(token):
    """What a device shows to the authorizer."""
    return {"username": "ada", "password": "unused", "authorizerName": "js",
            "tokenKeyName": "Token", "tokenValue": token, "tokenSignature": sign(token)}


def wrong_secrets():
    """How often a wrong secret of our key was refused, as `slipway trace` has it."""
    trace = subprocess.run(["slipway", "trace", "--json", "--last", "250"], check=True, capture_output=True, text=True).stdout
    return sum(attempt["count"] for attempt in json.loads(trace) if attempt.get("outcome") == "refused" and
               attempt.get("reason", "").startswith(f"The signature does not match: the secret of key {KEY['id']} differs"))


def main():
    authorizer("js")
    before = wrong_secrets()
    plan = {"host": HOST, "region": os.environ["AWS_REGION"], "key": KEY, "session": json.loads(os.environ["INTEROP_SESSION"]),
            "wrong": {**KEY, "secret": "another" * 6}, "token": shown("allow"), "denied": shown("deny")}
    began = time.monotonic()
    done = subprocess.run(["node", HERE / "js_websocket_flow.js"], input=json.dumps(plan), capture_output=True, text=True, timeout=200)
    if done.returncode != 0:
        raise SystemExit(f"{done.stdout}{done.stderr}")
    for _ in range(100):  # attempts are written in the background
        if wrong_secrets() >= before + 4:
            break
        time.sleep(0.1)
    else:
        raise SystemExit(f"FAILED: of four refused signatures, the server tells of {wrong_secrets() - before}")
    print(f"done in {time.monotonic() - began:.1f} s: aws-iot-device-sdk-v2", version("aws-iot-device-sdk-v2"), "aws-crt", version("aws-crt"))


if __name__ == "__main__":
    main()
