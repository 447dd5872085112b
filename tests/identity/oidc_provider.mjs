// A real OpenID provider (panva/node-oidc-provider) on a port of the system's choice, for tests. It prints its URL when it is up.
// argv[2]: JSON with `redirect_uris` of the one client and `algorithm` of the keys.
import { generateKeyPairSync, randomUUID } from "node:crypto";
import { createServer } from "node:http";

import { Provider } from "oidc-provider";

const settings = JSON.parse(process.argv[2] ?? "{}");
const kinds = { RS256: ["rsa", { modulusLength: 2048 }], ES256: ["ec", { namedCurve: "P-256" }], EdDSA: ["ed25519", {}] };
const alg = settings.algorithm ?? "RS256";
const { privateKey } = generateKeyPairSync(...kinds[alg]);
const key = { ...privateKey.export({ format: "jwk" }), kid: randomUUID(), use: "sig", alg };
const resource = "https://orders.test";

const server = createServer();
server.listen(0, "127.0.0.1", () => {
  const url = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(url, {
    clients: [
      {
        client_id: "gateway",
        client_secret: "a secret of the gateway, for tests",
        grant_types: ["client_credentials", "authorization_code", "refresh_token"],
        redirect_uris: settings.redirect_uris ?? ["http://127.0.0.1/callback"],
        post_logout_redirect_uris: settings.post_logout_redirect_uris ?? [],
        response_types: ["code"],
        id_token_signed_response_alg: alg,
      },
    ],
    cookies: { keys: [randomUUID()] },
    jwks: { keys: [key] },
    scopes: ["openid", "offline_access", "orders"],
    claims: { openid: ["sub"], profile: ["name"], email: ["email"] },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, name: `The name of ${id}`, email: `${id}@test` }) }),
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: true },
      introspection: { enabled: true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: (ctx) => (ctx.oidc.body?.grant_type === "client_credentials" ? resource : undefined),
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          scope: "orders",
          audience: resource,
          accessTokenTTL: 600,
          accessTokenFormat: "jwt",
          jwt: { sign: { alg } },
        }),
      },
    },
  });
  server.on("request", provider.callback());
  console.log(url);
});
