// SPDX-License-Identifier: Apache-2.0
// The Futures and Functions services as a stock Node client sees them: whole answers, in which only what differs from run
// to run is replaced. The daemon, with two workers, is at FUTURED_ADDRESS; test_futures_node.py starts it.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import grpc from '@grpc/grpc-js';
import loader from '@grpc/proto-loader';
import protobuf from 'protobufjs';

const { status } = grpc;
const DEADLINE_MS = 60000;
const NO_SUCH_ID = '01890000-0000-7000-8000-000000000000';
const UUID7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const durability = process.env.FUTURED_TEST_STORE === 'none' ? 'DURABILITY_EPHEMERAL' : 'DURABILITY_DURABLE';
const proto = fileURLToPath(new URL('../../proto', import.meta.url));
const loaded = grpc.loadPackageDefinition(loader.loadSync(
  ['futured/v1/futures.proto', 'futured/v1/functions.proto'],
  { includeDirs: [proto], keepCase: true, longs: String, enums: String, bytes: Buffer, oneofs: true },
)).futured.v1;
const rpc = new protobuf.Root();
rpc.resolvePath = (origin, target) => (protobuf.common.get(target) ? target : `${proto}/${target}`);
rpc.loadSync(['google/rpc/status.proto', 'google/rpc/error_details.proto'], { keepCase: true });
const decode = (type, bytes) => rpc.lookupType(type).toObject(rpc.lookupType(type).decode(bytes), { longs: Number });

const credentials = grpc.credentials.createInsecure();
const options = { 'grpc.max_receive_message_length': 4 << 20 };
const futures = new loaded.Futures(process.env.FUTURED_ADDRESS, credentials, options);
const functions = new loaded.Functions(process.env.FUTURED_ADDRESS, credentials, options);
after(() => [futures, functions].forEach((c) => c.close()));

const bytes = (content) => Buffer.from(content);
const task = (name, argument = '', fields = {}) => ({ function: name, argument: bytes(argument), ...fields });
const submit = (name, argument, { group = '', tag = '', view = 0, ...fields } = {}) =>
  ({ task: task(name, argument, fields), group, tag, view });
const run = (name, argument, { announce = false, ...fields } = {}) => ({ submit: submit(name, argument, fields), announce });
const deadline = () => ({ deadline: Date.now() + DEADLINE_MS });

// A call with one answer: what came back, or the error.
function unary(client, method, request, onHeaders = () => {}) {
  return new Promise((resolve, reject) => {
    client[method](request, new grpc.Metadata(), deadline(), (error, reply) => (error ? reject(error) : resolve(reply)))
      .on('metadata', onHeaders);
  });
}

const ask = (method, request) => unary(futures, method, request);

async function all(call) {
  const replies = [];
  for await (const reply of call)
    replies.push(reply);
  return replies;
}

// A stream read message by message.
class Reader {
  constructor(call) { this.at = call[Symbol.asyncIterator](); }

  async next() {
    const { value, done } = await this.at.next();
    assert.equal(done, false, 'the stream has ended');
    return value;
  }

  async rest() {
    const replies = [];
    for (let r = await this.at.next(); !r.done; r = await this.at.next())
      replies.push(r.value);
    return replies;
  }
}

async function finished(id, view = 'VIEW_FULL') {
  const events = await all(futures.Watch({ selector: { ids: [id] }, view }, deadline()));
  const last = events.at(-1); // never a keepalive: the end ends the stream
  return last[last.event];
}

// --- whole answers

const BLANKS = { id: 'ID', revision: 'REVISION', peer: 'PEER', worker: 'WORKER' };

// A copy without what is absent or only the name of an oneof, and with words in place of what differs from run to run.
function blank(value, key = '') {
  if (Array.isArray(value))
    return value.map((v) => blank(v));
  if (Buffer.isBuffer(value) || value === null || typeof value !== 'object')
    return key in BLANKS && value ? BLANKS[key] : value;
  if (/_time$|^time$/.test(key))
    return 'TIME';
  if (/^(user_cpu|system_cpu|wall|mean_run)$/.test(key))
    return 'SPAN';
  const copy = {};
  for (const [k, v] of Object.entries(value))
    if (!/^(max_rss_bytes|outcome|input|content|.*_presence)$/.test(k) && v !== null && v !== undefined)
      copy[k] = blank(v, k);
  return copy;
}

