// Builds the folder named on the command line: the sources of `src` and `page` as modules side by side, and the files
// beside them as they are. No bundler: what a browser loads is what was written, without its types.

import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";

const target = process.argv[2] ?? "dist";
const compiled = ".build/out";

rmSync(compiled, { recursive: true, force: true });
rmSync(target, { recursive: true, force: true });
execFileSync(process.execPath, ["node_modules/typescript/bin/tsc"], { stdio: "inherit" });
mkdirSync(target, { recursive: true });
for (const part of ["src", "page"]) cpSync(join(compiled, part), target, { recursive: true });
for (const file of readdirSync("page")) {
  if (!file.endsWith(".ts")) cpSync(join("page", file), join(target, file));
}
