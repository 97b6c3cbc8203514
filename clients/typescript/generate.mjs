#!/usr/bin/env node
// Makes src/gen/**/*_pb.ts from the protos. Does nothing when they are as new as the protos;
// `--force` makes them anyway. Needs node_modules (npm ci).
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const protos = join(here, "..", "..", "protos");
const out = join(here, "src", "gen");
const stamp = join(out, ".stamp");
const sources = ["polos/v1", "google/rpc"];

// What the generated code depends on: every proto's bytes and the generator's version.
export function fingerprint() {
  const hash = createHash("sha256");
  hash.update(readFileSync(join(here, "package-lock.json")));
  hash.update(readFileSync(join(here, "buf.gen.yaml")));
  for (const folder of sources) {
    for (const name of readdirSync(join(protos, folder)).sort()) {
      hash.update(name + "\0").update(readFileSync(join(protos, folder, name)));
    }
  }
  return hash.digest("hex");
}

export function generate(force = false) {
  const wanted = fingerprint();
  if (!force && existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return;
  rmSync(out, { recursive: true, force: true });
  const paths = sources.flatMap((folder) => ["--path", join(protos, folder)]);
  const buf = join(here, "node_modules", ".bin", "buf");
  execFileSync(buf, ["generate", protos, "--template", "buf.gen.yaml", ...paths], {
    cwd: here,
    stdio: ["ignore", "inherit", "inherit"],
  });
  writeFileSync(stamp, wanted);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  generate(process.argv.includes("--force"));
}
