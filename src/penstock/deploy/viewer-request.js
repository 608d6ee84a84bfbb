// CloudFront Function (viewer request, JavaScript runtime 2.0) for the behaviors of media, packages and path tokens.
//
// /t/<token>/<path>: the token, a CWT that Penstock made, takes the place of signed cookies; the path behind it goes to
// the origin. Everything else: CloudFront has verified the signed cookie or address; here its session is looked up, and
// the token beside the cookies of a session (Penstock-Session) is asked for what the session is bound to.
//
// Checked here: expiry, path, revocation, IPv4 network, autonomous system, country, user agent. The last two but one are
// CloudFront's own headers, which the behavior's origin request policy has to name (CloudFront-Viewer-ASN, -Country).
// Not checked, for functions cannot: DPoP proofs, IPv6 networks (tokens bound to them are refused), pace.
//
// Key value store: "path-token-keys" is a JSON list of keys, the newest first (two while keys are rotated);
// "revoked/<session id>" and "revoked/<serial>" exist for sessions that were ended before they expire.
import cf from 'cloudfront';
import crypto from 'crypto';

const MAX_TOKEN_CHARS = 1024;
const EXPIRES = 4;
const ISSUED = 6;
const TOKEN_ID = 7;
const ADDRESS = 312; // catu of CTA-5007
const PATH = 3;
const PREFIX = 1;
const CONFIRMATION = 8;
const SESSION = -65537;
const SERIAL = 1;
const BINDING = -65538;
const NETWORK = 1;
const ASN = 2;
const COUNTRY = 3;
const USER_AGENT = 4;
const AHEAD_S = 60;
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
      if (!(await opened(store, parts[1], parts[2], event))) return REFUSED;
      request.uri = parts[2];
      return request;
    }
    if (request.uri.startsWith('/t/')) return REFUSED;
    const serial = serialOf(request);
    if (serial === null) return request;
    const beside = request.cookies['Penstock-Session'];
    const claims = beside && !beside.multiValue ? await opened(store, beside.value, request.uri, event) : null;
    if (!claims || String(claims[SESSION][SERIAL]) !== serial) return REFUSED;
    return (await isRevoked(store, serial)) ? REFUSED : request;
  } catch (error) {
    return REFUSED; // what cannot be read opens nothing; the reason would be for attackers alone
  }
}

// The claims of a token that opens the path for this viewer, else null.
async function opened(store, token, path, event) {
  if (token.length > MAX_TOKEN_CHARS || !isPlain(path)) return null;
  const claims = await verified(store, token);
  if (!claims || typeof claims[EXPIRES] !== 'number' || Date.now() / 1000 >= claims[EXPIRES]) return null;
  if (typeof claims[ISSUED] !== 'number' || claims[ISSUED] > Date.now() / 1000 + AHEAD_S) return null;
  const prefix = claims[ADDRESS][PATH][PREFIX];
  if (typeof prefix !== 'string' || !prefix.endsWith('/') || !decodeURIComponent(path).startsWith(prefix)) return null;
  if (claims[CONFIRMATION] || !isMeant(claims[BINDING] || {}, event)) return null;
  return (await isRevoked(store, Buffer.from(claims[TOKEN_ID]).toString())) ? null : claims;
}

function isMeant(binding, event) {
  const header = (name) => (event.request.headers[name] ? event.request.headers[name].value : '');
  const checks = {};
  checks[NETWORK] = (network) => isInside(event.viewer.ip, network);
  checks[ASN] = (asn) => header('cloudfront-viewer-asn') === String(asn);
  checks[COUNTRY] = (country) => header('cloudfront-viewer-country') === country;
  checks[USER_AGENT] = (hash) =>
    crypto.createHash('sha256').update(header('user-agent')).digest('hex') === Buffer.from(hash).toString('hex');
  return Object.keys(binding).every((label) => checks[label] && checks[label](binding[label]));
}

function isInside(ip, network) {
  const parts = network.split('/');
  const wanted = ipv4(parts[0]);
  const found = ipv4(ip);
  const size = Math.pow(2, 32 - Number(parts[1]));
  return wanted !== null && found !== null && Math.floor(wanted / size) === Math.floor(found / size);
}

function ipv4(text) {
  const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  return parts ? parts.slice(1).reduce((sum, part) => sum * 256 + Number(part), 0) : null;
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
