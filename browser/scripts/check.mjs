// Everything that must hold before a commit: the types, the tests, and that `dist` is what the sources build to.

import { execFileSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

const fresh = ".build/dist";

function run(script, ...args) {
  execFileSync(process.execPath, [script, ...args], { stdio: "inherit" });
}

run("node_modules/typescript/bin/tsc", "--noEmit");
run("node_modules/typescript/bin/tsc", "-p", "test");
const tests = readdirSync(".build/test").filter((name) => name.endsWith(".test.js"));
run("--test", ...tests.map((name) => join(".build/test", name)));

run("scripts/build.mjs", fresh);
const names = new Set([...readdirSync(fresh), ...readdirSync("dist")]);
const stale = [...names].filter((name) => read(fresh, name) !== read("dist", name));
if (stale.length > 0) {
  console.error(`dist is not what the sources build to: ${stale.join(", ")}. Run npm run build.`);
  process.exit(1);
}

function read(folder, name) {
  try {
    return readFileSync(join(folder, name), "utf8");
  } catch {
    return undefined;
  }
}
