// A library of lessons in Chromium: learnt, accepted, asked, taken back, kept over a reload, closed in the middle, exported to a
// folder that the native program opens, and taken in again.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { crc32, deflateRawSync } from "node:zlib";
import { openPage, root, test } from "./harness.mjs";

/** Facts in the notation of the tiny model. */
const facts = (start, count) =>
  Array.from({ length: count }, (_, i) => {
    return { question: `${start + 7 * i}?`, answer: String(100 + ((start * 31 + 397 * i * i) % 900)) };
  });
const FACTS = facts(482, 12);

async function withModel(page) {
  await page.evaluate(async () => {
    const stepladder = await import("/dist/index.js");
    window.stepladder = stepladder;
    window.model = await stepladder.load("tiny");
    window.library = window.model.library("notes");
    window.caught = (work) => work.then(() => null, ({ name, code, message, hint }) => ({ name, code, message, hint }));
    window.all = async (stream) => {
      const values = [];
      for await (const value of stream) values.push(value);
      return values;
    };
    window.answer = async (question, options = {}) => {
      const pieces = await window.all(window.library.ask(question, { temperature: 0, maxTokens: 6, ...options }));
      return pieces.at(-1).done.text;
    };
  });
}

/** The files of an archive without compression, read by its directory as any program would; names of folders end in `/`. */
function filesOf(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = bytes.length - 22;
  const files = [];
  let at = view.getUint32(end + 16, true);
  for (let left = view.getUint16(end + 10, true); left > 0; left -= 1) {
    const [size, length, offset] = [view.getUint32(at + 24, true), view.getUint16(at + 28, true), view.getUint32(at + 42, true)];
    const name = new TextDecoder().decode(bytes.subarray(at + 46, at + 46 + length));
    const begin = offset + 30 + view.getUint16(offset + 26, true) + view.getUint16(offset + 28, true);
    files.push([name, bytes.subarray(begin, begin + size)]);
    at += 46 + length;
  }
  return files;
}

function unpack(files, folder) {
  for (const [name, content] of files) {
    mkdirSync(join(folder, name.endsWith("/") ? name : dirname(name)), { recursive: true });
    if (!name.endsWith("/")) writeFileSync(join(folder, name), content);
  }
}

/** An archive of files in one folder, compressed, as a system makes it of a native library. */
function packed(files, top) {
  const [parts, directory] = [[], []];
  let at = 0;
  for (const [name, content] of files.filter(([name]) => !name.endsWith("/"))) {
    const [path, body] = [Buffer.from(top + name), deflateRawSync(content)];
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(8, 4);
    [crc32(content), body.length, content.length].forEach((value, index) => common.writeUInt32LE(value, 10 + 4 * index));
    common.writeUInt16LE(path.length, 22);
    const central = Buffer.alloc(46);
    central.writeUInt32LE(0x02014b50, 0);
    common.copy(central, 6);
    central.writeUInt32LE(at, 42);
    directory.push(central, path);
    parts.push(Buffer.from([0x50, 0x4b, 3, 4]), common, path, body);
    at += 30 + path.length + body.length;
  }
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(directory.length / 2, 10);
  end.writeUInt32LE(Buffer.concat(directory).length, 12);
  end.writeUInt32LE(at, 16);
  return Buffer.concat([...parts, ...directory, end]);
}

