// SPDX-License-Identifier: Apache-2.0
// Calls as a stock Node client makes them: every kind, large messages, deadlines, cancels, errors, metadata.
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import grpc from '@grpc/grpc-js';
import loader from '@grpc/proto-loader';
import protobuf from 'protobufjs';

const { status } = grpc;
const DEADLINE_MS = 60000;
const file = (path) => fileURLToPath(new URL(`../../../${path}`, import.meta.url));
const load = (path, dir) =>
  grpc.loadPackageDefinition(loader.loadSync(path, { includeDirs: [dir], longs: Number, keepCase: true, bytes: Buffer }));
const { Echo } = load('echo.proto', file('tests/support')).futured.test.v1;
const rpc = new protobuf.Root();
rpc.resolvePath = (origin, target) => (protobuf.common.get(target) ? target : file(`proto/${target}`));
rpc.loadSync(['google/rpc/status.proto', 'google/rpc/error_details.proto'], { keepCase: true });
const decode = (type, bytes) => rpc.lookupType(type).toObject(rpc.lookupType(type).decode(bytes), { longs: Number });
const { Health } = load('grpc/health/v1/health.proto', file('proto')).grpc.health.v1;

const clients = [];
after(() => clients.forEach((c) => c.close()));

function connect(Service = Echo, address = process.env.FUTURED_V4, options = {}) {
  const client = new Service(address, grpc.credentials.createInsecure(),
    { 'grpc.use_local_subchannel_pool': 1, 'grpc.max_receive_message_length': 64 << 20, ...options });
  clients.push(client);
  return client;
}

const deadline = (ms = DEADLINE_MS) => ({ deadline: Date.now() + ms });

// A call with one answer: what came back, or the error.
function unary(client, method, request, metadata = new grpc.Metadata(), options = deadline()) {
  return new Promise((resolve, reject) => {
    let initial;
    client[method](request, metadata, options, (error, reply) => (error ? reject(error) : resolve({ reply, initial })))
      .on('metadata', (m) => { initial = m; });
  });
}

async function all(call) {
  const replies = [];
  for await (const reply of call)
    replies.push(reply);
  return replies;
}

// Write all of @requests as fast as the call takes them, then end.
async function write(call, requests) {
  for (const request of requests)
    if (!call.write(request))
      await new Promise((resolve) => call.once('drain', resolve));
  call.end();
}

const pattern = (n, seed = 0) => Buffer.from(Array.from({ length: n }, (_, i) => (i * 7 + (i >> 8) + seed) & 255));

async function statsUntil(client, predicate) {
  const watch = client.WatchStats({}, deadline());
  for await (const stats of watch) {
    if (predicate(stats)) {
      watch.on('error', () => {});
      watch.cancel();
      return stats;
    }
  }
  throw new Error('the counters never came to what was waited for');
}

describe('every kind of call', () => {
  for (const name of ['FUTURED_V4', 'FUTURED_V6', 'FUTURED_UNIX']) {
    const address = process.env[name];

    it(`unary ${name}`, async () => {
      const client = connect(Echo, address);
      for (const size of [0, 1, 100, 127, 128, 16384, 65536, 1 << 20]) {
        const payload = pattern(size, size);
        assert.deepEqual((await unary(client, 'Unary', { payload })).reply.payload, payload);
      }
    });

    it(`client stream ${name}`, async () => {
      const client = connect(Echo, address);
      const payloads = Array.from({ length: 500 }, (_, i) => pattern(i % 700, i));
      const reply = await new Promise((resolve, reject) => {
        const call = client.ClientStream(new grpc.Metadata(), deadline(), (e, r) => (e ? reject(e) : resolve(r)));
        write(call, payloads.map((payload) => ({ payload })));
      });
      assert.deepEqual({ ...reply }, { count: 500, payload_bytes: payloads.reduce((n, p) => n + p.length, 0) });
    });

    it(`server stream ${name}`, async () => {
      const replies = await all(connect(Echo, address).ServerStream({ count: 2000, reply_bytes: 500 }, deadline()));
      assert.deepEqual(replies.map((r) => r.payload.toString()), Array(2000).fill('x'.repeat(500)));
    });

    it(`bidi ${name}`, async () => {
      const payloads = Array.from({ length: 1000 }, (_, i) => pattern(i % 900, i));
      const call = connect(Echo, address).Bidi(deadline());
      const [replies] = await Promise.all([all(call), write(call, payloads.map((payload) => ({ payload })))]);
      assert.deepEqual(replies.map((r) => r.payload), payloads);
    });
  }
});

describe('sizes', () => {
  it('3 MB both ways', async () => {
    const payload = pattern(3 << 20);
    const client = connect();
    assert.ok((await unary(client, 'Unary', { payload })).reply.payload.equals(payload));
    const call = client.Bidi(deadline());
    const [replies] = await Promise.all([all(call), write(call, [{ payload }, { payload }])]);
    assert.ok(replies.length === 2 && replies.every((r) => r.payload.equals(payload)));
  });

  it('too large a message, and the connection goes on', async () => {
    const client = connect(Echo, process.env.FUTURED_V4, { 'grpc.max_send_message_length': -1 });
    // Once a connection: Node keeps what it could not send, and refuses all answers when that is more than 10 MB.
    await assert.rejects(unary(client, 'Unary', { payload: Buffer.alloc(4 << 20) }), { code: status.RESOURCE_EXHAUSTED });
    assert.equal((await unary(client, 'Unary', { payload: Buffer.from('after') })).reply.payload.toString(), 'after');
  });
});

