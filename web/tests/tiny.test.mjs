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