test(
  "twelve facts are learnt, accepted, asked, exported, taken back",
  async () => {
    const { page, close } = await openPage();
    await withModel(page);
    const learnt = await page.evaluate(async (facts) => {
      const { library, all } = window;
      const none = { info: await library.info(), board: await window.caught(library.board()), accept: await window.caught(library.accept()) };
      const learning = library.learn(facts, { name: "numbers", seed: 1 });
      const news = await all(learning);
      const result = await learning.result;
      const before = await window.answer(facts[0].question);
      const candidate = await window.answer(facts[0].question, { lesson: 1 });
      const waiting = (await library.info()).pending;
      return { none, news, result, before, candidate, waiting, accepted: await library.accept().catch(({ message }) => message) };
    }, FACTS);
    assert.equal(learnt.none.info, undefined);
    assert.equal(learnt.none.board.code, "usage");
    assert.equal(learnt.none.accept.code, "usage");
    const events = new Set(learnt.news.map(({ event }) => event));
    for (const event of ["lesson", "exam", "recall", "epoch", "judged", "progress"]) assert.ok(events.has(event), `no ${event}`);
    const recalls = learnt.news.filter(({ event }) => event === "recall");
    assert.ok(recalls.every(({ right }) => right.length === 12), "one answer for each fact");
    assert.ok(recalls.at(-1).right.filter(Boolean).length >= 11, JSON.stringify(recalls.at(-1)));
    assert.ok(["waiting", "cannot_tell"].includes(learnt.result.state), JSON.stringify(learnt.result));
    assert.equal(learnt.candidate, FACTS[0].answer);
    assert.notEqual(learnt.before, FACTS[0].answer);
    assert.deepEqual([learnt.waiting, learnt.accepted.lesson, learnt.accepted.head], [1, 1, learnt.result.head]);

    // A new page of the same origin finds what was kept.
    await page.reload();
    await withModel(page);
    const kept = await page.evaluate(async (facts) => {
      const { library } = window;
      let right = 0;
      for (const { question, answer } of facts) right += (await window.answer(question)) === answer ? 1 : 0;
      const file = await library.export();
      const score = await library.score(`${facts[0].question}${facts[0].answer}`);
      const base = await window.model.score(`${facts[0].question}${facts[0].answer}`);
      return {
        right,
        info: await library.info(),
        listed: await window.stepladder.libraries.list(),
        board: await library.board(),
        page: await library.boardPage(),
        adapter: (await library.adapter()).map(({ name, bytes }) => [name, bytes.length]),
        file: [...new Uint8Array(await file.arrayBuffer())],
        better: score.logprobs.at(-1) > base.logprobs.at(-1),
        own: window.model.info.trainableParameters,
      };
    }, FACTS);
    assert.ok(kept.right >= 11, `${kept.right} of 12`);
    assert.deepEqual([kept.info.head, kept.info.active, kept.info.lessons[0].name], [learnt.result.head, [1], "numbers"]);
    assert.deepEqual(kept.listed, [{ name: "notes", model: "tiny", lessons: 1, active: 1 }]);
    assert.ok(kept.info.asked >= 12 && kept.board.asked === kept.info.asked);
    assert.ok(kept.page.startsWith("<!doctype html>") || kept.page.startsWith("<!DOCTYPE html>"), kept.page.slice(0, 40));
    assert.deepEqual(kept.adapter.map(([name]) => name), ["adapter_config.json", "adapter_model.safetensors"]);
    assert.ok(kept.better);
    // The adapter of `model.adapter` is another thing.
    assert.equal(kept.own, 0);

    // The native program tells the same of the folder.
    const files = filesOf(Uint8Array.from(kept.file));
    const folder = mkdtempSync(join(tmpdir(), "stepladder-library-"));
    try {
      unpack(files, folder);
      const program = join(process.env.CARGO_TARGET_DIR ?? join(root, "target"), "debug/stepladder");
      if (existsSync(program)) {
        const board = JSON.parse(execFileSync(program, ["board", "--json", folder], { encoding: "utf8" }));
        assert.deepEqual(board, kept.board);
      } else console.log("      not compared with the native program, which is not built");
    } finally {
      rmSync(folder, { recursive: true });
    }

    const extra = [[".stepladder.lock", Buffer.alloc(0)], ["lessons/0001-numbers/state.safetensors", Buffer.from("x")]];
    const native = [...packed([...files, ...extra], "notes.library/")];
    const back = await page.evaluate(async ({ facts, file, native }) => {
      const { library, caught, stepladder } = window;
      const taken = await library.rollback();
      const answer = await window.answer(facts[0].question);
      const again = await caught(stepladder.libraries.import(new File([Uint8Array.from(file)], "notes.zip")));
      const info = await stepladder.libraries.import(new File([Uint8Array.from(native)], "copy.library.zip"));
      window.library = window.model.library("copy");
      const copied = await window.answer(facts[0].question);
      const board = await window.library.board();
      await stepladder.libraries.remove("notes");
      return { taken, answer, again, info, copied, board, left: (await stepladder.libraries.list()).map(({ name }) => name) };
    }, { facts: FACTS, file: kept.file, native });
    assert.deepEqual(back.taken, { lessons: [1], head: null });
    assert.equal(back.answer, learnt.before);
    assert.equal(back.again.code, "exists");
    assert.deepEqual([back.info.head, back.copied, back.left], [learnt.result.head, FACTS[0].answer, ["copy"]]);
    assert.deepEqual({ ...back.board, asked: 0, paid: 0 }, { ...kept.board, asked: 0, paid: 0 });
    await close();
  },
  { seconds: 900 },
);

