// SPDX-License-Identifier: Apache-2.0
// A stock Node client under TLS: who shows a certificate that counts is served, others are not.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import grpc from '@grpc/grpc-js';
import loader from '@grpc/proto-loader';

const file = (path) => fileURLToPath(new URL(`../../../${path}`, import.meta.url));
const { Echo } = grpc.loadPackageDefinition(loader.loadSync('echo.proto', { includeDirs: [file('tests/support')] }))
  .futured.test.v1;
const pem = (name) => readFileSync(`${process.env.FUTURED_CERTS}/${name}`);

// What became of one call: the payload, or the status code.
function call(who, ca = 'ca', options = {}, address = process.env.FUTURED_TLS) {
  const credentials = grpc.credentials.createSsl(pem(`${ca}.crt`), who ? pem(`${who}.key`) : null,
    who ? pem(`${who}.crt`) : null);
  const client = new Echo(address, credentials, { 'grpc.use_local_subchannel_pool': 1, ...options });
  return new Promise((resolve) => {
    client.unary({ payload: Buffer.from('abc') }, { deadline: Date.now() + 60000 }, (error, reply) => {
      client.close();
      resolve(error ? error.code : reply.payload.toString());
    });
  });
}

describe('TLS', () => {
  it('serves who has a certificate', async () => {
    assert.equal(await call('alice'), 'abc');
    assert.equal(await call('bob'), 'abc');
  });
  it('does not serve others', async () => {
    for (const who of [null, 'expired', 'mallory'])
      assert.equal(await call(who), grpc.status.UNAVAILABLE, who);
  });
  it('serves who has none where that is optional', async () => {
    const optional = process.env.FUTURED_TLS_OPTIONAL;
    assert.equal(await call(null, 'ca', {}, optional), 'abc');
    assert.equal(await call('alice', 'ca', {}, optional), 'abc');
    assert.equal(await call('mallory', 'ca', {}, optional), grpc.status.UNAVAILABLE);
  });
  it('is not trusted where it should not be', async () => {
    assert.equal(await call('alice', 'other'), grpc.status.UNAVAILABLE);
    assert.equal(await call('alice', 'ca', { 'grpc.ssl_target_name_override': 'elsewhere.example' }), grpc.status.UNAVAILABLE);
  });
});
