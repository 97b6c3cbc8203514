/** The key of POLOS_API_KEY is shown, and what is wrong with it is said. The real server. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { PermissionDeniedError, PolosClient, defineWorkflow } from "@polos/sdk";
import { withServer } from "./support.js";

const folder = mkdtempSync(join(tmpdir(), "polosd-keys-"));
after(() => rmSync(folder, { recursive: true, force: true }));

function keys(...line: string[]): string {
  const program = process.env["POLOSD"] ?? "polosd";
  return execFileSync(program, ["keys", ...line, "--data", folder], { encoding: "utf8" }).trim();
}

const make = (name: string, roles: string) => keys("create", "--name", name, "--roles", roles);
const gone = make("gone", "admin");
const both = make("both", "caller,host");
const reader = make("reader", "reader");
keys("revoke", gone.slice(0, 14));

const there = withServer({ flags: ["--data", folder] });

async function withKey<T>(key: string, body: (client: PolosClient) => Promise<T>): Promise<T> {
  process.env["POLOS_API_KEY"] = key;
  const client = new PolosClient({ apiUrl: there.server.url });
  try {
    return await body(client);
  } finally {
    delete process.env["POLOS_API_KEY"];
    await client.close();
  }
}

test("the key of the environment calls and hosts", async () => {
  const doubled = defineWorkflow({ id: "keyed" }, async (ctx, payload: number) =>
    ctx.step.run("double", () => 2 * payload),
  );
  assert.equal(await withKey(both, (client) => doubled.run(client, 21)), 42);
});

for (const [key, reason, words] of [
  ["", "KEY_MISSING", /POLOS_API_KEY/],
  [gone, "KEY_REVOKED", /was revoked/],
  [`polos_00000000_${"A".repeat(43)}`, "KEY_UNKNOWN", /no such key/],
  ["secret", "KEY_MALFORMED", /polos_/],
] as const) {
  test(`a key that is no good is explained: ${reason}`, async () => {
    await assert.rejects(
      withKey(key, (client) => client.listExecutions()),
      (error) => {
        assert.ok(error instanceof PermissionDeniedError);
        assert.equal(error.reason, reason);
        assert.match(error.message, words);
        return true;
      },
    );
  });
}

test("a role that is missing is named", async () => {
  await assert.rejects(
    withKey(reader, (client) => client.invoke("keyed", 1)),
    { reason: "PERMISSION_DENIED", message: /CALLER.*has READER/ },
  );
});
