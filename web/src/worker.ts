// The worker: the engine and the GPU live here, so that the page never waits for them.

import { Host } from "./host.js";
import type { Reply, Request } from "./protocol.js";

const host = new Host((reply: Reply) => self.postMessage(reply));
self.onmessage = ({ data }: MessageEvent<Request>) => host.handle(data);