const USAGE = { user_cpu: 'SPAN', system_cpu: 'SPAN', wall: 'SPAN' };
const ERROR = { code: 'UNKNOWN', reason: 'FUNCTION_ERROR', type: '', message: '', retryable: true };

// What the daemon should show, as far as its fields are set.
function future(asked, state, fields = {}) {
  return {
    id: 'ID', state, revision: 'REVISION', task: asked, submit_time: 'TIME', labels: asked.labels,
    effective_options: { durability, retry: { max_attempts: 1 }, on_lost: 'ON_LOST_RETRY' },
    schedule: {}, submitter: { peer: 'PEER' }, argument_size_bytes: String(asked.argument.length), ...fields,
  };
}

function ended(asked, state, outcome, fields = {}) {
  const attempt = { number: 1, worker: 'WORKER', start_time: 'TIME', end_time: 'TIME', usage: USAGE };
  if (outcome.error)
    attempt.error = outcome.error;
  return future(asked, state, {
    start_time: 'TIME', end_time: 'TIME', expire_time: 'TIME', attempts: [attempt], ...outcome, ...fields,
  });
}

const succeeded = (asked, data, fields = {}) => ended(asked, 'STATE_SUCCEEDED', {
  result: { data: bytes(data), size_bytes: String(data.length) },
}, fields);
const failed = (asked, error, fields = {}) => ended(asked, 'STATE_FAILED', { error: { ...ERROR, ...error } }, fields);
const basic = (f) => {
  const { argument, ...rest } = f.task;
  const { data, ...result } = f.result ?? {};
  return { ...f, task: rest, ...(f.result && { result }) };
};

// What is empty on both sides is the same as absent: proto3 does not tell them apart.
function without(value) {
  if (Array.isArray(value))
    return value.map(without);
  if (Buffer.isBuffer(value) || value === null || typeof value !== 'object')
    return value;
  const copy = {};
  for (const [k, v] of Object.entries(value))
    if (!(v === '' || v === 0 || v === '0' || v === false || v === undefined || (Array.isArray(v) && v.length === 0)))
      copy[k] = without(v);
  return copy;
}

const same = (got, wanted) => assert.deepEqual(without(blank(got)), without(wanted));

function refused(error, code, reason, ...fields) {
  assert.equal(error.code, code, error.message);
  const [encoded] = error.metadata.get('grpc-status-details-bin');
  checkStatus(decode('google.rpc.Status', encoded), code, reason, fields);
}

function checkStatus(got, code, reason, fields = []) {
  const details = Object.fromEntries(got.details.map((d) => {
    const name = d.type_url.split('/').at(-1);
    return [name.split('.').at(-1), decode(name, d.value)];
  }));
  assert.equal(got.code, code);
  assert.equal(details.ErrorInfo.reason, reason);
  assert.equal(details.ErrorInfo.domain, 'futured');
  assert.deepEqual((details.BadRequest?.field_violations ?? []).map((v) => v.field), fields);
}

async function fails(promise, code, reason, ...fields) {
  const error = await promise.then(() => assert.fail('it was answered'), (e) => e);
  refused(error, code, reason, ...fields);
}

