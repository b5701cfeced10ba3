"""A model that comes from a hub on this machine, slowly enough to be interrupted."""

import hashlib
import http.server
import json
import threading
import time

from commands import TINY, Run

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
# Bytes that are sent at once, and seconds between them: the weights take a second.
PIECE, PAUSE = 1 << 14, 0.01


class Hub(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body, headers=()):
        self.send_response(status)
        for name, value in (*headers, ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        try:
            for at in range(0, len(body), PIECE):
                self.wfile.write(body[at : at + PIECE])
                time.sleep(PAUSE)
        except OSError:
            # The program was killed.
            self.close_connection = True

    def do_GET(self):
        name = self.path.rsplit("/", 1)[-1]
        if self.path.startswith("/api/"):
            listed = {"sha": COMMIT, "siblings": [{"rfilename": name} for name in FILES]}
            return self.answer(200, json.dumps(listed).encode())
        if name not in FILES:
            return self.answer(404, b"no")
        data = (TINY / name).read_bytes()
        is_large = name.endswith(".safetensors")
        git = hashlib.sha1(b"blob %d\0" % len(data) + data)
        tag = ("ETag", f'"{(hashlib.sha256(data) if is_large else git).hexdigest()}"')
        start = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-")
        if not int(start):
            return self.answer(200, data, [tag])
        place = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self.answer(206, data[int(start) :], [tag, ("Content-Range", place)])

    do_HEAD = do_GET


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_):
        """The program was killed between two requests."""


def download():
    """A run that fetches a model: it goes on where it was stopped, and the cache ends with the hub's bytes."""
    server = Server(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"HF_ENDPOINT=http://127.0.0.1:{server.server_port}"
    fetch = lambda at: [endpoint, f"HF_HUB_CACHE={at}", "info", "--json", "-m", "hf:o/m"]
    snapshot = f"models--o--m/snapshots/{COMMIT}"
    ends = [f"{snapshot}/{name}" for name in FILES] + ["models--o--m/refs/main"]
    return Run("download", fetch, fetch, ends, lambda at: False)
