// Problems: those that come with the small model, and the visitor's own.

import type { Problem } from "stepladder";
import heldOutText from "../../../models/tiny/problems_heldout.jsonl?raw";
import trainText from "../../../models/tiny/problems_train.jsonl?raw";

/** Reads lines: JSON objects as in a problems file, or just the problem, with `[level N]` after it if one is known. */
export function parseProblems(text: string): Problem[] {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "")
    .map((line, index) => {
      if (!line.startsWith("{")) {
        const levelled = /^(.*\S)\s+\[level (\d+)\]$/.exec(line);
        return levelled ? { problem: levelled[1] ?? "", level: Number(levelled[2]) } : { problem: line };
      }
      let value: unknown;
      try {
        value = JSON.parse(line);
      } catch {
        throw new Error(`line ${index + 1} of the problems begins like JSON and is none: ${line.slice(0, 60)}`);
      }
      if (typeof (value as Problem).problem !== "string") {
        throw new Error(`line ${index + 1} of the problems has no text in "problem": ${line.slice(0, 60)}`);
      }
      return value as Problem;
    });
}

export const bundled = { train: parseProblems(trainText), heldOut: parseProblems(heldOutText) };

/** Every so many-th of a list, so that all levels are in it. */
export function thinned<Item>(list: readonly Item[], size: number): Item[] {
  const step = Math.max(1, list.length / size);
  return Array.from({ length: Math.min(size, list.length) }, (_, index) => list[Math.floor(index * step)] as Item);
}

/** Problems as a text field holds them. */
export function asText(problems: readonly Problem[]): string {
  return problems.map(({ problem, level }) => (level === undefined ? problem : `${problem}  [level ${level}]`)).join("\n");
}
