"""Takes devices from claim to own connection with paho-mqtt: MQTT 3.1.1 and 5,
JSON and CBOR, own keys and keys made by the server.

Over 3.1.1 the devices have the habits of the Embedded C SDK: the same client id
before and after, one filter in a SUBSCRIBE, an UNSUBSCRIBE after each answer, no
payload where none is needed, and small buffers. Over 5 they have those of the
JavaScript SDK: a keep-alive of 20 minutes and a member too many.
"""

import json
import os
import queue
import ssl
import sys

import cbor2
import paho.mqtt
import paho.mqtt.client as mqtt

from boto3_setup import Fleet, new_key, same

CODECS = {
    "json": (lambda v: json.dumps(v).encode(), json.loads),
    "cbor": (cbor2.dumps, cbor2.loads),
}


class Connection:
    """A connection under a certificate; what arrives waits in a queue."""

    def __init__(self, fleet, identity, client_id, version):
        self.arrived, self.granted, self.left = queue.Queue(), queue.Queue(), queue.Queue()
        up = queue.Queue()
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=client_id, protocol=version)
        self.client.tls_set(os.environ["SLIPWAY_ROOT_CA"], *identity, tls_version=ssl.PROTOCOL_TLS_CLIENT)
        self.client.on_connect = lambda c, u, flags, reason, properties: up.put(reason)
        self.client.on_subscribe = lambda c, u, mid, reasons, properties: self.granted.put(reasons)
        self.client.on_unsubscribe = lambda c, u, mid, reasons, properties: self.left.put(reasons)
        self.client.on_message = lambda c, u, message: self.arrived.put(message)
        keep_alive = 1200 if version == mqtt.MQTTv5 else 60
        self.client.connect(fleet.host, int(os.environ["SLIPWAY_MQTT_PORT"]), keepalive=keep_alive)
        self.client.loop_start()
        reason = up.get(timeout=20)
        if reason.is_failure:
            raise SystemExit(f"FAILED: {client_id} was not let in: {reason}")

    def listen(self, *topics):
        for topic in topics:
            self.client.subscribe(topic, 1)
            if any(reason.is_failure for reason in self.granted.get(timeout=20)):
                raise SystemExit(f"FAILED: the subscription to {topic} was refused")

    def forget(self, *topics):
        for topic in topics:
            self.client.unsubscribe(topic)
            self.left.get(timeout=20)

    def ask(self, topic, payload):
        """Publishes a request and waits for its one answer."""
        self.client.publish(topic, payload, qos=1)
        return self.arrived.get(timeout=20)

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


def request(connection, topic, form, body, buffer=4096):
    """One operation: listen, ask, forget. body None is no payload at all."""
    encode, decode = CODECS[form]
    replies = f"{topic}/{form}/accepted", f"{topic}/{form}/rejected"
    connection.listen(*replies)
    message = connection.ask(f"{topic}/{form}", b"" if body is None else encode(body))
    connection.forget(*replies)
    answer = decode(message.payload)
    same(f"the answer's topic ({answer})", replies[0], message.topic)
    packet = 1 + 4 + 2 + len(message.topic) + 2 + 1 + len(message.payload)
    if packet > buffer:
        raise SystemExit(f"FAILED: the answer on {message.topic} takes {packet} bytes; devices have {buffer}")
    return answer


def create(connection, fleet, serial, form, version, own_key):
    """Gets a certificate; it gives the answer and the device's key."""
    if own_key:
        key, csr = new_key(fleet.folder, serial)
        body = {"certificateSigningRequest": csr.strip()}  # PEM without a last line end is PEM
        return request(connection, "$aws/certificates/create-from-csr", form, body, buffer=2048), key.read_text()
    body = None if version == mqtt.MQTTv311 else {}
    made = request(connection, "$aws/certificates/create", form, body)
    return made, made["privateKey"]


def provision(fleet, serial, version, form, own_key):
    thing = f"{fleet.name}-{serial}"
    client_id = thing if version == mqtt.MQTTv311 else f"boot-{serial}"
    claim = Connection(fleet, fleet.claim, client_id, version)
    made, key = create(claim, fleet, serial, form, version, own_key)
    fits(made, key)
    body = {"certificateOwnershipToken": made["certificateOwnershipToken"], "parameters": {"SerialNumber": serial}}
    if version == mqtt.MQTTv5:
        body["templateName"] = fleet.name
    answer = request(claim, f"$aws/provisioning-templates/{fleet.name}/provision", form, body)
    claim.close()
    same("the answer", {"thingName": thing, "deviceConfiguration": {"broker": "b1.example.org"}}, answer)

    device = Connection(fleet, fleet.keep(thing, made["certificatePem"], key), thing, version)
    device.listen(f"{fleet.name}/{thing}/echo")
    same("the device's own message", b"hello", device.ask(f"{fleet.name}/{thing}/echo", b"hello").payload)
    device.close()
    fleet.check(thing, made["certificateId"])


def fits(made, key):
    """The parts of an answer fit the buffers that devices have for them."""
    same("the characters of the certificate's id", 64, len(made["certificateId"]))
    for what, text, most in (("token", made["certificateOwnershipToken"], 400),
                             ("certificate", made["certificatePem"], 2048), ("key", key, 2048)):
        if not 0 < len(text) <= most:
            raise SystemExit(f"FAILED: the {what} has {len(text)} characters; devices have room for {most}")


def main():
    fleet = Fleet("paho")
    ear = Connection(fleet, fleet.claim, "boot-ear", mqtt.MQTTv311)
    ear.listen("$aws/certificates/create-from-csr/json/accepted", "$aws/certificates/create/cbor/accepted",
               "$aws/provisioning-templates/paho/provision/json/accepted")
    for version, name in ((mqtt.MQTTv311, "311"), (mqtt.MQTTv5, "5")):
        for form in CODECS:
            for own_key in (True, False):
                serial = f"{name}{form}{'csr' if own_key else 'keys'}"
                provision(fleet, serial, version, form, own_key)
                print(f"provisioned {fleet.name}-{serial}", flush=True)
    # What it would have overheard lies in its queue ahead of its own answer.
    heard = ear.ask("$aws/certificates/create-from-csr/json", b"{}").topic
    same("the first message at somebody who only listened", "$aws/certificates/create-from-csr/json/rejected", heard)
    ear.close()
    print("done: paho-mqtt", paho.mqtt.__version__, "on Python", sys.version.split()[0])


if __name__ == "__main__":
    main()
