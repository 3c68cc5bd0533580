// Better Auth with its two-factor plugin, asked over HTTP requests through its own handler.
import { readFileSync } from "node:fs";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { twoFactor } from "better-auth/plugins";
import { SqliteDialect } from "kysely";
import { isSqlite, openPostgres, openSqlite } from "../databases.mjs";
import { serve } from "../protocol.mjs";

const ORIGIN = "http://application";
const cookies = {}; // address -> what its browser sends
const mailed = {}; // address -> the token of Better Auth's own reset mail
let auth;
let query; // (sql, value) -> the first row

const post = (path, body, cookie) =>
  auth.handler(
    new Request(`${ORIGIN}/api/auth${path}`, {
      method: "POST",
      headers: { "content-type": "application/json", origin: ORIGIN, ...(cookie && { cookie }) },
      body: JSON.stringify(body),
    }),
  );

const keep = (email, answer) => {
  const given = answer.headers.getSetCookie().map((cookie) => cookie.split(";")[0]);
  if (given.length > 0) cookies[email] = given.join("; ");
};

const must = async (answer) => {
  if (answer.status !== 200) throw new Error(`${answer.status} ${await answer.text()}`);
  return answer;
};

function open(url) {
  if (isSqlite(url)) {
    const database = openSqlite(url);
    query = async (sql, value) => ({ ...database.prepare(sql.replace("$1", "?")).get(value), _metadata: undefined });
    return { dialect: new SqliteDialect({ database }), type: "sqlite" };
  }
  const pool = openPostgres(url);
  query = async (sql, value) => (await pool.query(sql, [value])).rows[0];
  return pool;
}

await serve({
  versions() {
    const read = (path) => JSON.parse(readFileSync(new URL(path, import.meta.url))).version;
    return { "Better Auth": read("../node_modules/better-auth/package.json"), "Node.js": process.versions.node };
  },

  async make({ people }) {
    const options = {
      baseURL: ORIGIN,
      secret: "a secret of the conformance kit, which guards nothing",
      database: open(process.argv[2]),
      emailAndPassword: {
        enabled: true,
        sendResetPassword: async ({ user, token }) => {
          mailed[user.email] = token;
        },
      },
      rateLimit: { enabled: false },
      plugins: [twoFactor({ skipVerificationOnEnable: true })],
    };
    await (await getMigrations(options)).runMigrations();
    auth = betterAuth(options);
    for (const [email, password] of Object.entries(people)) {
      keep(email, await must(await post("/sign-up/email", { email, password, name: email })));
      keep(email, await must(await post("/two-factor/enable", { password }, cookies[email])));
    }
  },

  // Who only ever comes by another provider.
  async nobodies() {
    const { internalAdapter } = await auth.$context;
    const user = await internalAdapter.createUser({ email: "social@example.com", name: "social", emailVerified: true });
    await internalAdapter.linkAccount({ userId: user.id, providerId: "google", accountId: "1234" });
    return ["social@example.com"];
  },

  // Let in as far as to the question for the second factor, which is asked of everybody here.
  async login({ email, password }) {
    const answer = await post("/sign-in/email", { email, password });
    if (answer.status !== 200 && answer.status !== 401) throw new Error(await answer.text());
    return answer.status === 200 && (await answer.json()).twoFactorRedirect === true;
  },

  async own_reset({ email, password }) {
    await must(await post("/request-password-reset", { email }));
    await must(await post("/reset-password", { newPassword: password, token: mailed[email] }));
    return true;
  },

  async session({ email }) {
    const asked = new Request(`${ORIGIN}/api/auth/get-session`, { headers: { cookie: cookies[email] } });
    const found = await (await must(await auth.handler(asked))).json();
    return { session: found?.user?.email === email };
  },

  second_factor: ({ email }) =>
    query('SELECT f.secret, f."backupCodes", f.verified, u."twoFactorEnabled" FROM "twoFactor" f JOIN "user" u ON u.id = f."userId" WHERE u.email = $1', email),
});
