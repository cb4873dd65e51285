// Reaches a server over WebSocket with the AWS IoT Device SDK v2 for JavaScript,
// MQTT 3.1.1 and 5: what Node loads of it, and what a browser does; signed with
// an access key and with a short-lived credential, vouched for by a custom
// authorizer, and refused.
//
//     node js_websocket_flow.js <PLAN.json
//
// A page gets its WebSocket from the browser. Here the package ws makes it, which
// is told what a page has no part in: the root certificate, the page's origin,
// and that port 443 of the endpoint is another one, as a port mapping does it.
// The SDK leaves the port out of the URL that it signs for a browser.

"use strict";

const assert = require("node:assert/strict");
const { once } = require("node:events");
const fs = require("node:fs");
const https = require("node:https");
const tls = require("node:tls");
const node = require("aws-iot-device-sdk-v2");
globalThis.window = {}; // which the SDK gives Node's Buffer and process
const browser = require("aws-iot-device-sdk-v2/dist/browser");

const plan = JSON.parse(fs.readFileSync(0, "utf8"));
const { host, region } = plan;
const roots = process.env.SLIPWAY_ROOT_CA;
const httpsPort = Number(process.env.SLIPWAY_HTTPS_PORT);
const alpnPort = Number(process.env.SLIPWAY_ALPN_PORT);

// The SDK's two builds take the same calls, but for what signs and what speaks TLS.
const inNode = {
  sdk: node,
  signed311({ id, secret, token }) {
    const credentials_provider = node.auth.AwsCredentialsProvider.newStatic(id, secret, token);
    return node.iot.AwsIotMqttConnectionConfigBuilder.new_with_websockets({ region, credentials_provider });
  },
  signed5({ id, secret, token }) {
    const credentialsProvider = node.auth.AwsCredentialsProvider.newStatic(id, secret, token);
    return node.iot.AwsIotMqtt5ClientConfigBuilder.newWebsocketMqttBuilderWithSigv4Auth(host, { region, credentialsProvider });
  },
  build311: (builder, port) => builder.with_certificate_authority_from_path(undefined, roots).with_port(port).build(),
  build5: (builder, port) => builder.withCertificateAuthorityFromPath(undefined, roots).withPort(port).build(),
};

const inBrowser = {
  sdk: browser,
  signed311({ id, secret, token }) {
    return browser.iot.AwsIotMqttConnectionConfigBuilder.new_with_websockets().with_credentials(region, id, secret, token);
  },
  signed5({ id, secret, token }) {
    const credentialsProvider = new browser.auth.StaticCredentialProvider(
      { aws_region: region, aws_access_id: id, aws_secret_key: secret, aws_sts_token: token });
    return browser.iot.AwsIotMqtt5ClientConfigBuilder.newWebsocketMqttBuilderWithSigv4Auth(host, { region, credentialsProvider });
  },
  build311(builder, port) {
    const config = builder.build();
    Object.assign(config.websocket, page(port));
    return config;
  },
  build5: (builder, port) => builder.withWebsocketTransportOptions(page(port)).build(),
};

// page is what the browser knows and the SDK does not.
function page(port) {
  const agent = new https.Agent({ ca: fs.readFileSync(roots) });
  agent.createConnection = (options) => tls.connect({ ...options, port });
  return { agent, origin: "https://dashboard.example.com" };
}

function config311(way, who, port, clientId) {
  const builder = who.tokenValue ? vouched311(way.sdk, who) : way.signed311(who);
  return way.build311(builder.with_endpoint(host).with_client_id(clientId).with_clean_session(true), port);
}

function vouched311({ iot }, who) {
  return iot.AwsIotMqttConnectionConfigBuilder.new_with_websockets()
    .with_custom_authorizer(who.username, who.authorizerName, who.tokenSignature, who.password, who.tokenKeyName, who.tokenValue);
}

function config5(way, who, port, clientId) {
  const builder = who.tokenValue ? vouched5(way.sdk, who) : way.signed5(who);
  return way.build5(builder.withConnectProperties({ clientId, keepAliveIntervalSeconds: 60 }), port);
}

function vouched5({ iot }, who) {
  return iot.AwsIotMqtt5ClientConfigBuilder.newWebsocketMqttBuilderWithCustomAuth(host, { ...who, password: Buffer.from(who.password) });
}

