// The tiny model in a real browser, against the numbers that native code is held to.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { check, openPage, root, test } from "./harness.mjs";

const fixture = JSON.parse(readFileSync(join(root, "tests/fixtures/tiny.json"), "utf8"));

test("greedy text and log-probabilities are native's", async () => {
  const { page, close, errors } = await openPage();
  const answers = await page.evaluate(async (cases) => {
    const { load } = await import("/dist/index.js");
    const model = await load("tiny");
    const answers = [];
    for (const { prompt, completion } of cases) {
      let done;
      let text = "";
      for await (const chunk of model.generate(prompt, { temperature: 0, maxTokens: 24 })) {
        text += chunk.text;
        done = chunk.done ?? done;
      }
      answers.push({ text, done, score: await model.score(prompt + completion) });
    }
    const info = model.info;
    await model.dispose();
    return { answers, info };
  }, fixture);
  check(answers.info.parameters > 0 && answers.info.gpu.software, JSON.stringify(answers.info));
  fixture.forEach((expected, index) => {
    const { text, done, score } = answers.answers[index];
    check(text === expected.completion, `${expected.prompt}: ${text}, expected ${expected.completion}`);
    check(done.text === text && done.finishReason === "stop", JSON.stringify(done));
    check(JSON.stringify(done.tokens) === JSON.stringify(expected.completion_tokens), `${done.tokens}`);
    const worst = Math.max(...score.logprobs.map((value, at) => Math.abs(value - expected.logprobs[at])));
    check(worst < 1e-3, `${expected.prompt}: log-probabilities differ by ${worst}: ${score.tokens} ${score.logprobs}; ${expected.prompt_tokens} ${expected.completion_tokens} ${expected.logprobs}`);
  });
  check(errors.length === 0, errors.join("\n"));
  await close();
});

test("keys and values in 16 bits say the same in half the memory", async () => {
  const { page, close, errors } = await openPage();
  const prompt = fixture[0].prompt;
  const [exact, halves] = await page.evaluate(async (prompt) => {
    const { load } = await import("/dist/index.js");
    const answers = [];
    for (const kvCache of ["f32", "f16"]) {
      const model = await load("tiny", { kvCache });
      const before = model.info.gpuBytes;
      let done;
      for await (const chunk of model.generate(prompt, { temperature: 0, maxTokens: 512 })) done = chunk.done ?? done;
      // This asks for the numbers anew.
      await model.adapter.clear();
      answers.push({ done, bytes: model.info.gpuBytes - before });
      await model.dispose();
    }
    return answers;
  }, prompt);
  check(exact.done.text === halves.done.text, `${exact.done.text} ${halves.done.text}`);
  const worst = Math.max(...exact.done.logprobs.map((value, at) => Math.abs(value - halves.done.logprobs[at])));
  check(worst > 0 && worst < 2e-2, `log-probabilities differ by ${worst}`);
  check(halves.bytes > 0 && halves.bytes < exact.bytes, `${halves.bytes} bytes, ${exact.bytes} exact`);
  check(errors.length === 0, errors.join("\n"));
  await close();
});

test("a text computes only the tokens that are new, whoever spoke in between", async () => {
  const { page, close, errors } = await openPage();
  const answers = await page.evaluate(async () => {
    const { load } = await import("/dist/index.js");
    const model = await load("tiny");
    const ask = async (prompt, adapter) => {
      let done;
      for await (const chunk of model.generate(prompt, { temperature: 0, maxTokens: 8, adapter })) done = chunk.done ?? done;
      return done;
    };
    const answers = { first: await ask("?x^3+cos(x)=") };
    answers.again = await ask("?x^3+cos(x)=");
    answers.edited = await ask("?x^3+sin(x)=");
    for await (const _ of model.train([{ text: "?x^4=7*x*x" }], { steps: 2 }));
    for (const name of ["before", "after"]) answers[name] = [await ask("?x^4+x=", true), await ask("?x^4+x=", false)];
    await model.adapter.clear();
    answers.cleared = await ask("?x^4+x=", true);
    await model.dispose();
    return answers;
  });
  const { first, again, edited, before, after, cleared } = answers;
  const all = first.promptTokens - 1;
  check(all > 8 && first.cachedTokens === 0, JSON.stringify(first));
  check(again.cachedTokens === all && again.text === first.text, JSON.stringify(again));
  const worst = Math.max(...again.logprobs.map((value, at) => Math.abs(value - first.logprobs[at])));
  check(worst < 1e-4, `log-probabilities differ by ${worst}`);
  check(edited.cachedTokens > 2 && edited.cachedTokens < all, JSON.stringify(edited));
  // Training takes the room; then both voices keep what they said.
  check(before.every(({ cachedTokens }) => cachedTokens === 0), JSON.stringify(before));
  after.forEach(({ promptTokens, cachedTokens, text }, voice) => check(cachedTokens === promptTokens - 1 && text === before[voice].text, JSON.stringify(after)));
  // Without an adapter it is the base that speaks, and it has said this.
  check(cleared.cachedTokens === cleared.promptTokens - 1 && cleared.text === before[1].text, JSON.stringify(cleared));
  check(errors.length === 0, errors.join("\n"));
  await close();
});
