// An authorization server for tests: oidc-provider with everything on that a mail provider has, and a way to tell it
// what to do wrong. tests/servers/authorization.py starts it, and speaks to it over a second port.
import * as http from 'node:http';
import * as https from 'node:https';
import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';

import * as jose from 'jose';
import Provider, { errors } from 'oidc-provider';

const { host, port, cert, key } = JSON.parse(process.argv[2]);
const scheme = cert ? 'https' : 'http';
const issuer = `${scheme}://${host}:${port}`;
const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const GRANTS = ['authorization_code', 'refresh_token', 'client_credentials'];

const USUAL = {
  accessSeconds: 3600, deviceSeconds: 600, jwt: false, rotate: false, delay: 0, status: 0, headers: {}, body: '<p>out of order</p>',
};
let behaviour = { ...USUAL };
let requests = []; // to the token endpoint
const passwords = new Map(); // by user
const grants = new Map(); // what a user has given, by user

const provider = new Provider(issuer, {
  scopes: ['openid', 'offline_access', 'imap'],
  clientDefaults: { grant_types: GRANTS, response_types: ['code'], id_token_signed_response_alg: 'RS256' },
  clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none'],
  cookies: { keys: [randomBytes(16).toString('hex')] },
  jwks: { keys: [generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' })] },
  pkce: { required: () => true },
  features: {
    clientCredentials: { enabled: true },
    deviceFlow: { enabled: true },
    introspection: { enabled: true },
    registration: { enabled: true },
    // A token that a mail server judges for itself (RFC 9068), instead of one that it has to ask about.
    resourceIndicators: {
      enabled: true,
      defaultResource: () => (behaviour.jwt ? 'urn:imap' : undefined),
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        scope: 'imap', accessTokenFormat: 'jwt', accessTokenTTL: behaviour.accessSeconds, jwt: { sign: { alg: 'RS256' } },
      }),
    },
    revocation: { enabled: true },
  },
  ttl: {
    AccessToken: () => behaviour.accessSeconds,
    ClientCredentials: () => behaviour.accessSeconds,
    DeviceCode: () => behaviour.deviceSeconds,
    Grant: 86400,
    Interaction: 3600,
    RefreshToken: 86400,
    Session: 86400,
  },
  formats: { customizers: { jwt: (ctx, token, jwt) => { jwt.header = { ...jwt.header, typ: 'JWT' }; } } },
  issueRefreshToken: async (ctx, client) => client.grantTypeAllowed('refresh_token'),
  rotateRefreshToken: () => behaviour.rotate,
  findAccount: (ctx, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
  renderError: (ctx, out) => { ctx.type = 'text'; ctx.body = `${out.error}: ${out.error_description}`; },
});

for (const kind of ['access_token', 'refresh_token']) {
  provider.on(`${kind}.saved`, ({ accountId, grantId }) => {
    if (grantId) grants.set(accountId, (grants.get(accountId) ?? new Set()).add(grantId));
  });
}

// Grants that oidc-provider leaves to whoever wants them.

// An InvalidGrant of its own keeps its reason for the log.
const refused = (description) => new errors.CustomOIDCProviderError('invalid_grant', description);

async function answer(ctx, accountId, gty) {
  const { client, params: { scope } } = ctx.oidc;
  const token = new provider.AccessToken({ client, accountId, gty, scope });
  ctx.oidc.entity('AccessToken', token);
  ctx.body = { access_token: await token.save(), expires_in: token.expiration, token_type: 'Bearer' };
}

provider.registerGrantType('password', async (ctx, next) => {
  const { username, password } = ctx.oidc.params;
  if (!passwords.has(username) || passwords.get(username) !== password) {
    throw refused('the name or the password is wrong');
  }
  await answer(ctx, username, 'password');
  await next();
}, ['username', 'password', 'scope']);

// RFC 7523 section 2.1, as Google has it: whoever signs is the client, and `sub` whose mailbox is wanted.
provider.registerGrantType(JWT_BEARER, async (ctx, next) => {
  const { client, params: { assertion } } = ctx.oidc;
  let claims;
  try {
    const { payload } = await jose.jwtVerify(assertion, jose.createLocalJWKSet(client.jwks), {
      audience: `${issuer}/token`, issuer: client.clientId, algorithms: ['RS256'], maxTokenAge: '1 hour',
    });
    claims = payload;
  } catch (error) {
    throw refused('the assertion is not valid');
  }
  if (!passwords.has(claims.sub)) throw refused('there is no such user');
  ctx.oidc.params.scope = claims.scope;
  await answer(ctx, claims.sub, 'jwt-bearer');
  await next();
}, ['assertion', 'scope']);

// What is seen of a request, and what becomes of it.

const seen = (params) => Object.fromEntries(
  ['grant_type', 'client_id', 'scope'].filter((name) => params[name]).map((name) => [name, params[name]]),
);
const wait = (seconds) => new Promise((resolve) => { setTimeout(resolve, seconds * 1000); });

provider.use(async (ctx, next) => {
  // The pages of oidc-provider would have a font from elsewhere.
  ctx.set('Content-Security-Policy', "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'");
  if (ctx.path !== '/token' || ctx.method !== 'POST') return next();
  const params = Object.fromEntries(new URLSearchParams(await text(ctx.req)));
  if (params.grant_type === JWT_BEARER && !params.client_id) {
    try { params.client_id = jose.decodeJwt(params.assertion).iss; } catch { /* it is refused below */ }
  }
  ctx.req.body = params;
  const refresh = params.refresh_token && createHash('sha256').update(params.refresh_token).digest('hex');
  requests.push({ ...seen(params), ...(refresh && { refresh }) });
  await wait(behaviour.delay);
  if (behaviour.status) {
    ctx.status = behaviour.status;
    ctx.set(behaviour.headers);
    ctx.body = behaviour.body;
    return undefined;
  }
  return next();
});

// Starting and stopping

const listening = (server, at) => new Promise((resolve, reject) => {
  server.once('error', reject);
  server.listen(at, host, () => resolve(server.address().port));
});
const handler = provider.callback();
const make = () => (cert
  ? https.createServer({ cert: readFileSync(cert), key: readFileSync(key) }, handler) : http.createServer(handler));
let server;

async function down() {
  const ending = server;
  server = undefined;
  if (!ending) return;
  const closed = new Promise((resolve) => { ending.close(resolve); });
  ending.closeAllConnections();
  await closed;
}

async function up() {
  if (server) return;
  server = make();
  await listening(server, port);
}

const orders = {
  behave: (changes) => { behaviour = { ...USUAL, ...changes }; },
  user: ({ name, password }) => { passwords.set(name, password); },
  requests: () => requests,
  forget: () => { requests = []; },
  async revoke({ name }) {
    for (const grantId of grants.get(name) ?? []) {
      await (await provider.Grant.find(grantId))?.destroy();
      await provider.AccessToken.revokeByGrantId(grantId);
      await provider.RefreshToken.revokeByGrantId(grantId);
    }
    grants.delete(name);
    passwords.delete(name);
  },
  down,
  up,
};

await up();
const control = http.createServer(async (request, response) => {
  const { order, ...values } = JSON.parse(await text(request));
  response.end(JSON.stringify((await orders[order](values)) ?? null));
});
console.log(JSON.stringify({ issuer, control: await listening(control, 0) }));
process.stdin.resume().on('end', () => process.exit()); // whoever started it is gone
