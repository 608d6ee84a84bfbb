// CloudFront Function (viewer request, JavaScript runtime 2.0) for the behaviors of media, packages and path tokens.
//
// /t/<token>/<path>: the token, a CWT that Penstock made, takes the place of signed cookies; the path behind it goes to
// the origin. Everything else: CloudFront has verified the signed cookie or address; here only its session is looked up.
//
// Key value store: "path-token-keys" is a JSON list of keys, the newest first (two while keys are rotated);
// "revoked/<session id>" and "revoked/<serial>" exist for sessions that were ended before they expire.
import cf from 'cloudfront';

const MAX_TOKEN_CHARS = 1024;
const EXPIRES = 4;
const TOKEN_ID = 7;
const ADDRESS = 312; // catu of CTA-5007
const PATH = 3;
const PREFIX = 1;
const LAST_SERIAL = 999999999;

const REFUSED = {
  statusCode: 403,
  statusDescription: 'Forbidden',
  headers: { 'cache-control': { value: 'no-store' }, 'content-type': { value: 'application/json' } },
  body: '{"error": {"code": "forbidden", "message": "Nothing to see here without a valid playback session.", "request_id": null}}',
};

async function handler(event) {
  const request = event.request;
  try {
    const parts = /^\/t\/([A-Za-z0-9_-]+)(\/.*)$/.exec(request.uri);
    const store = cf.kvs();
    if (parts) {
      if (!(await opens(store, parts[1], parts[2]))) return REFUSED;
      request.uri = parts[2];
      return request;
    }
    if (request.uri.startsWith('/t/')) return REFUSED;
    return (await isRevoked(store, serialOf(request))) ? REFUSED : request;
  } catch (error) {
    return REFUSED; // what cannot be read opens nothing; the reason would be for attackers alone
  }
}

async function opens(store, token, path) {
  if (token.length > MAX_TOKEN_CHARS || !isPlain(path)) return false;
  const claims = await verified(store, token);
  if (!claims || typeof claims[EXPIRES] !== 'number' || Date.now() / 1000 >= claims[EXPIRES]) return false;
  const prefix = claims[ADDRESS][PATH][PREFIX];
  if (typeof prefix !== 'string' || !prefix.endsWith('/') || !decodeURIComponent(path).startsWith(prefix)) return false;
  return !(await isRevoked(store, Buffer.from(claims[TOKEN_ID]).toString()));
}

async function verified(store, token) {
  const raw = Buffer.from(token, 'base64url');
  for (const key of JSON.parse(await store.get('path-token-keys'))) {
    try {
      return cf.cwt.validateToken(raw, { key: key }).payload;
    } catch (error) {
      // Made with another key, or with none of ours.
    }
  }
  return null;
}

// The origin must read the path as it is read here.
function isPlain(path) {
  const decoded = decodeURIComponent(path);
  return !/[%\\\u0000-\u001f\u007f]|\/\/|\/\.{1,2}(\/|$)/.test(decoded) && !/%2f/i.test(path);
}

// The beginning of the policy's time, where Penstock writes the session's serial: a moment before the year 2002.
function serialOf(request) {
  const cookie = request.cookies['CloudFront-Policy'];
  const parameter = request.querystring['Policy'];
  const encoded = parameter ? parameter.value : cookie ? cookie.value : '';
  if (!encoded) return null;
  const text = Buffer.from(encoded.replace(/-/g, '+').replace(/_/g, '=').replace(/~/g, '/'), 'base64').toString();
  const begins = JSON.parse(text).Statement[0].Condition.DateGreaterThan;
  const serial = begins ? begins['AWS:EpochTime'] : 0;
  return serial > 0 && serial <= LAST_SERIAL ? String(serial) : null;
}

async function isRevoked(store, name) {
  return name !== null && (await store.exists(`revoked/${name}`));
}