describe('ends', () => {
  it('deadline', async () => {
    const client = connect();
    const before = await statsUntil(client, () => true);
    await assert.rejects(unary(client, 'Hang', {}, new grpc.Metadata(), deadline(200)), { code: status.DEADLINE_EXCEEDED });
    await statsUntil(client, (s) => s.open === 0 &&
      s.cancelled + s.deadline_exceeded === before.cancelled + before.deadline_exceeded + 1);
  });

  it('cancel', async () => {
    const client = connect();
    const before = await statsUntil(client, () => true);
    const ended = new Promise((resolve) => {
      const call = client.Hang({}, new grpc.Metadata(), deadline(), resolve);
      statsUntil(client, (s) => s.open === 1).then(() => call.cancel());
    });
    assert.equal((await ended).code, status.CANCELLED);
    await statsUntil(client, (s) => s.open === 0 && s.cancelled === before.cancelled + 1);
  });

  it('cancel of a stream under way', async () => {
    const client = connect();
    const before = await statsUntil(client, () => true);
    const call = client.ServerStream({ count: 1000000, reply_bytes: 1000 }, deadline());
    let n = 0;
    await assert.rejects(async () => {
      for await (const reply of call) {
        assert.equal(reply.payload.length, 1000);
        if (++n === 100)
          call.cancel();
      }
    }, { code: status.CANCELLED });
    await statsUntil(client, (s) => s.open === 0 && s.cancelled === before.cancelled + 1);
  });
});

describe('errors', () => {
  it('unknown method', async () => {
    const client = connect();
    const call = (path) => new Promise((resolve) => {
      client.makeUnaryRequest(path, () => Buffer.alloc(0), (b) => b, {}, new grpc.Metadata(), deadline(), resolve);
    });
    for (const path of ['/futured.test.v1.Echo/Nothing', '/no.such.Service/Method'])
      assert.equal((await call(path)).code, status.UNIMPLEMENTED);
  });

  it('compressed', async () => {
    const client = connect(Echo, process.env.FUTURED_V4, { 'grpc.default_compression_algorithm': 2 });
    await assert.rejects(unary(client, 'Unary', { payload: Buffer.alloc(10000) }), { code: status.UNIMPLEMENTED });
  });

  it('text and details', async () => {
    const message = '100 % of Füße, 事件 \u{1F600}\nsecond line';
    const fail = { code: status.INVALID_ARGUMENT, message, reason: 'BAD_SHAPE', field: 'task.labels', retry_delay_ms: 1500 };
    const error = await unary(connect(), 'Unary', { fail }).then(() => null, (e) => e);
    assert.equal(error.code, status.INVALID_ARGUMENT);
    assert.equal(error.details, message);
    const [binary] = error.metadata.get('grpc-status-details-bin');
    const got = decode('google.rpc.Status', binary);
    assert.deepEqual([got.code, got.message], [status.INVALID_ARGUMENT, message]);
    const details = Object.fromEntries(got.details.map((any) => {
      const name = any.type_url.split('/')[1];
      return [name, decode(name, any.value)];
    }));
    assert.equal(details['google.rpc.ErrorInfo'].reason, 'BAD_SHAPE');
    assert.equal(details['google.rpc.ErrorInfo'].domain, 'futured');
    assert.deepEqual(details['google.rpc.BadRequest'].field_violations.map((v) => [v.field, v.description]),
      [['task.labels', message]]);
    assert.deepEqual(details['google.rpc.RetryInfo'].retry_delay, { seconds: 1, nanos: 500000000 });
  });
});

describe('metadata', () => {
  it('text and binary, there and back', async () => {
    const client = connect();
    const every = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    for (const binary of [Buffer.from([0]), Buffer.from('ab'), every]) {
      const metadata = new grpc.Metadata();
      metadata.set('x-echo', 'some text; with = signs');
      metadata.set('x-echo-bin', binary);
      const { initial } = await unary(client, 'Unary', {}, metadata);
      assert.deepEqual(initial.get('x-echo'), ['some text; with = signs']);
      assert.deepEqual(initial.get('x-echo-bin'), [binary]);
    }
  });

  it('before the answer', async () => {
    const client = connect();
    await new Promise((resolve, reject) => {
      const call = client.Hang({ headers_first: true }, new grpc.Metadata(), deadline(), (error) => {
        if (error.code === status.CANCELLED)
          resolve();
        else
          reject(error);
      });
      call.on('metadata', () => call.cancel());
    });
  });
});

describe('health', () => {
  it('check and watch', async () => {
    const client = connect(Health);
    assert.equal((await unary(client, 'Check', { service: '' })).reply.status, 1);
    await assert.rejects(unary(client, 'Check', { service: 'no.such' }), { code: status.NOT_FOUND });
    const watch = client.Watch({ service: 'futured.test.v1.Echo' }, deadline());
    watch.on('error', () => {});
    for await (const reply of watch) {
      assert.equal(reply.status, 1);
      watch.cancel();
      break;
    }
  });
});