describe('accept and run', () => {
  it('Submit', async () => {
    const asked = task('echo', 'hello', { content_type: 'text/plain', labels: { a: '1', 'b/c': '' } });
    const got = await ask('Submit', { task: asked, group: 'g', tag: 't' });
    same(got, {
      answer: 'future', tag: 't',
      future: basic(future(asked, 'STATE_PENDING', { pending_reason: 'PENDING_REASON_READY', group: 'g', tag: 't' })),
    });
    assert.match(got.future.id, UUID7);
    const wanted = succeeded(asked, 'hello', { group: 'g', tag: 't' });
    wanted.result.content_type = 'text/plain';
    same(await finished(got.future.id), wanted);
    same(await ask('Get', { id: got.future.id }), wanted);
  });

  it('SubmitStream', async () => {
    const call = futures.SubmitStream(new grpc.Metadata(), deadline());
    [submit('echo', '0', { tag: 'a' }), submit('nothing', '', { tag: 'b' }), submit('fail', '2', { tag: 'c' })]
      .forEach((r) => call.write(r));
    call.end();
    const got = await all(call);
    assert.deepEqual(got.map((r) => [r.answer, r.tag]), [['future', 'a'], ['status', 'b'], ['future', 'c']]);
    assert.equal(got[1].status.code, status.FAILED_PRECONDITION);
    assert.deepEqual([(await finished(got[0].future.id)).state, (await finished(got[2].future.id)).state],
      ['STATE_SUCCEEDED', 'STATE_FAILED']);
  });

  it('Run, with the ID in the initial metadata', async () => {
    for (const size of [0, 1, 65536, 1 << 20]) {
      const data = Buffer.alloc(size, 'x');
      let headers;
      const got = await unary(futures, 'Run', run('sha256', data), (m) => { headers = m; });
      assert.deepEqual(headers.get('futured-id'), [got.id]);
      same(got, succeeded(task('sha256', data), createHash('sha256').update(data).digest('hex')));
    }
  });

  it('Run of a task that fails is OK', async () => {
    const got = await ask('Run', run('fail', 'so be it'));
    same(got, failed(task('fail', 'so be it'), { type: 'FAIL', message: 'so be it' }));
  });

  it('RunStream: tags, announcements, views, a bad item', async () => {
    const call = futures.RunStream(new grpc.Metadata(), deadline());
    const reader = new Reader(call);
    call.write(run('echo', 'x', { tag: 'one', announce: true, view: 'VIEW_RESULT' }));
    const accepted = await reader.next();
    assert.deepEqual([accepted.answer, accepted.tag, accepted.accepted.state], ['accepted', 'one', 'STATE_PENDING']);
    const done = await reader.next();
    same(done, {
      answer: 'finished', tag: 'one',
      finished: { id: 'ID', state: 'STATE_SUCCEEDED', revision: 'REVISION', result: { data: bytes('x'), size_bytes: '1' } },
    });
    assert.equal(done.finished.id, accepted.accepted.id);
    call.write({ tag: 'none' });
    const bad = await reader.next();
    assert.deepEqual([bad.answer, bad.status.code], ['status', status.INVALID_ARGUMENT]);
    call.end();
    assert.deepEqual(await reader.rest(), []);
  });

  it('2,000 through RunStream, each with its own label and tag', async () => {
    const call = futures.RunStream(new grpc.Metadata(), deadline());
    const replies = all(call);
    for (let i = 0; i < 2000; i++)
      if (!call.write(run('echo', `argument ${i}`, { tag: `tag ${i}`, labels: { number: `${i}` } })))
        await new Promise((resolve) => { call.once('drain', resolve); });
    call.end();
    const seen = new Set();
    for (const { tag, finished: f } of await replies) {
      const i = tag.split(' ')[1];
      assert.ok(!seen.has(i));
      seen.add(i);
      assert.deepEqual([f.tag, f.labels, f.task.labels, `${f.task.argument}`, `${f.result.data}`],
        [tag, { number: i }, { number: i }, `argument ${i}`, `argument ${i}`]);
    }
    assert.equal(seen.size, 2000);
  });

  it('what does not fit is left out, and the answer says so', async () => {
    const argument = Buffer.alloc(3 << 20, 'z');
    const got = await ask('Run', { submit: { task: { function: 'echo', argument } } });
    assert.deepEqual([got.omitted, got.task.argument ?? null, got.argument_size_bytes, got.result.size_bytes],
      [true, null, `${3 << 20}`, `${3 << 20}`]);
    assert.ok(got.result.data.equals(argument));
    const alone = await ask('Get', { id: got.id, view: 'VIEW_TASK' });
    assert.ok(alone.task.argument.equals(argument));
    assert.ok(!alone.omitted);
  });
});

