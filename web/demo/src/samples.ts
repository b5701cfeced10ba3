// Sample answers with the verifier's verdict and its reason.

import type { Verdict } from "stepladder";
import { h } from "./dom.js";
import { problem as formula } from "./formula.js";
import type { AnsweredSample } from "./run-state.js";

const WORDS = { correct: "correct", wrong: "wrong", malformed: "no answer", unverifiable: "cannot be judged", scored: "scored" };

export class SampleList {
  readonly element = h("ol", { class: "samples" });

  draw(task: string, samples: readonly AnsweredSample[]): void {
    const items = samples.slice(0, 8).map(({ problem, sample }) =>
      h(
        "li",
        { class: "sample" },
        h("div", { class: "question" }, formula(task, problem), badge(sample.verdict.verdict), numbers(sample.verdict)),
        h("pre", { class: "said" }, sample.text || "(nothing)"),
        h("p", { class: "reason" }, sample.verdict.reason),
      ),
    );
    this.element.replaceChildren(...(items.length > 0 ? items : [h("li", { class: "empty" }, "Answers appear here as they are checked.")]));
  }
}

/** The rewards of a judgement in words, if it has any. */
function numbers({ reward, rewards }: Verdict): string {
  const all = Object.entries({ ...(reward != null && { reward }), ...rewards });
  return all.map(([name, value]) => ` ${name} ${Number(value).toFixed(2)}`).join(",");
}

export function badge(verdict: keyof typeof WORDS): HTMLElement {
  return h("span", { class: `badge ${verdict}` }, WORDS[verdict]);
}
