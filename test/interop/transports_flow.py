"""Reaches a server in every way that needs no MQTT port: the AWS IoT Device SDK
v2 for Python over WebSocket, signed as it signs, with its clients for MQTT 3.1.1
and 5; paho-mqtt over WebSocket with a URL that botocore presigned; AWS's
low-level client by ALPN x-amzn-mqtt-ca on the port that is 443; and messages
published over HTTPS by curl, and by ALPN x-amzn-http-ca.
"""

import concurrent.futures
import http.client
import importlib.metadata
import os
import pathlib
import ssl
import subprocess
import tempfile
import threading

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import paho.mqtt.client
from awscrt import auth, io, mqtt, mqtt5
from awsiot import mqtt5_client_builder, mqtt_connection_builder

from boto3_setup import iot, same

WAIT = 20
REGION, ROOT = os.environ["AWS_REGION"], os.environ["SLIPWAY_ROOT_CA"]
HTTPS, ALPN = int(os.environ["SLIPWAY_HTTPS_PORT"]), int(os.environ["SLIPWAY_ALPN_PORT"])
HOST = iot.describe_endpoint(endpointType="iot:Data-ATS")["endpointAddress"]
KEY, SECRET = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]


def device():
    """Certificate and key of a device that may do everything, in files."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="slipway-transports-"))
    iot.create_policy(policyName="transports", policyDocument='{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}')
    made = iot.create_keys_and_certificate(setAsActive=True)
    iot.attach_policy(policyName="transports", target=made["certificateArn"])
    certificate, key = folder / "device.pem", folder / "device.key"
    certificate.write_text(made["certificatePem"])
    key.write_text(made["keyPair"]["PrivateKey"])
    return str(certificate), str(key)


def signing(secret=SECRET):
    provider = auth.AwsCredentialsProvider.new_static(KEY, secret)
    return {"region": REGION, "credentials_provider": provider, "endpoint": HOST, "ca_filepath": ROOT}


def echo311(connection, name):
    """Connects, and hears its own message."""
    connection.connect().result(WAIT)
    heard = concurrent.futures.Future()
    connection.subscribe(f"echo/{name}", mqtt.QoS.AT_LEAST_ONCE, lambda topic, payload, **_: heard.set_result(payload))[0].result(WAIT)
    connection.publish(f"echo/{name}", name.encode(), mqtt.QoS.AT_LEAST_ONCE)[0].result(WAIT)
    same(f"what {name} heard", name.encode(), heard.result(WAIT))
    connection.disconnect().result(WAIT)


def sdk311(port):
    echo311(mqtt_connection_builder.websockets_with_default_aws_signing(client_id=f"sdk311-{port}", port=port, **signing()), f"sdk311-{port}")


def sdk5(port):
    up, down, heard = (concurrent.futures.Future() for _ in range(3))
    client = mqtt5_client_builder.websockets_with_default_aws_signing(
        client_id=f"sdk5-{port}", port=port, **signing(),
        on_lifecycle_connection_success=up.set_result,
        on_lifecycle_connection_failure=lambda data: up.done() or up.set_exception(data.exception),
        on_lifecycle_stopped=down.set_result,
        on_publish_received=lambda data: heard.set_result(data.publish_packet.payload))
    client.start()
    up.result(WAIT)
    client.subscribe(mqtt5.SubscribePacket([mqtt5.Subscription(f"echo/sdk5-{port}", mqtt5.QoS.AT_LEAST_ONCE)])).result(WAIT)
    client.publish(mqtt5.PublishPacket(topic=f"echo/sdk5-{port}", payload=b"five", qos=mqtt5.QoS.AT_LEAST_ONCE)).result(WAIT)
    same("what the SDK's MQTT 5 client heard", b"five", heard.result(WAIT))
    client.stop()
    down.result(WAIT)


def refused():
    """A wrong secret is refused at the upgrade."""
    connection = mqtt_connection_builder.websockets_with_default_aws_signing(client_id="sdk-wrong", port=HTTPS, **signing("another" * 6))
    try:
        connection.connect().result(WAIT)
    except Exception as e:
        if "UPGRADE_FAILURE" not in str(e):
            raise SystemExit(f"FAILED: a wrong secret was refused with {e}")
        return
    raise SystemExit("FAILED: a wrong secret was accepted")


def presigned(port):
    request = botocore.awsrequest.AWSRequest("GET", f"https://{HOST}:{port}/mqtt")
    credentials = botocore.credentials.Credentials(KEY, SECRET)
    botocore.auth.SigV4QueryAuth(credentials, "iotdevicegateway", REGION, expires=86400).add_auth(request)
    return request.url.partition(f":{port}")[2]


class Listener:
    """paho-mqtt over WebSocket, with a presigned URL."""

    def __init__(self, port, topic):
        self.messages, ready = [], threading.Event()
        self.arrived = threading.Condition()
        self.client = paho.mqtt.client.Client(paho.mqtt.client.CallbackAPIVersion.VERSION2, client_id=f"paho-{port}", transport="websockets")
        self.client.tls_set(ca_certs=ROOT)
        self.client.ws_set_options(path=presigned(port))
        self.client.on_connect = lambda client, *_: client.subscribe(topic, qos=1)
        self.client.on_subscribe = lambda *_: ready.set()
        self.client.on_message = self.take
        self.client.connect(HOST, port)
        self.client.loop_start()
        if not ready.wait(WAIT):
            raise SystemExit(f"FAILED: paho on port {port} never subscribed")

    def take(self, _client, _userdata, message):
        with self.arrived:
            self.messages.append(f"{message.topic} {message.payload.decode()}")
            self.arrived.notify()

    def hears(self, wanted):
        with self.arrived:
            if not self.arrived.wait_for(lambda: wanted in self.messages, WAIT):
                raise SystemExit(f"FAILED: paho did not hear {wanted}, but {self.messages}")

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


def by_alpn(identity):
    """AWS's client offers x-amzn-mqtt-ca where the port is 443; here we say so."""
    options = io.TlsContextOptions.create_client_with_mtls_from_path(*identity)
    options.override_default_trust_store_from_path(None, ROOT)
    options.alpn_list = ["x-amzn-mqtt-ca"]
    client = mqtt.Client(io.ClientBootstrap.get_or_create_static_default(), io.ClientTlsContext(options))
    echo311(mqtt.Connection(client=client, host_name=HOST, port=ALPN, client_id="alpn", clean_session=True), "alpn")