// echo311 connects and hears its own message.
async function echo311(way, who, port, name) {
  const { mqtt } = way.sdk;
  const connection = new mqtt.MqttClient().new_connection(config311(way, who, port, name));
  await connection.connect();
  const topic = `echo/${name}`;
  let hear;
  const heard = new Promise((resolve) => { hear = resolve; });
  await connection.subscribe(topic, mqtt.QoS.AtLeastOnce, (_topic, payload) => hear(payload));
  await connection.publish(topic, name, mqtt.QoS.AtLeastOnce);
  assert.equal(Buffer.from(await heard).toString(), name);
  await connection.disconnect();
}

// open5 starts a client and gives it with the event that it could not come in, if
// it could not.
async function open5(way, who, port, name) {
  const client = new way.sdk.mqtt5.Mqtt5Client(config5(way, who, port, name));
  const up = once(client, "connectionSuccess").then(() => undefined);
  const failed = once(client, "connectionFailure").then(([event]) => event);
  client.start();
  return [client, await Promise.race([up, failed])];
}

async function close5(client) {
  const down = once(client, "stopped");
  client.stop();
  await down;
  client.close();
}

// echo5 does as echo311, and what only MQTT 5 has comes through.
async function echo5(way, who, port, name) {
  const [client, failure] = await open5(way, who, port, name);
  assert.ok(!failure, `${name} was not let in: ${failure?.error}`);
  const { QoS } = way.sdk.mqtt5;
  const topicName = `echo/${name}`;
  const heard = once(client, "messageReceived");
  const { reasonCodes } = await client.subscribe({ subscriptions: [{ topicFilter: topicName, qos: QoS.AtLeastOnce }] });
  assert.deepEqual([...reasonCodes], [QoS.AtLeastOnce]);
  const { reasonCode } = await client.publish({
    topicName, qos: QoS.AtLeastOnce, payload: name, contentType: "text/plain", userProperties: [{ name: "way", value: name }],
  });
  assert.equal(reasonCode, 0);
  const [{ message }] = await heard;
  assert.equal(Buffer.from(message.payload).toString(), name);
  assert.equal(message.contentType, "text/plain");
  assert.deepEqual(message.userProperties.map(({ name, value }) => [name, value]), [["way", name]]);
  await close5(client);
}

// refused311 gives the error of a client that must not come in, refused5 the event.
async function refused311(way, who, port, name) {
  const connection = new way.sdk.mqtt.MqttClient().new_connection(config311(way, who, port, name));
  connection.on("error", () => {}); // connect tells of it too
  const error = await connection.connect().then(() => assert.fail(`${name} was let in`), (error) => error);
  await connection.disconnect().catch(() => {});
  return error;
}

async function refused5(way, who, port, name) {
  const [client, failure] = await open5(way, who, port, name);
  await close5(client);
  assert.ok(failure, `${name} was let in`);
  return failure;
}

async function main() {
  const { key, session, wrong, token, denied } = plan;
  for (const [name, who] of Object.entries({ key, session, token })) {
    for (const [where, way] of Object.entries({ node: inNode, browser: inBrowser })) {
      await echo311(way, who, alpnPort, `${where}311${name}`);
      await echo5(way, who, alpnPort, `${where}5${name}`);
    }
  }
  await echo311(inNode, key, httpsPort, "node311https");
  await echo5(inNode, key, httpsPort, "node5https");

  // What a page may know of a refused upgrade is that there was one.
  assert.match(String(await refused311(inNode, wrong, alpnPort, "node311wrong")), /UPGRADE_FAILURE/);
  assert.match(String((await refused5(inNode, wrong, alpnPort, "node5wrong")).error), /UPGRADE_FAILURE/);
  assert.ok(await refused311(inBrowser, wrong, alpnPort, "browser311wrong"));
  assert.equal((await refused5(inBrowser, wrong, alpnPort, "browser5wrong")).connack, undefined);
  for (const [where, way] of Object.entries({ node: inNode, browser: inBrowser })) {
    const { connack } = await refused5(way, denied, alpnPort, `${where}5denied`);
    assert.equal(connack.reasonCode, way.sdk.mqtt5.ConnectReasonCode.NotAuthorized);
  }
}

main().then(() => process.exit(0), (error) => {
  console.error("FAILED:", error);
  process.exit(1);
});
