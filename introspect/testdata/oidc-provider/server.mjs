// An authorization server that is not ZITADEL, for the interop test: clients that introspect with a secret and with a key, and
// one that gets tokens. Prints its port when it listens, and ends with its standard input.
import http from 'node:http';
import Provider from 'oidc-provider';

const client = (id, more) => ({
  client_id: id, grant_types: ['client_credentials'], response_types: [], redirect_uris: [], ...more,
});

const server = http.createServer((req, res) => handle(req, res));
let handle = (_req, res) => res.writeHead(503).end();

server.listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  const provider = new Provider(`http://127.0.0.1:${port}`, {
    clients: [
      client('bot', { client_secret: 'bot-secret' }),
      client('api basic', { client_secret: 's3:cret/+%', token_endpoint_auth_method: 'client_secret_basic' }),
      client('api-key', {
        token_endpoint_auth_method: 'private_key_jwt',
        token_endpoint_auth_signing_alg: 'ES256',
        jwks: JSON.parse(process.env.API_KEY_JWKS),
      }),
    ],
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      introspection: { enabled: true },
      revocation: { enabled: true },
    },
    scopes: ['openid', 'orders:read'],
    ttl: { ClientCredentials: 600 },
  });
  handle = provider.callback();
  console.log(port);
});

process.stdin.resume().on('end', () => process.exit());
