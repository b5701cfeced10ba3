// The server's interface: requests, streams of server-sent events, errors in words.

const KEY = "key";

/** Why a request was not answered. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** One piece of a streamed answer: of a conversation, or of a text that goes on. */
export interface Chunk {
  id: string;
  choices: { delta?: { content?: string | null }; text?: string; finish_reason: string | null }[];
}

/** A lesson as `/v1/lessons` tells of it. */
export interface Lesson {
  number: number | null;
  name: string;
  state: string;
  facts?: number;
  gate?: { decision: string; words: string[] } | null;
  progress?: { what: string; share: number };
  epoch?: { epoch: number; epochs: number; loss: number; recall: number | null } | null;
  notes?: string[];
  error?: string | null;
}

export class Server {
  /** Called when the key is missing or wrong. */
  onKey: () => void = () => undefined;
  #key = sessionStorage.getItem(KEY) ?? "";

  /** Keeps the key until the tab is closed. */
  use(key: string): void {
    this.#key = key;
    sessionStorage.setItem(KEY, key);
  }

  async get<Answer>(path: string): Promise<Answer> {
    return (await this.#ask("GET", path)).json() as Promise<Answer>;
  }

  async post<Answer>(path: string, body: object): Promise<Answer> {
    return (await this.#ask("POST", path, body)).json() as Promise<Answer>;
  }

  /** The events of a streamed answer. */
  async *stream(path: string, body: object, signal: AbortSignal): AsyncGenerator<Chunk> {
    const response = await this.#ask("POST", path, { ...body, stream: true }, signal);
    if (!response.body) throw new Refusal(response.status, "empty", "the server gave no answer");
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) throw new Refusal(0, "cut", "the server ended in the middle of its answer");
      rest += value;
      const events = rest.split("\n\n");
      rest = events.pop() ?? "";
      for (const event of events) {
        const data = event.replace(/^data: ?/, "");
        if (data === "[DONE]") return;
        const chunk = JSON.parse(data) as Chunk & { error?: { message: string; code: string } };
        if (chunk.error) throw new Refusal(200, chunk.error.code, chunk.error.message);
        yield chunk;
      }
    }
  }

  async #ask(method: string, path: string, body?: object, signal?: AbortSignal): Promise<Response> {
    const headers: Record<string, string> = this.#key === "" ? {} : { Authorization: `Bearer ${this.#key}` };
    if (body) headers["Content-Type"] = "application/json";
    const init: RequestInit = { method, headers, cache: "no-store", ...(body && { body: JSON.stringify(body) }), ...(signal && { signal }) };
    const response = await fetch(path, init).catch((error: unknown) => {
      if (error instanceof DOMException && error.name === "AbortError") throw error;
      throw new Refusal(0, "unreachable", "the server does not answer; it may have been stopped: start it anew, and try again");
    });
    if (response.ok) return response;
    if (response.status === 401) this.onKey();
    const said = (await response.json().catch(() => undefined)) as { error?: { code?: string; message?: string } } | undefined;
    throw new Refusal(response.status, said?.error?.code ?? "unknown", said?.error?.message ?? `the server answered with status ${response.status}`);
  }
}