describe('look up, wait, change', () => {
  const ids = async (n, fields = {}) => Promise.all(Array.from({ length: n }, async (_, i) =>
    (await ask('Run', run('echo', `${i}`, fields))).id));

  it('Wait', async () => {
    const [a, b] = await ids(2);
    const running = (await ask('Submit', submit('sleep', '1000000'))).future.id;
    const got = await ask('Wait', { selector: { ids: [b, NO_SUCH_ID, running, a, b] }, timeout: { nanos: 50000000 } });
    assert.deepEqual([got.done.map((f) => f.id), got.not_done, got.missing, got.timed_out],
      [[b, a], [running], [NO_SUCH_ID], true]);
    assert.deepEqual([got.counts.succeeded, Number(got.counts.pending ?? 0) + Number(got.counts.running ?? 0)], ['2', 1]);
    assert.equal(got.done[0].result.data ?? null, null);
    const first = await ask('Wait', { selector: { ids: [running, a] }, return_when: 'RETURN_WHEN_FIRST_COMPLETED' });
    assert.deepEqual([first.done.map((f) => f.id), !first.timed_out], [[a], true]);
  });

  it('AsCompleted', async () => {
    const done = await ids(3);
    const call = futures.AsCompleted(new grpc.Metadata(), deadline());
    const reader = new Reader(call);
    call.write({ ids: [...done, NO_SUCH_ID, done[0]] });
    const items = [await reader.next(), await reader.next(), await reader.next(), await reader.next()];
    assert.deepEqual(items.filter((r) => r.item === 'missing').map((r) => r.missing), [NO_SUCH_ID]);
    assert.deepEqual(items.filter((r) => r.item === 'future').map((r) => [r.future.id, `${r.future.result.data}`]),
      done.map((id, i) => [id, `${i}`]));
    const more = (await ask('Submit', submit('echo', 'more'))).future.id;
    call.write({ ids: [more], view: 'VIEW_RESULT' });
    assert.equal((await reader.next()).future.id, more);
    call.end();
    assert.deepEqual(await reader.rest(), []);
  });

  it('Watch ends with the terminal event', async () => {
    const { id } = (await ask('Submit', submit('sleep', '20'))).future;
    const events = (await all(futures.Watch({ selector: { ids: [id] } }, deadline()))).filter((e) => e.event !== 'keepalive');
    assert.equal(events[0].event, 'snapshot');
    assert.ok(events.slice(1).every((e) => e.event === 'state'));
    const states = events.map((e) => e[e.event].state);
    assert.deepEqual([...new Set(states)], states);
    assert.equal(states.at(-1), 'STATE_SUCCEEDED');
  });

  it('Watch of a group goes on from its cursor', async () => {
    const [old] = await ids(1, { group: 'watched' });
    const call = futures.Watch({ selector: { group: 'watched' } }, deadline());
    call.on('error', () => {}); // that we leave
    let reader = new Reader(call);
    const opening = [await reader.next(), await reader.next()];
    assert.deepEqual(opening.map((e) => [e.event, e.id, Boolean(e.cursor)]), [['snapshot', old, false], ['keepalive', undefined, true]]);
    call.cancel();
    const [added] = await ids(1, { group: 'watched' });
    await ask('Annotate', { id: old, set_labels: { k: 'v' } });
    const again = futures.Watch({ selector: { group: 'watched' }, cursor: opening[1].cursor }, deadline());
    again.on('error', () => {});
    reader = new Reader(again);
    const seen = new Map();
    while (seen.get(added) !== 'STATE_SUCCEEDED' || !seen.has(old)) {
      const event = await reader.next();
      assert.ok(['state', 'labels', 'keepalive'].includes(event.event), event.event);
      if (event.event !== 'keepalive')
        seen.set(event.id, event[event.event].state);
    }
    assert.deepEqual([...seen.keys()].sort(), [old, added].sort());
    again.cancel();
    const lost = futures.Watch({ selector: { filter: 'group = watched' }, cursor: { epoch: 99, event: 1 } }, deadline());
    lost.on('error', () => {});
    reader = new Reader(lost);
    const anew = [await reader.next(), await reader.next(), await reader.next(), await reader.next()];
    assert.deepEqual(anew.map((e) => [e.event, e.id]), [['lost', undefined], ['snapshot', old], ['snapshot', added],
      ['keepalive', undefined]]);
    lost.cancel();
  });

  it('List in pages', async () => {
    const wanted = (await ids(7, { group: 'pages' })).sort();
    for (const order_by of ['asc', 'desc']) {
      const seen = [];
      let page_token = '';
      do {
        const page = await ask('List', { selector: { group: 'pages' }, order_by, page_size: 3, page_token });
        seen.push(...page.futures.map((f) => f.id));
        ({ next_page_token: page_token } = page);
      } while (page_token);
      assert.deepEqual(seen, order_by === 'asc' ? wanted : [...wanted].reverse());
    }
  });

  it('Annotate and Delete', async () => {
    const [id] = await ids(1, { labels: { a: '1', b: '2' } });
    const changed = await ask('Annotate', { id, set_labels: { c: '3' }, remove_labels: ['a'] });
    assert.deepEqual([changed.labels, changed.task.labels], [{ b: '2', c: '3' }, { a: '1', b: '2' }]);
    await fails(ask('Annotate', { id, set_labels: { d: '' }, if_revision: '1' }), status.ABORTED, 'REVISION_MISMATCH');
    assert.deepEqual(await ask('Delete', { id }), {});
    await fails(ask('Get', { id }), status.NOT_FOUND, 'NO_SUCH_FUTURE');
  });

  it('ListFunctions and GetFunction', async () => {
    const listed = await unary(functions, 'ListFunctions', {});
    assert.deepEqual(listed.functions.map((f) => f.spec.name), ['echo', 'fail', 'gate', 'gunzip', 'gzip', 'sha256', 'sleep']);
    const one = await unary(functions, 'GetFunction', { function: 'sha256' });
    assert.deepEqual([one.spec.name, one.spec.doc, one.kinds],
      ['sha256', 'SHA-256 of the argument: 64 lower-case hexadecimal characters.', ['FUNCTION_KIND_PLUGIN']]);
    await fails(unary(functions, 'GetFunction', { function: 'nothing' }), status.NOT_FOUND, 'NO_SUCH_FUNCTION');
  });
});

