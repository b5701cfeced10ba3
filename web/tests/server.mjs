// A server on this machine: a folder, or a function that answers.
import { createServer } from "node:http";
import { readFile, stat } from "node:fs/promises";
import { extname, join, normalize } from "node:path";

const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css", ".json": "application/json", ".wasm": "application/wasm", ".svg": "image/svg+xml", ".woff2": "font/woff2" };

/** Gives `{ url, close }`. `root` is a folder, or `(request, response) => ...`; `headers` go with each file, and `change` may alter it. */
export async function serve(root, headers = {}, change = (_, body) => body) {
  const handler = typeof root === "function" ? root : (request, response) => sendFile(root, headers, change, request, response);
  const server = createServer(handler);
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  return { url: `http://127.0.0.1:${server.address().port}`, close };
}

async function sendFile(root, headers, change, request, response) {
  const path = normalize(decodeURIComponent(new URL(request.url, "http://x").pathname));
  let file = join(root, path);
  try {
    if ((await stat(file)).isDirectory()) file = join(file, "index.html");
    const body = change(path, await readFile(file));
    response.writeHead(200, { "Content-Type": TYPES[extname(file)] ?? "application/octet-stream", "Content-Length": body.length, ...headers });
    response.end(body);
  } catch {
    response.writeHead(404, headers).end();
  }
}
