// Makes dist/: the modules as TypeScript emits them, beside them the WASM and the tiny model. Nothing is bundled, so that
// every asset's `new URL("./name", import.meta.url)` stays as written, for bundlers and for plain pages alike.

import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

rmSync(here("dist"), { recursive: true, force: true });
const tsc = spawnSync(process.execPath, [here("node_modules/typescript/bin/tsc"), "-p", here("tsconfig.json")], { stdio: "inherit" });
if (tsc.status !== 0) process.exit(tsc.status ?? 1);
mkdirSync(here("dist/wasm"));
for (const name of ["stepladder.js", "stepladder.d.ts", "stepladder_bg.wasm"]) cpSync(here(`src/wasm/${name}`), here(`dist/wasm/${name}`));
mkdirSync(here("dist/tiny"));
for (const name of ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"]) {
  cpSync(here(`../models/tiny/${name}`), here(`dist/tiny/${name}`));
}
