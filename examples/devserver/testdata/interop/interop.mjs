// A client in another language: openid-client does client credentials, the JWT profile and introspection against a devserver. It
// gets what it needs as JSON on standard input and prints what it saw as JSON.
import { createPrivateKey } from 'node:crypto'
import { text } from 'node:stream/consumers'
import { SignJWT, importPKCS8 } from 'jose'
import * as client from 'openid-client'

const given = JSON.parse(await text(process.stdin))
const issuer = new URL(given.issuer)
const insecure = { execute: [client.allowInsecureRequests] } // the devserver speaks http on loopback

// ZITADEL's key files hold PKCS#1; WebCrypto takes PKCS#8.
const load = (pem) => importPKCS8(createPrivateKey(pem).export({ type: 'pkcs8', format: 'pem' }), 'RS256')

const scope = `openid profile urn:zitadel:iam:org:project:id:${given.projectId}:aud`

// Client credentials, with the secret in the Authorization header.
const bot = await client.discovery(issuer, given.user.clientId, undefined, client.ClientSecretBasic(given.user.clientSecret), insecure)
const byBasic = await client.clientCredentialsGrant(bot, { scope })

// Client credentials, with the secret in the form.
const botPost = await client.discovery(issuer, given.user.clientId, undefined, client.ClientSecretPost(given.user.clientSecret), insecure)
const byPost = await client.clientCredentialsGrant(botPost, { scope })

// The JWT profile, RFC 7523 section 2.1.
const assertion = await new SignJWT()
  .setProtectedHeader({ alg: 'RS256', kid: given.userKey.keyId })
  .setIssuer(given.userKey.userId)
  .setSubject(given.userKey.userId)
  .setAudience(given.issuer)
  .setIssuedAt()
  .setExpirationTime('5m')
  .sign(await load(given.userKey.key))
// The id_token that comes along names the login name as its client, so that is who asks.
const anyone = await client.discovery(issuer, given.user.clientId, undefined, client.None(), insecure)
const byKey = await client.genericGrantRequest(anyone, 'urn:ietf:params:oauth:grant-type:jwt-bearer', { assertion, scope })

// Introspection, by private_key_jwt and by Basic.
const apiKey = { key: await load(given.apiKey.key), kid: given.apiKey.keyId }
const api = await client.discovery(issuer, given.apiKey.clientId, undefined, client.PrivateKeyJwt(apiKey), insecure)
const apiBasic = await client.discovery(issuer, given.api.clientId, undefined, client.ClientSecretBasic(given.api.clientSecret), insecure)

// A wrong secret has to be told as an error.
const wrong = await client.discovery(issuer, given.user.clientId, undefined, client.ClientSecretBasic('wrong'), insecure)
const refused = await client.clientCredentialsGrant(wrong, { scope }).then(() => null, (err) => ({ error: err.error, status: err.status }))

console.log(JSON.stringify({
  tokens: [byBasic, byPost, byKey].map((t) => ({ type: t.token_type, expiresIn: t.expires_in, subject: t.claims()?.sub })),
  byPrivateKeyJwt: await client.tokenIntrospection(api, byKey.access_token),
  byBasic: await client.tokenIntrospection(apiBasic, byBasic.access_token),
  unknown: await client.tokenIntrospection(api, 'no-such-token'),
  userinfo: await client.fetchUserInfo(bot, byBasic.access_token, given.userKey.userId),
  refused,
}))
