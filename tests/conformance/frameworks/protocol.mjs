// How the kit speaks with an application: see protocol.py, which says it for all languages.
import { webcrypto } from "node:crypto";
import { createInterface } from "node:readline";

// Node.js 18, which Debian 12 has, keeps it in that module alone; Better Auth looks for it here.
globalThis.crypto ??= webcrypto;

export async function serve(driver) {
  // Frameworks print what they like: only answers may reach the kit.
  const answers = process.stdout.write.bind(process.stdout);
  process.stdout.write = process.stderr.write.bind(process.stderr);
  for await (const line of createInterface({ input: process.stdin })) {
    const { do: word, ...request } = JSON.parse(line);
    let answer;
    try {
      answer = { answer: (await driver[word](request)) ?? null };
    } catch (error) {
      console.error(error);
      answer = { error: String(error) };
    }
    answers(JSON.stringify(answer) + "\n");
  }
  process.exit(0);
}
