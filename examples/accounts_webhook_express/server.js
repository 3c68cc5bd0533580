// An Express application that keeps its own accounts, and answers resetsvc's three questions about them.
//
// The part that matters is the route /internal/accounts. Users are in a Map here, so that there is nothing to install; the
// comments say what has to be one transaction where they are in a database.
import { randomBytes, scrypt, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";
import express from "express";
import { Webhook } from "standardwebhooks";

const webhook = new Webhook(process.env.ACCOUNTS_SECRET);
const users = new Map(); // by id; in a database: with an index on the address as it is compared
const answers = new Map(); // by webhook-id; in a database: a table, shared by all processes
const REMEMBERED = 600_000; // milliseconds: twice what a signature counts for

// ---- passwords ----

const slow = promisify(scrypt);

async function hash(password) {
  const salt = randomBytes(16);
  return `${salt.toString("hex")}:${(await slow(password, salt, 64)).toString("hex")}`;
}

async function fits(password, stored) {
  const [salt, key] = stored.split(":").map((part) => Buffer.from(part, "hex"));
  return timingSafeEqual(key, await slow(password, salt, key.length));
}

// ---- the three questions ----

function told(user) {
  // `version` goes up with every change of password or address.
  return { id: user.id, address: user.email, active: user.active, version: String(user.version) };
}

const questions = {
  "accounts.find": ({ addresses }) => ({
    accounts: [...users.values()].flatMap((user) =>
      addresses
        .filter((asked) => asked.toLowerCase() === user.email.toLowerCase())
        .map((asked) => ({ ...told(user), asked })),
    ),
  }),

  "accounts.get": ({ id }) => {
    const user = users.get(id);
    return { account: user ? told(user) : null };
  },

  "accounts.swap": async ({ id, version, password, password_hash }) => {
    const changed = password === undefined ? password_hash : await hash(password);
    // From here to the end without a pause. In a database it is one transaction, together with the answer under its
    // webhook-id: UPDATE users SET password = $1, version = version + 1 WHERE id = $2 AND version = $3
    const user = users.get(id);
    if (!user || !user.active || String(user.version) !== version) return { swapped: false };
    user.password = changed;
    user.version += 1;
    return { swapped: true };
  },
};

// ---- HTTP ----

const app = express();
app.disable("x-powered-by");

// The very bytes that were signed: JSON that is read and written again has another signature.
app.post("/internal/accounts", express.raw({ type: "application/json", limit: "256kb" }), async (request, response) => {
  let question;
  try {
    question = webhook.verify(request.body, request.headers);
  } catch {
    return response.sendStatus(401);
  }
  if (!Object.hasOwn(questions, question?.type ?? "")) return response.sendStatus(400);

  const id = request.get("webhook-id");
  const now = Date.now();
  for (const [old, { at }] of answers) if (at < now - REMEMBERED) answers.delete(old);
  if (!answers.has(id)) {
    // The promise, and at once: an attempt that comes while the first one is at work waits for the same answer.
    const body = (async () => JSON.stringify(await questions[question.type](question)))();
    answers.set(id, { at: now, body });
  } else if (question.type !== "accounts.swap") {
    return response.sendStatus(409); // somebody repeats what he overheard
  }
  let body;
  try {
    body = await answers.get(id).body;
  } catch {
    answers.delete(id); // nothing was done: the next attempt may do it
    return response.sendStatus(500);
  }

  const at = new Date();
  response.set({
    "content-type": "application/json",
    "webhook-id": `answer_to_${id}`,
    "webhook-timestamp": String(Math.floor(at.getTime() / 1000)),
    "webhook-signature": webhook.sign(`answer_to_${id}`, at, body),
  });
  response.end(body); // as it was signed
});

app.post("/login", express.urlencoded({ extended: false }), async (request, response) => {
  const { email = "", password = "" } = request.body;
  const user = [...users.values()].find((one) => one.email.toLowerCase() === email.toLowerCase());
  if (!user?.active || !(await fits(password, user.password))) return response.status(401).send("No.\n");
  return response.send("Welcome.\n"); // here a session begins: keep user.version in it, and compare it in each request
});

users.set("1", {
  id: "1",
  email: "demo@example.com",
  password: await hash("an old password of mine"),
  active: true,
  version: 1,
});
const server = app.listen(Number(process.env.PORT ?? 3000), "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
