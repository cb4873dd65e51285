// Takes devices from claim to own connection with the AWS IoT Device SDK v2 for
// JavaScript: its first client for fleet provisioning (MQTT 3.1.1) and its
// second one (requests and responses, MQTT 3.1.1 and 5), each with an own key
// and with one made by the server.
//
//     node js_flow.js TEMPLATE HOST CLAIM-CERTIFICATE CLAIM-KEY

"use strict";

const assert = require("node:assert/strict");
const { execFileSync } = require("node:child_process");
const { once } = require("node:events");
const fs = require("node:fs");
const { iot, iotidentity, mqtt, mqtt5 } = require("aws-iot-device-sdk-v2");

const [template, host, ...claim] = process.argv.slice(2);
const port = Number(process.env.SLIPWAY_MQTT_PORT);
const roots = process.env.SLIPWAY_ROOT_CA;
const atLeastOnce = mqtt.QoS.AtLeastOnce;
const keepAlive = 1200;

async function connect311(identity, clientId) {
  const config = iot.AwsIotMqttConnectionConfigBuilder.new_mtls_builder_from_path(...identity)
    .with_certificate_authority_from_path(undefined, roots)
    .with_endpoint(host)
    .with_port(port)
    .with_client_id(clientId)
    .with_clean_session(false)
    .with_keep_alive_seconds(keepAlive)
    .build();
  const connection = new mqtt.MqttClient().new_connection(config);
  await connection.connect();
  return [connection, () => connection.disconnect()];
}

async function connect5(identity, clientId) {
  const config = iot.AwsIotMqtt5ClientConfigBuilder.newDirectMqttBuilderWithMtlsFromPath(host, ...identity)
    .withCertificateAuthorityFromPath(undefined, roots)
    .withPort(port)
    .withConnectProperties({ clientId, keepAliveIntervalSeconds: keepAlive })
    .build();
  const client = new mqtt5.Mqtt5Client(config);
  const up = once(client, "connectionSuccess");
  client.on("connectionFailure", (event) => { throw new Error(`${clientId} was not let in: ${event.error}`); });
  client.start();
  const [{ connack }] = await up;
  assert.equal(connack.serverKeepAlive ?? keepAlive, keepAlive, "the keep-alive");
  return [client, async () => {
    const down = once(client, "stopped");
    client.stop();
    await down;
    client.close();
  }];
}

// The first client: subscribe, publish, and a callback for each answer.
class First {
  constructor(connection) {
    this.client = new iotidentity.IotIdentityClient(connection);
  }

  async ask(operation, subscription, request) {
    let take, fail;
    const answer = new Promise((resolve, reject) => { [take, fail] = [resolve, reject]; });
    await this.client[`subscribeTo${operation}Accepted`](subscription, atLeastOnce, (error, got) => (error ? fail(error) : take(got)));
    await this.client[`subscribeTo${operation}Rejected`](subscription, atLeastOnce, (error, got) => fail(error ?? got));
    await this.client[`publish${operation}`](request, atLeastOnce);
    return answer;
  }

  createFromCsr(request) { return this.ask("CreateCertificateFromCsr", {}, request); }
  createKeys(request) { return this.ask("CreateKeysAndCertificate", {}, request); }
  register(request) { return this.ask("RegisterThing", { templateName: request.templateName }, request); }
  refusal(error) { return error; }
  close() {}
}

// The second client: a request gives a promise of its response.
class Second {
  constructor(connection) {
    const { newFromMqtt311, newFromMqtt5 } = iotidentity.IotIdentityClientv2;
    const make = connection instanceof mqtt5.Mqtt5Client ? newFromMqtt5 : newFromMqtt311;
    this.client = make(connection, { maxRequestResponseSubscriptions: 2, maxStreamingSubscriptions: 2, operationTimeoutInSeconds: 20 });
  }

  createFromCsr(request) { return this.client.createCertificateFromCsr(request); }
  createKeys(request) { return this.client.createKeysAndCertificate(request); }
  register(request) { return this.client.registerThing(request); }
  refusal(error) { return error.modeledError; }
  close() { this.client.close(); }
}

// newKey gives a P-256 key and a signing request for it, by openssl.
function newKey(serial) {
  execFileSync("openssl", ["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", `${serial}.key`]);
  return execFileSync("openssl", ["req", "-new", "-key", `${serial}.key`, "-subj", `/CN=${serial}`], { encoding: "utf8" });
}

async function create(client, serial, ownKey) {
  if (ownKey) {
    return client.createFromCsr({ certificateSigningRequest: newKey(serial) });
  }
  const made = await client.createKeys({});
  fs.writeFileSync(`${serial}.key`, made.privateKey, { mode: 0o600 });
  return made;
}

// refused asserts that a registration without a serial is answered with the
// service's own error, its members of the types that the SDK has for them.
async function refused(client, token) {
  let got;
  await client.register({ templateName: template, certificateOwnershipToken: token, parameters: {} })
    .catch((error) => { got = client.refusal(error); });
  assert.equal(got?.statusCode, 400);
  assert.equal(got.errorCode, "InvalidParameters");
  assert.match(got.errorMessage, /SerialNumber/);
}

async function provision(name, connect, Api, ownKey) {
  const serial = `${name}${ownKey ? "csr" : "keys"}`;
  const [connection, close] = await connect(claim, `boot-js-${serial}`);
  const client = new Api(connection);
  const made = await create(client, serial, ownKey);
  if (Api === Second) {
    await refused(client, made.certificateOwnershipToken);
  }
  const { thingName, deviceConfiguration } = await client.register({
    templateName: template, certificateOwnershipToken: made.certificateOwnershipToken, parameters: { SerialNumber: serial },
  });
  assert.equal(thingName, `${template}-${serial}`);
  assert.deepEqual({ ...deviceConfiguration }, { broker: "b1.example.org" });
  client.close();
  await close();

  fs.writeFileSync(`${serial}.pem`, made.certificatePem);
  const [, leave] = await connect([`${serial}.pem`, `${serial}.key`], thingName);
  await leave();
  console.log(`${thingName} ${made.certificateId}`);
}

async function main() {
  for (const [name, connect, Api] of [["first", connect311, First], ["second311", connect311, Second], ["second5", connect5, Second]]) {
    for (const ownKey of [true, false]) {
      await provision(name, connect, Api, ownKey);
    }
  }
}

main().then(() => process.exit(0), (error) => {
  console.error("FAILED:", error);
  process.exit(1);
});
