/** The same program in all that runs JavaScript; tests/runtimes/README.md says how they come here. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { arch, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { withServer } from "./support.js";

const there = withServer({ environment: { POLOSD_LEASE_MS: "2000" } });
const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = join(HERE, "..", "..");
const MODULES = join(ROOT, "tests", "runtimes", "node_modules");
const folder = mkdtempSync(join(tmpdir(), "polos-runtimes-"));

const BUNS_ARCH = arch() === "arm64" ? "aarch64" : arch();

const RUNTIMES: Record<string, string[]> = {
  "this Node": [process.execPath],
  "Node 22": [join(MODULES, `node22-${arch()}`, "bin", "node")],
  "Node 24": [join(MODULES, `node24-${arch()}`, "bin", "node")],
  Bun: [join(MODULES, "@oven", `bun-linux-${BUNS_ARCH}`, "bin", "bun")],
  Deno: [join(MODULES, ".bin", "deno"), "run", "--allow-all", "--node-modules-dir=manual"],
};

before(() => {
  copyFileSync(join(HERE, "programs", "everything.js"), join(folder, "everything.js"));
  const about = { type: "module", dependencies: { "@polos/sdk": "*" } };
  writeFileSync(join(folder, "package.json"), JSON.stringify(about));
  mkdirSync(join(folder, "node_modules", "@polos"), { recursive: true });
  symlinkSync(ROOT, join(folder, "node_modules", "@polos", "sdk"));
});
after(() => rmSync(folder, { recursive: true, force: true }));

for (const [name, [program = "", ...words]] of Object.entries(RUNTIMES)) {
  const missing = existsSync(program) ? false : `${program} is not there`;
  const skip = process.env["POLOS_REQUIRE_RUNTIMES"] ? false : missing;
  test(`a client and a host in ${name}`, { skip }, async () => {
    const { stdout } = await promisify(execFile)(
      program,
      [...words, "everything.js", there.server.url],
      { cwd: folder, env: { ...process.env, DENO_DIR: folder, DENO_NO_UPDATE_CHECK: "1" } },
    );
    const told = stdout.trim().split("\n");
    assert.deepEqual(told, ["[2,true]", "that is seven 2", "attempts: 1"]);
  });
}
