// The demo page. `npm run build` makes the package in `dist/` first: the page uses what is published.

import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

// The document may talk to its own server alone. Workers have a policy of their own, which only a header can set: theirs
// downloads models, from the host that the visitor names and the ones that it redirects to.
const headers = {
  "Content-Security-Policy":
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self'; font-src 'self'; " +
    "img-src 'self'; connect-src 'self' https: http://localhost:* http://127.0.0.1:*; base-uri 'none'; form-action 'none'; " +
    "frame-ancestors 'none'",
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "no-referrer",
};

export default defineConfig({
  root: here("demo"),
  base: "./",
  resolve: { alias: { stepladder: here("dist/index.js") } },
  build: { outDir: here("dist-demo"), emptyOutDir: true, target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  worker: { format: "es" },
  // Only the built page is served: the development server's client puts styles inline, which the page's policy forbids.
  preview: { headers },
});
