"""Takes devices from claim to own connection with the AWS IoT Device SDK v2 for
Python: its first client for fleet provisioning (MQTT 3.1.1) and its second one
(requests and responses, MQTT 3.1.1 and 5), each with an own key and with one
made by the server.
"""

import concurrent.futures
import importlib.metadata
import os

import awsiot
from awscrt import mqtt, mqtt5, mqtt_request_response
from awsiot import iotidentity, mqtt5_client_builder, mqtt_connection_builder

from boto3_setup import Fleet, new_key, same

WAIT = 20


def endpoint(fleet):
    return {"endpoint": fleet.host, "port": int(os.environ["SLIPWAY_MQTT_PORT"]),
            "ca_filepath": os.environ["SLIPWAY_ROOT_CA"]}


def connect311(fleet, identity, client_id):
    connection = mqtt_connection_builder.mtls_from_path(
        *identity, client_id=client_id, clean_session=False, **endpoint(fleet))
    connection.connect().result(WAIT)
    return connection, lambda: connection.disconnect().result(WAIT)


def connect5(fleet, identity, client_id):
    up, down = concurrent.futures.Future(), concurrent.futures.Future()
    client = mqtt5_client_builder.mtls_from_path(
        *identity, client_id=client_id, **endpoint(fleet),
        on_lifecycle_connection_success=up.set_result,
        on_lifecycle_connection_failure=lambda data: up.done() or up.set_exception(data.exception),
        on_lifecycle_stopped=down.set_result)
    client.start()
    up.result(WAIT)

    def close():
        client.stop()
        down.result(WAIT)
    return client, close


class First:
    """The SDK's first client: subscribe, publish, and two callbacks."""

    def __init__(self, connection):
        self.client = iotidentity.IotIdentityClient(connection)

    def ask(self, operation, subscription, request):
        answer = concurrent.futures.Future()
        for name, take in (("accepted", answer.set_result),
                           ("rejected", lambda e: answer.set_exception(RuntimeError(vars(e))))):
            subscribe = getattr(self.client, f"subscribe_to_{operation}_{name}")
            subscribe(request=subscription, qos=mqtt.QoS.AT_LEAST_ONCE, callback=take)[0].result(WAIT)
        publish = getattr(self.client, f"publish_{operation}")
        publish(request, mqtt.QoS.AT_LEAST_ONCE).result(WAIT)
        return answer.result(WAIT)

    def create_from_csr(self, request):
        return self.ask("create_certificate_from_csr", iotidentity.CreateCertificateFromCsrSubscriptionRequest(), request)

    def create_keys(self, request):
        return self.ask("create_keys_and_certificate", iotidentity.CreateKeysAndCertificateSubscriptionRequest(), request)

    def register(self, request):
        subscription = iotidentity.RegisterThingSubscriptionRequest(template_name=request.template_name)
        return self.ask("register_thing", subscription, request)


class Second:
    """The SDK's second client: a request gives a future of its response."""

    def __init__(self, connection):
        self.client = iotidentity.IotIdentityClientV2(connection, mqtt_request_response.ClientOptions(
            max_request_response_subscriptions=2, max_streaming_subscriptions=2, operation_timeout_in_seconds=WAIT))

    def create_from_csr(self, request):
        return self.client.create_certificate_from_csr(request).result(WAIT)

    def create_keys(self, request):
        return self.client.create_keys_and_certificate(request).result(WAIT)

    def register(self, request):
        return self.client.register_thing(request).result(WAIT)


def provision(fleet, serial, connect, api, own_key):
    connection, close = connect(fleet, fleet.claim, f"boot-{serial}")
    client = api(connection)
    if own_key:
        key, csr = new_key(fleet.folder, serial)
        made = client.create_from_csr(iotidentity.CreateCertificateFromCsrRequest(certificate_signing_request=csr))
        key = key.read_text()
    else:
        made = client.create_keys(iotidentity.CreateKeysAndCertificateRequest())
        key = made.private_key
    answer = client.register(iotidentity.RegisterThingRequest(
        template_name=fleet.name, certificate_ownership_token=made.certificate_ownership_token,
        parameters={"SerialNumber": serial}))
    same("the thing's name", f"{fleet.name}-{serial}", answer.thing_name)
    same("the device's configuration", {"broker": "b1.example.org"}, answer.device_configuration)
    del client
    close()

    _, close = connect(fleet, fleet.keep(serial, made.certificate_pem, key), answer.thing_name)
    close()
    fleet.check(answer.thing_name, made.certificate_id)


def refusal(fleet):
    """The second client gives a rejected request as an exception with its code."""
    connection, close = connect5(fleet, fleet.claim, "boot-refused")
    client = Second(connection)
    made = client.create_keys(iotidentity.CreateKeysAndCertificateRequest())
    try:
        client.register(iotidentity.RegisterThingRequest(
            template_name=fleet.name, certificate_ownership_token=made.certificate_ownership_token, parameters={}))
        raise SystemExit("FAILED: a registration without a serial was accepted")
    except awsiot.V2ServiceException as e:
        same("the error's code", (400, "InvalidParameters"), (e.modeled_error.status_code, e.modeled_error.error_code))
        if "SerialNumber" not in e.modeled_error.error_message:
            raise SystemExit(f"FAILED: the error does not name the parameter: {e.modeled_error.error_message}")
    del client
    close()


def main():
    fleet = Fleet("awssdk")
    for name, connect, api in (("first", connect311, First), ("second311", connect311, Second), ("second5", connect5, Second)):
        for own_key in (True, False):
            serial = f"{name}{'csr' if own_key else 'keys'}"
            provision(fleet, serial, connect, api, own_key)
            print(f"provisioned {fleet.name}-{serial}", flush=True)
    refusal(fleet)
    print("done: awsiotsdk", importlib.metadata.version("awsiotsdk"), "awscrt", importlib.metadata.version("awscrt"))


if __name__ == "__main__":
    main()