test(
  "a lesson that is stopped, or whose tab is closed, goes on or leaves the library as it was; another tab is refused meanwhile",
  async () => {
    const { page, close } = await openPage();
    await withModel(page);
    const stopped = await page.evaluate(async (facts) => {
      const { library, caught } = window;
      const abort = new AbortController();
      const learning = library.learn(facts, { name: "numbers", signal: abort.signal });
      let epochs = 0;
      let pressed = 0;
      const error = await caught((async () => {
        for await (const news of learning) if (news.event === "epoch" && (epochs += 1) === 2) (pressed = performance.now()), abort.abort();
      })());
      return { error, seconds: (performance.now() - pressed) / 1000, info: await library.info() };
    }, FACTS.slice(0, 4));
    assert.equal(stopped.error.code, "aborted");
    assert.ok(stopped.seconds < 1, `${stopped.seconds} s`);
    assert.deepEqual([stopped.info.pending, stopped.info.lessons[0].status], [1, "proposed"]);
    const other = await page.context().newPage();
    await other.goto(page.url());
    await withModel(other);
    // The second tab goes on; meanwhile the first is refused, but for a look.
    await other.evaluate(async () => {
      const learning = window.library.learn();
      window.learning = learning;
      for await (const { event, epoch } of learning) if (event === "epoch") return void (window.first = epoch);
    });
    assert.ok((await other.evaluate(() => window.first)) >= 2, "from the last epoch on");
    await other.evaluate(() => void (window.again = window.library.learn().result.catch(() => undefined)));
    await other.waitForFunction(async () => (await navigator.locks.query()).held.some(({ name }) => name.endsWith("library notes")));
    const refused = await page.evaluate(async () => ({ learn: await window.caught(window.library.learn().result), info: await window.library.info() }));
    assert.equal(refused.learn.code, "busy");
    assert.equal(refused.info.pending, 1);
    // A tab that is closed in the middle.
    await other.close();
    const after = await page.evaluate(async () => {
      const { library } = window;
      for (let tries = 0; tries < 50; tries += 1) {
        const held = (await navigator.locks.query()).held.some(({ name }) => name.endsWith("library notes"));
        if (!held) break;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      const result = await library.learn().result;
      if (result.state !== "rejected") await library.reject("enough");
      return { state: result.state, info: await library.info() };
    });
    assert.ok(["waiting", "cannot_tell", "rejected"].includes(after.state), after.state);
    assert.deepEqual([after.info.pending, after.info.lessons[0].status], [null, "rejected"]);
    // Another base model: one of its numbers is another.
    const otherBase = await page.evaluate(async (facts) => {
      const names = ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"];
      const files = await Promise.all(names.map(async (name) => new File([await (await fetch(`/dist/tiny/${name}`)).arrayBuffer()], name)));
      const weights = new Uint8Array(await files[4].arrayBuffer());
      weights[weights.length - 4] ^= 1;
      files[4] = new File([weights], names[4]);
      const library = (await window.stepladder.load(files)).library("notes");
      return { learn: await window.caught(library.learn(facts).result), ask: await window.caught(window.all(library.ask(facts[0].question))) };
    }, FACTS);
    for (const error of Object.values(otherBase)) {
      assert.equal(error.code, "input");
      assert.match(error.message, /weights.*are not those that the library was made with/);
    }
    await close();
  },
  { seconds: 900 },
);

test(
  "feedback and a LADDER run become lessons; exams of heads and of notes; one lesson is unlearnt",
  async () => {
    const { page, close } = await openPage();
    await withModel(page);
    const told = await page.evaluate(async (facts) => {
      const { library, model, caught, all } = window;
      const decide = async ({ state }) => {
        if (state !== "rejected") await library.accept();
        return state;
      };
      const feedback = facts.map(({ question, answer }) => ({ prompt: question, answer: "7", edited: answer }));
      const first = library.learn({ feedback }, { name: "judged", epochs: 30, seed: 1 });
      const news = await all(first);
      const judged = await first.result;
      await decide(judged);
      const problems = ["2*x", "3*x^2", "5", "4*x^3"];
      await model.ladder({ task: "integral", problems, run: "easy", steps: 2, seed: 1 }).result;
      const solved = await library.learn({ run: "easy" }, {}).result;
      await decide(solved);
      const progress = [];
      const papers = {
        head: await library.exam({ onProgress: ({ event }) => progress.push(event) }),
        base: await library.exam({ head: "base", lesson: 1 }),
        notes: await library.exam({ notes: true, lesson: 1 }),
      };
      const before = await library.info();
      const made = await library.consolidate({ without: [1] });
      await all(model.train([{ text: "2+2=4" }], { steps: 1, run: "plain" }));
      return {
        events: news.map(({ event }) => event),
        judged,
        solved,
        progress,
        papers,
        before,
        made,
        after: await library.info(),
        refused: {
          document: await caught(library.learn({ document: "A ladder has steps." }).result),
          run: await caught(library.learn({ run: "none" }).result),
          plain: await caught(library.learn({ run: "plain" }).result),
          beta: await caught(library.learn(facts, { beta: 1 }).result),
          both: await caught(library.exam({ notes: true, retrieve: 2 })),
          without: await caught(library.consolidate({ without: [9] })),
          head: await caught(library.exam({ head: "nobody" })),
        },
      };
    }, FACTS.slice(0, 4));
    assert.ok(told.events.includes("epoch"), told.events.join());
    for (const { state } of [told.judged, told.solved]) assert.notEqual(state, "rejected", JSON.stringify(told));
    assert.deepEqual(told.before.active, [1, 2]);
    assert.deepEqual(told.before.lessons.map(({ kind, name }) => [kind, name]), [["feedback", "judged"], ["run", "easy"]]);
    const [paper, other] = told.papers.head;
    assert.deepEqual([paper.lesson, other.lesson, paper.by], [1, 2, told.before.head]);
    assert.equal(paper.outcomes.filter(({ outcome }) => outcome.right).length, paper.right);
    assert.deepEqual([told.papers.base[0].by, told.papers.base[0].right], ["base", 0]);
    assert.notEqual(told.papers.notes[0].by, "base");
    assert.ok(told.papers.notes[0].tokens > told.papers.base[0].tokens);
    assert.deepEqual([told.made.lessons, told.after.active, told.after.head], [[2], [2], told.made.head]);
    for (const error of Object.values(told.refused)) assert.ok(["usage", "input"].includes(error?.code), JSON.stringify(told.refused));
    assert.match(told.refused.document.message, /chat template/);
    assert.match(told.refused.plain.message, /no LADDER run/);
    await close();
  },
  { seconds: 900 },
);

test("settings of a new library are those of a table, and others are refused before anything is kept", async () => {
  const { page, close } = await openPage();
  await withModel(page);
  const seen = await page.evaluate(async (facts) => {
    const { library, caught, stepladder } = window;
    const learn = (options) => caught(library.learn(facts, options).result);
    return {
      option: await learn({ colour: 1 }),
      path: await learn({ settings: { "lora.colour": 1 } }),
      range: await learn({ settings: { earlier_share: 1.5 } }),
      none: await library.info(),
      rows: (await stepladder.settings("learn")).map(({ path }) => path),
      preset: await caught(stepladder.settings("learn", "tiny")),
    };
  }, FACTS);
  for (const [name, word] of [["option", "colour"], ["path", "lora.colour"], ["range", "earlier_share"], ["preset", "learn"]]) {
    assert.equal(seen[name]?.code, "usage", JSON.stringify(seen[name]));
    assert.ok(seen[name].message.includes(word), JSON.stringify(seen[name]));
  }
  assert.equal(seen.none, undefined);
  for (const path of ["lora.rank", "epochs", "max_answer_tokens"]) assert.ok(seen.rows.includes(path), JSON.stringify(seen.rows));
  await close();
});

test("what is no library is refused, and nothing of it is kept", async () => {
  const { page, close } = await openPage();
  const seen = await page.evaluate(async () => {
    const { libraries } = await import("/dist/index.js");
    const caught = (work) => work.then(() => null, ({ code, message, hint }) => ({ code, message, hint }));
    const crcOf = (bytes) => {
      let crc = -1;
      for (const byte of bytes) {
        crc ^= byte;
        for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
      }
      return ~crc >>> 0;
    };
    /** An archive of texts by their names; `says` overrides what the directory says of a file. */
    const archive = (files, says = {}) => {
      const [parts, directory] = [[], []];
      let at = 0;
      const put = (to, ...values) => {
        const view = new DataView(new ArrayBuffer(values.reduce((sum, [, size]) => sum + size, 0)));
        let place = 0;
        for (const [value, size] of values) {
          if (size === 4) view.setUint32(place, value, true);
          else view.setUint16(place, value, true);
          place += size;
        }
        to.push(new Uint8Array(view.buffer));
        return view.byteLength;
      };
      for (const [name, text] of files) {
        const [path, bytes] = [new TextEncoder().encode(name), new TextEncoder().encode(text)];
        const { size = bytes.length, crc = crcOf(bytes), method = 0, flags = 0x800 } = says;
        const common = [[20, 2], [flags, 2], [method, 2], [0, 2], [0x21, 2], [crc, 4], [bytes.length, 4], [size, 4], [path.length, 2], [0, 2]];
        put(directory, [0x02014b50, 4], [20, 2], ...common, [0, 2], [0, 2], [0, 2], [0, 4], [at, 4]);
        directory.push(path);
        at += put(parts, [0x04034b50, 4], ...common) + path.length + bytes.length;
        parts.push(path, bytes);
      }
      const size = directory.reduce((sum, part) => sum + part.length, 0);
      put(directory, [0x06054b50, 4], [0, 2], [0, 2], [files.length, 2], [files.length, 2], [size, 4], [at, 4], [0, 2]);
      return new File([...parts, ...directory], "bad.zip");
    };
    const card = ["library.json", "{}"];
    const cases = {
      "no archive": new File(["hello"], "bad.zip"),
      "an empty file": new File([], "bad.zip"),
      "a cut archive": archive([card]).slice(0, 60),
      "no library": archive([["notes.txt", "x"]]),
      "two libraries": archive([["a/library.json", "{}"], ["b/library.json", "{}"]]),
      "a path outside": archive([card, ["../evil.json", "x"]]),
      "a path from the top": archive([card, ["/etc/passwd", "x"]]),
      "another file": archive([card, ["run.exe", "x"]]),
      "a damaged card": archive([card]),
      "a wrong checksum": archive([card], { crc: 1 }),
      "a size that is not so": archive([card], { size: 2 ** 29 }),
      "a huge size": archive([card], { size: 2 ** 31 }),
      "a method that is not there": archive([card], { method: 14 }),
      "an encrypted file": archive([card], { flags: 1 }),
      "the same twice": archive([card, ["ledger.jsonl", ""], ["ledger.jsonl", ""]]),
    };
    const errors = {};
    for (const [what, file] of Object.entries(cases)) errors[what] = await caught(libraries.import(file, "bad"));
    return { errors, list: await libraries.list(), locks: (await navigator.locks.query()).held.length };
  });
  for (const [what, error] of Object.entries(seen.errors)) {
    assert.ok(error !== null, `${what} was taken`);
    assert.equal(error.code, "input", `${what}: ${JSON.stringify(error)}`);
    assert.ok(error.hint.length > 5, `${what}: ${JSON.stringify(error)}`);
  }
  assert.match(seen.errors["a path outside"].message, /\.\.\/evil\.json/);
  assert.deepEqual([seen.list, seen.locks], [[], 0]);
  await close();
});