describe('bad requests', () => {
  for (const [name, method, request, code, reason, ...fields] of [
    ['no task', 'Submit', {}, status.INVALID_ARGUMENT, 'INVALID_FIELD', 'task'],
    ['unknown function', 'Run', run('nothing'), status.FAILED_PRECONDITION, 'NO_SUCH_FUNCTION'],
    ['bad name', 'Submit', submit('a b'), status.INVALID_ARGUMENT, 'INVALID_FIELD', 'task.function'],
    ['long group', 'Submit', submit('echo', '', { group: 'g'.repeat(256) }), status.INVALID_ARGUMENT, 'INVALID_FIELD', 'group'],
    ['unknown view', 'Get', { id: NO_SUCH_ID, view: 77 }, status.INVALID_ARGUMENT, 'INVALID_FIELD', 'view'],
    ['negative span', 'Submit', submit('echo', '', { options: { retention: { seconds: -1 } } }), status.INVALID_ARGUMENT,
      'INVALID_FIELD', 'task.options.retention'],
    ['long key', 'Submit', submit('echo', '', { options: { idempotency_key: 'k'.repeat(256) } }), status.INVALID_ARGUMENT,
      'INVALID_FIELD', 'task.options.idempotency_key'],
    ...(durability === 'DURABILITY_EPHEMERAL' ? [['durable without a store', 'Submit',
      submit('echo', '', { options: { durability: 'DURABILITY_DURABLE' } }), status.FAILED_PRECONDITION, 'NO_STORE']] : []),
    ['malformed ID', 'Get', { id: 'x' }, status.INVALID_ARGUMENT, 'INVALID_FIELD', 'id'],
    ['unknown ID', 'Get', { id: NO_SUCH_ID }, status.NOT_FOUND, 'NO_SUCH_FUTURE'],
    ['empty selector', 'Wait', {}, status.INVALID_ARGUMENT, 'INVALID_FIELD', 'selector'],
    ['two selectors', 'List', { selector: { group: 'g', filter: '*' } }, status.INVALID_ARGUMENT, 'INVALID_FIELD', 'selector'],
    ['large page', 'List', { selector: { filter: '*' }, page_size: 1001 }, status.INVALID_ARGUMENT, 'INVALID_FIELD', 'page_size'],
    ['foreign token', 'List', { selector: { filter: '*' }, page_token: 'x' }, status.INVALID_ARGUMENT, 'INVALID_FIELD', 'page_token'],
    ['bad filter', 'Count', { selector: { filter: 'state = DONE' } }, status.INVALID_ARGUMENT, 'INVALID_FIELD', 'selector.filter'],
    ['too large', 'Submit', submit('echo', Buffer.alloc(4 << 20)), status.RESOURCE_EXHAUSTED, 'MESSAGE_TOO_LARGE'],
  ])
    it(`${method}: ${name}`, async () => {
      await fails(ask(method, request), code, reason, ...fields);
      assert.equal(`${(await ask('Run', run('echo', 'on'))).result.data}`, 'on');
    });
});
