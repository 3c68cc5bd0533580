// What ASP.NET Core Identity makes, written down: its tables as Entity Framework makes them on SQLite, its look-up by the
// upper-cased address, and its security stamp, which a session's cookie carries and which is compared again and again.
//
// .NET cannot be had here. Hashes are made and checked by what is documented of their format, over Node.js' own PBKDF2.
import { pbkdf2Sync, randomBytes, randomUUID, timingSafeEqual } from "node:crypto";
import { openSqlite } from "../databases.mjs";
import { serve } from "../protocol.mjs";

const database = openSqlite(process.argv[2]);
const cookies = {}; // address -> what is in the cookie of its browser
const find = (email) => database.prepare('SELECT * FROM "AspNetUsers" WHERE "NormalizedEmail" = ?').get(email.toUpperCase());
const stamp = () => randomUUID().replaceAll("-", "").toUpperCase();
const DIGESTS = ["sha1", "sha256", "sha512"];

// Version 3: 1, the digest, the iterations, the length of the salt (32 bits each, the high octet first), salt and key.
function hash(password) {
  const [digest, iterations, salt, head] = [2, 100_000, randomBytes(16), Buffer.alloc(13)];
  head.writeUInt8(1, 0);
  head.writeUInt32BE(digest, 1);
  head.writeUInt32BE(iterations, 5);
  head.writeUInt32BE(salt.length, 9);
  const key = pbkdf2Sync(password, salt, iterations, 32, DIGESTS[digest]);
  return Buffer.concat([head, salt, key]).toString("base64");
}

function verify(password, stored) {
  const octets = Buffer.from(stored, "base64");
  if (octets.readUInt8(0) !== 1) return false;
  const end = 13 + octets.readUInt32BE(9);
  const [salt, key] = [octets.subarray(13, end), octets.subarray(end)];
  const digest = DIGESTS[octets.readUInt32BE(1)];
  return timingSafeEqual(key, pbkdf2Sync(password, salt, octets.readUInt32BE(5), key.length, digest));
}

await serve({
  versions: () => ({ "Node.js": process.versions.node }),

  make({ people }) {
    database.exec(`
      CREATE TABLE "AspNetUsers" (
        "Id" TEXT NOT NULL CONSTRAINT "PK_AspNetUsers" PRIMARY KEY, "UserName" TEXT NULL, "NormalizedUserName" TEXT NULL,
        "Email" TEXT NULL, "NormalizedEmail" TEXT NULL, "EmailConfirmed" INTEGER NOT NULL, "PasswordHash" TEXT NULL,
        "SecurityStamp" TEXT NULL, "ConcurrencyStamp" TEXT NULL, "PhoneNumber" TEXT NULL,
        "PhoneNumberConfirmed" INTEGER NOT NULL, "TwoFactorEnabled" INTEGER NOT NULL, "LockoutEnd" TEXT NULL,
        "LockoutEnabled" INTEGER NOT NULL, "AccessFailedCount" INTEGER NOT NULL);
      CREATE INDEX "EmailIndex" ON "AspNetUsers" ("NormalizedEmail");
      CREATE UNIQUE INDEX "UserNameIndex" ON "AspNetUsers" ("NormalizedUserName");
      CREATE TABLE "AspNetUserTokens" (
        "UserId" TEXT NOT NULL, "LoginProvider" TEXT NOT NULL, "Name" TEXT NOT NULL, "Value" TEXT NULL,
        CONSTRAINT "PK_AspNetUserTokens" PRIMARY KEY ("UserId", "LoginProvider", "Name"),
        CONSTRAINT "FK_AspNetUserTokens_AspNetUsers_UserId" FOREIGN KEY ("UserId") REFERENCES "AspNetUsers" ("Id") ON DELETE CASCADE);`);
    for (const [email, password] of Object.entries(people)) {
      const id = randomUUID();
      cookies[email] = { id, stamp: stamp() };
      database
        .prepare(
          `INSERT INTO "AspNetUsers" VALUES (:id, :email, :upper, :email, :upper, 1, :hash, :stamp, :concurrency, NULL, 0, 1, NULL, 1, 0)`,
        )
        .run({
          id, email, upper: email.toUpperCase(), hash: hash(password), stamp: cookies[email].stamp,
          concurrency: randomUUID(),
        });
      database
        .prepare(`INSERT INTO "AspNetUserTokens" VALUES (?, '[AspNetUserStore]', 'AuthenticatorKey', ?)`)
        .run(id, `SECRETOF${id}`);
    }
  },

  // Who only ever comes by another provider.
  nobodies() {
    database.exec(`INSERT INTO "AspNetUsers" VALUES ('x', 'social@example.com', 'SOCIAL@EXAMPLE.COM', 'social@example.com',
      'SOCIAL@EXAMPLE.COM', 1, NULL, 'S', 'C', NULL, 0, 0, NULL, 1, 0)`);
    return ["social@example.com"];
  },

  login({ email, password }) {
    const user = find(email);
    return user !== undefined && verify(password, user.PasswordHash);
  },

  own_reset: () => false,

  session({ email }) {
    const { id, stamp } = cookies[email];
    const user = database.prepare('SELECT "SecurityStamp" FROM "AspNetUsers" WHERE "Id" = ?').get(id);
    return { session: user.SecurityStamp === stamp };
  },

  second_factor: ({ email }) => [
    find(email).TwoFactorEnabled,
    database.prepare('SELECT "Value" FROM "AspNetUserTokens" WHERE "UserId" = ?').get(find(email).Id).Value,
  ],
});