def curl(identity, topic, *more):
    certificate, key = identity
    return subprocess.run(["curl", "--silent", "--show-error", "--max-time", str(WAIT), "--tlsv1.2", "--cacert", ROOT, "--cert", certificate, "--key", key,
                           "--request", "POST", *more, f"https://{HOST}:{HTTPS}/topics/{topic}?qos=1"], check=True, capture_output=True, text=True).stdout


def by_http_alpn(identity):
    context = ssl.create_default_context(cafile=ROOT)
    context.load_cert_chain(*identity)
    context.set_alpn_protocols(["x-amzn-http-ca"])
    connection = http.client.HTTPSConnection(HOST, ALPN, context=context, timeout=WAIT)
    connection.request("POST", "/topics/https/alpn?qos=1", body="by ALPN")
    same("the answer by ALPN x-amzn-http-ca", 200, connection.getresponse().status)


def main():
    for port in (HTTPS, ALPN):
        sdk311(port)
        sdk5(port)
    refused()
    print("the SDK's clients passed over WebSocket", flush=True)
    identity = device()
    by_alpn(identity)
    for port in (HTTPS, ALPN):
        listener = Listener(port, "https/#")
        answer = curl(identity, "https/curl", "--data", f"for {port}")
        if '"message":"OK"' not in answer:
            raise SystemExit(f"FAILED: curl was answered {answer}")
        listener.hears(f"https/curl for {port}")
        by_http_alpn(identity)
        listener.hears("https/alpn by ALPN")
        listener.close()
    answer = curl(identity, "$aws/events/none", "--data", "x", "--write-out", " %{http_code}")
    if not answer.endswith(" 400"):
        raise SystemExit(f"FAILED: a reserved topic was answered {answer}")
    print("done: awsiotsdk", importlib.metadata.version("awsiotsdk"), "paho-mqtt", importlib.metadata.version("paho-mqtt"), "curl")


if __name__ == "__main__":
    main()
