// SPDX-License-Identifier: Apache-2.0
// What goes over the wire, seen by an HTTP/2 client that knows nothing of gRPC: header blocks and their order, and
// a deadline that only the server keeps.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import http2 from 'node:http2';

const GRPC = { ':method': 'POST', 'content-type': 'application/grpc', te: 'trailers' };

// One request; resolves to { headers, trailers, body, code } when its stream has closed.
function request(t, headers, body, options = {}) {
  const session = http2.connect(`http://${process.env.FUTURED_V4}`);
  t.after(() => session.destroy());
  return new Promise((resolve, reject) => {
    const stream = session.request({ ...GRPC, ...headers }, { endStream: options.endStream ?? false });
    const got = { body: Buffer.alloc(0) };
    session.on('error', reject);
    stream.on('error', reject);
    stream.on('response', (h) => { got.headers = h; });
    stream.on('trailers', (h) => { got.trailers = h; });
    stream.on('data', (d) => { got.body = Buffer.concat([got.body, d]); });
    stream.on('close', () => resolve({ ...got, code: stream.rstCode }));
    if (body)
      stream.write(body);
    if (!options.keepOpen && !options.endStream)
      stream.end();
  });
}

function message(payload) {
  const head = Buffer.alloc(7);
  head.writeUInt32BE(payload.length + 2, 1);
  head[5] = 0x0a;
  head[6] = payload.length;
  return Buffer.concat([head, payload]);
}

const hello = message(Buffer.from('hello'));
const UNARY = '/futured.test.v1.Echo/Unary';
const HANG = '/futured.test.v1.Echo/Hang';
const BIDI = '/futured.test.v1.Echo/Bidi';

test('a reply: headers, message, trailers', async (t) => {
  const { headers, trailers, body, code } = await request(t, { ':path': UNARY }, hello);
  assert.equal(headers[':status'], 200);
  assert.equal(headers['content-type'], 'application/grpc');
  assert.equal(headers['grpc-status'], undefined);
  assert.equal(trailers['grpc-status'], '0');
  assert.deepEqual(body, hello);
  assert.equal(code, 0);
});

test('an error before any message is trailers-only', async (t) => {
  const { headers, trailers, body } = await request(t, { ':path': '/no.such/Method' }, hello);
  assert.equal(headers[':status'], 200);
  assert.equal(headers['content-type'], 'application/grpc');
  assert.equal(headers['grpc-status'], '12');
  assert.equal(trailers, undefined);
  assert.equal(body.length, 0);
});

test('an early end resets the stream with NO_ERROR', async (t) => {
  const { headers, code } = await request(t, { ':path': '/no.such/Method' }, hello, { keepOpen: true });
  assert.equal(headers['grpc-status'], '12');
  assert.equal(code, http2.constants.NGHTTP2_NO_ERROR);
});

test('the server keeps the deadline by itself', async (t) => {
  const { headers, trailers } = await request(t, { ':path': HANG, 'grpc-timeout': '100m' }, hello);
  assert.equal({ ...headers, ...trailers }['grpc-status'], '4');
});

test('every unit of grpc-timeout is understood', async (t) => {
  for (const timeout of ['1n', '1u', '1m', '99999999n']) {
    const { headers, trailers } = await request(t, { ':path': HANG, 'grpc-timeout': timeout }, hello);
    assert.equal({ ...headers, ...trailers }['grpc-status'], '4', timeout);
  }
  for (const timeout of ['1H', '99999999H', '10M', '100S']) {
    const { trailers } = await request(t, { ':path': UNARY, 'grpc-timeout': timeout }, hello);
    assert.equal(trailers['grpc-status'], '0', timeout);
  }
});

test('a malformed grpc-timeout is refused', async (t) => {
  for (const timeout of ['', '1', 'm', '-1m', '1.5S', '123456789m', '1x']) {
    const { headers, trailers } = await request(t, { ':path': UNARY, 'grpc-timeout': timeout }, hello);
    const status = { ...headers, ...trailers }['grpc-status'];
    assert.ok(status !== undefined && status !== '0', `${timeout}: ${status}`);
  }
});

test('content types', async (t) => {
  for (const type of ['application/grpc', 'application/grpc+proto', 'application/grpc;charset=utf-8']) {
    const { trailers } = await request(t, { ':path': UNARY, 'content-type': type }, hello);
    assert.equal(trailers['grpc-status'], '0', type);
  }
  for (const type of ['application/json', 'application/grpc-web', 'application/grpcx', 'text/plain']) {
    const { headers } = await request(t, { ':path': UNARY, 'content-type': type }, hello);
    assert.equal(headers[':status'], 415, type);
  }
});

test('what is compressed is refused, and the refusal says what is taken', async (t) => {
  const { headers } = await request(t, { ':path': UNARY, 'grpc-encoding': 'gzip' }, hello);
  assert.equal(headers['grpc-status'], '12');
  assert.equal(headers['grpc-accept-encoding'], 'identity');
  const flagged = Buffer.from(hello);
  flagged[0] = 1;
  const other = await request(t, { ':path': UNARY, 'grpc-encoding': 'identity' }, flagged);
  assert.ok(!['0', undefined].includes({ ...other.headers, ...other.trailers }['grpc-status']));
});

test('a unary request must be one message', async (t) => {
  for (const body of [null, hello.subarray(0, 3), hello.subarray(0, 9), Buffer.concat([hello, hello])]) {
    const { headers, trailers } = await request(t, { ':path': UNARY }, body);
    const status = { ...headers, ...trailers }['grpc-status'];
    assert.ok(!['0', undefined].includes(status), `${body?.length}: ${status}`);
  }
});

test('a stream cut in the middle of a message is refused', async (t) => {
  const cut = Buffer.concat([hello, hello.subarray(0, 8)]);
  const { headers, trailers } = await request(t, { ':path': BIDI }, cut);
  assert.ok(!['0', undefined].includes({ ...headers, ...trailers }['grpc-status']));
});

test('a message cut at every byte arrives whole', async (t) => {
  for (let at = 1; at < hello.length; at++) {
    const session = http2.connect(`http://${process.env.FUTURED_V4}`);
    t.after(() => session.destroy());
    const body = await new Promise((resolve, reject) => {
      const stream = session.request({ ...GRPC, ':path': UNARY });
      let got = Buffer.alloc(0);
      stream.on('error', reject);
      stream.on('data', (d) => { got = Buffer.concat([got, d]); });
      stream.on('close', () => resolve(got));
      stream.write(hello.subarray(0, at), () => stream.end(hello.subarray(at)));
    });
    assert.deepEqual(body, hello);
  }
});
