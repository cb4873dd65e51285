"""Takes devices from claim to own connection with the AWS IoT Device SDK v2 for
JavaScript, which js_flow.js drives; set-up and the reading back are boto3's.
"""

import json
import os
import pathlib
import subprocess
import time

from boto3_setup import Fleet, HERE, same


def version(package):
    return json.loads((pathlib.Path(os.environ["NODE_PATH"]) / package / "package.json").read_text())["version"]


def main():
    fleet = Fleet("js")
    began = time.monotonic()
    done = subprocess.run(["node", HERE / "js_flow.js", fleet.name, fleet.host, *fleet.claim],
                          cwd=fleet.folder, capture_output=True, text=True, timeout=200)
    if done.returncode != 0:
        raise SystemExit(f"{done.stdout}{done.stderr}")
    devices = [line.split() for line in done.stdout.splitlines()]
    same("the number of devices", 6, len(devices))
    for thing, certificate in devices:
        fleet.check(thing, certificate)
        print(f"provisioned {thing}")
    print(f"done in {time.monotonic() - began:.1f} s: aws-iot-device-sdk-v2", version("aws-iot-device-sdk-v2"),
          "aws-crt", version("aws-crt"))


if __name__ == "__main__":
    main()
