"""Comes in by a custom authorizer, whose function is a program over the Lambda
Runtime API: the AWS IoT Device SDK v2 for Python with its builders for custom
authorizers, MQTT by ALPN mqtt and WebSocket, for 3.1.1 and 5, with a token that
openssl signed; curl over HTTPS, also by the name of a domain configuration that
wants TLS 1.3. (For 3.1.1 the SDK takes no port but 443 for MQTT by ALPN.)
"""

import base64
import concurrent.futures
import importlib.metadata
import os
import pathlib
import subprocess
import tempfile

from awscrt import mqtt, mqtt5
from awsiot import mqtt5_client_builder, mqtt_connection_builder

from boto3_setup import iot, same

WAIT = 20
ROOT, ALPN = os.environ["SLIPWAY_ROOT_CA"], int(os.environ["SLIPWAY_ALPN_PORT"])
HOST = iot.describe_endpoint(endpointType="iot:Data-ATS")["endpointAddress"]
JUDGE = pathlib.Path(__file__).parent.parent / "tour" / "judge.py"
FOLDER = pathlib.Path(tempfile.mkdtemp(prefix="slipway-authorizers-"))


def openssl(*arguments, data=None):
    return subprocess.run(["openssl", *arguments], input=data, check=True, capture_output=True).stdout


def authorizer(name):
    """The function, and an authorizer that wants signed tokens."""
    subprocess.run(["slipway", "function", "add", f"{name}-judge", "--program", JUDGE], check=True, capture_output=True)
    openssl("genrsa", "-out", FOLDER / "token.key", "2048")
    iot.create_authorizer(
        authorizerName=name, authorizerFunctionArn=f"arn:aws:lambda:us-east-1:000000000000:function:{name}-judge",
        tokenKeyName="Token", tokenSigningPublicKeys={"one": openssl("rsa", "-in", FOLDER / "token.key", "-pubout").decode()}, status="ACTIVE")


def sign(token):
    return base64.b64encode(openssl("dgst", "-sha256", "-sign", FOLDER / "token.key", data=token.encode())).decode()


def shown(token, signed=None):
    return {"auth_username": "ada", "auth_password": "unused", "auth_authorizer_name": "interop", "auth_token_key_name": "Token",
            "auth_token_value": token, "auth_authorizer_signature": sign(signed or token)}


def where(host=HOST):
    return {"endpoint": host, "port": ALPN, "ca_filepath": ROOT}


def echo311(build, name):
    connection = build(client_id=name, clean_session=True, keep_alive_secs=60, **where(), **shown("allow"))
    connection.connect().result(WAIT)
    heard = concurrent.futures.Future()
    connection.subscribe(f"echo/{name}", mqtt.QoS.AT_LEAST_ONCE, lambda topic, payload, **_: heard.set_result(payload))[0].result(WAIT)
    connection.publish(f"echo/{name}", name.encode(), mqtt.QoS.AT_LEAST_ONCE)[0].result(WAIT)
    same(f"what {name} heard", name.encode(), heard.result(WAIT))
    connection.disconnect().result(WAIT)


def client5(build, name, credentials):
    """Gives a client and the futures of its first connection and its end."""
    up, down, heard = (concurrent.futures.Future() for _ in range(3))
    client = build(
        client_id=name, **where(), **credentials,
        on_lifecycle_connection_success=lambda data: up.done() or up.set_result(data),
        on_lifecycle_connection_failure=lambda data: up.done() or up.set_exception(data.exception),
        on_lifecycle_stopped=down.set_result,
        on_publish_received=lambda data: heard.set_result(data.publish_packet.payload))
    client.start()
    return client, up, down, heard


def echo5(build, name):
    client, up, down, heard = client5(build, name, shown("allow"))
    up.result(WAIT)
    client.subscribe(mqtt5.SubscribePacket([mqtt5.Subscription(f"echo/{name}", mqtt5.QoS.AT_LEAST_ONCE)])).result(WAIT)
    client.publish(mqtt5.PublishPacket(topic=f"echo/{name}", payload=b"five", qos=mqtt5.QoS.AT_LEAST_ONCE)).result(WAIT)
    same(f"what {name} heard", b"five", heard.result(WAIT))
    client.stop()
    down.result(WAIT)


def refused(build, name, credentials):
    client, up, down, _ = client5(build, name, credentials)
    if up.exception(WAIT) is None:
        raise SystemExit(f"FAILED: {name} was admitted")
    client.stop()
    down.result(WAIT)


def curl(host, token, *more):
    """Gives the status of a publication, or curl's exit code where TLS failed."""
    done = subprocess.run(
        ["curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--max-time", str(WAIT), "--cacert", ROOT,
         "--resolve", f"{host}:{ALPN}:127.0.0.1", "--data", "on", "--header", "x-amz-customauthorizer-name: interop",
         "--header", f"Token: {token}", "--header", f"x-amz-customauthorizer-signature: {sign(token)}", *more, f"https://{host}:{ALPN}/topics/lamps?qos=1"],
        capture_output=True, text=True)
    return f"exit {done.returncode}" if done.returncode else done.stdout


def by_domain():
    """A name of the customer, under a certificate that the server makes."""
    host = "interop.things.example"
    iot.create_domain_configuration(
        domainConfigurationName="interop", domainName=host, serverCertificateArns=["arn:aws:acm:us-east-1:000000000000:certificate/1"],
        authenticationType="CUSTOM_AUTH", applicationProtocol="HTTPS", authorizerConfig={"defaultAuthorizerName": "interop"},
        tlsConfig={"securityPolicy": "IoTSecurityPolicy_TLS13_1_3_2022_10"})
    for _ in range(100):  # the event that tells of it is on its way
        if curl(host, "allow") == "200":
            break
    same("by the domain's name", "200", curl(host, "allow"))
    same("with another token", "403", curl(host, "deny"))
    same("with TLS 1.2", "exit 35", curl(host, "allow", "--tls-max", "1.2"))


def main():
    authorizer("interop")
    echo311(mqtt_connection_builder.websockets_with_custom_authorizer, "socket311")
    for way in ("direct", "websockets"):
        build = getattr(mqtt5_client_builder, f"{way}_with_custom_authorizer")
        echo5(build, f"{way}5")
        refused(build, f"{way}denied", shown("deny"))
        refused(build, f"{way}forged", shown("allow", "deny"))
    same("over HTTPS", "200", curl(HOST, "allow"))
    same("over HTTPS with another token", "403", curl(HOST, "deny"))
    by_domain()
    print("done: awsiotsdk", importlib.metadata.version("awsiotsdk"), "curl")


if __name__ == "__main__":
    main()
