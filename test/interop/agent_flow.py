"""Takes devices from claim to own connection with slipway-agent: both
encodings, both versions of MQTT, both kinds of key.
"""

import json
import os
import subprocess

from boto3_setup import Fleet, same


def provision(fleet, serial, *flags, template=None):
    """Runs the agent; it gives its exit code, its report, and what it said."""
    certificate, key = fleet.claim
    done = subprocess.run(
        ["slipway-agent", "provision", "--json",
         "--endpoint", f"{fleet.host}:{os.environ['SLIPWAY_MQTT_PORT']}", "--root-ca", os.environ["SLIPWAY_ROOT_CA"],
         "--claim-cert", certificate, "--claim-key", key, "--client-id", f"boot-{serial}",
         "--template", template or fleet.name, "--param", f"SerialNumber={serial}",
         "--out", fleet.folder / serial, *flags],
        capture_output=True, text=True, timeout=120)
    return done.returncode, json.loads(done.stdout or "null"), done.stderr


def main():
    fleet = Fleet("agent")
    for serial, flags in (
            ("json5csr", ("--format=json", "--mqtt=5", "--keys=csr")),
            ("cbor311csr", ("--format=cbor", "--mqtt=3.1.1", "--keys=csr", "--key-type=rsa2048")),
            ("json311keys", ("--format=json", "--mqtt=3.1.1", "--keys=server")),
            ("cbor5keys", ("--format=cbor", "--mqtt=5", "--keys=server"))):
        code, report, said = provision(fleet, serial, *flags)
        same(f"the exit code ({said})", 0, code)
        same("the thing's name", f"{fleet.name}-{serial}", report["thing"])
        fleet.check(report["thing"], report["certificate"])
        print(f"provisioned {report['thing']} in {report['totalMs']:.0f} ms", flush=True)

    code, report, said = provision(fleet, "lost", template="nowhere")
    same("the exit code of a refusal", 3, code)
    same("its class on the last line", "class: claim not authorised", said.splitlines()[-1])
    print("done: slipway-agent")


if __name__ == "__main__":
    main()
