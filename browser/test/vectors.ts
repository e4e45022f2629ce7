// Reads the golden vectors, the contract this client shares with the cluster. Compiled tests stand two folders down.

import { readFileSync } from "node:fs";

export function vectors<Shape>(name: string): Shape {
  const file = new URL(`../../../proto/tests/vectors/${name}.json`, import.meta.url);
  return JSON.parse(readFileSync(file, "utf8")) as Shape;
}
