// Text that a visitor pasted, as training examples.

import type { Example } from "stepladder";

/** JSON lines, question/answer pairs (`Q:` and `A:`), or plain text, whose paragraphs are examples. */
export function parseExamples(text: string): { examples: Example[]; kind: string } {
  const trimmed = text.trim();
  if (trimmed === "") return { examples: [], kind: "nothing" };
  if (trimmed.startsWith("{")) return { examples: trimmed.split("\n").filter((line) => line.trim() !== "").map(jsonLine), kind: "lines of JSON" };
  if (/^\s*(q|question|frage)\s*:/im.test(trimmed)) {
    const examples = pairs(trimmed);
    return { examples, kind: examples.length === 1 ? "question with its answer" : "questions with answers" };
  }
  const examples = trimmed.split(/\n\s*\n/).map((paragraph) => ({ text: paragraph.trim() }));
  return { examples, kind: examples.length === 1 ? "piece of text" : "pieces of text" };
}

/** Questions with their answers as lines of JSON: such lines as they are, `Q:` and `A:`, or a question, a tab and its answer a line. */
export function parsePairs(text: string): { pairs: string; count: number } {
  const trimmed = text.trim();
  if (trimmed === "") return { pairs: "", count: 0 };
  const lines = trimmed.split("\n").filter((line) => line.trim() !== "");
  if (trimmed.startsWith("{")) return { pairs: lines.join("\n"), count: lines.length };
  const rows = /^\s*(q|question|frage)\s*:/im.test(trimmed)
    ? pairs(trimmed).map((pair) => ("prompt" in pair ? { question: pair.prompt, answer: pair.completion } : pair))
    : lines.map((line, index) => {
        const [question, ...answer] = line.split("\t");
        if (!question?.trim() || answer.join("").trim() === "") throw new Error(`line ${index + 1} has no answer: write the question, a tab, and the answer`);
        return { question: question.trim(), answer: answer.join(" ").trim() };
      });
  return { pairs: rows.map((row) => JSON.stringify(row)).join("\n"), count: rows.length };
}

function jsonLine(line: string, index: number): Example {
  const where = `line ${index + 1} of the examples`;
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new Error(`${where} is not JSON: ${line.slice(0, 60)}`);
  }
  const { text, prompt, completion, messages } = (value ?? {}) as Record<string, unknown>;
  if (typeof text === "string" || Array.isArray(messages) || (typeof prompt === "string" && typeof completion === "string")) return value as Example;
  throw new Error(`${where} needs "text", or "prompt" and "completion", or "messages": ${line.slice(0, 60)}`);
}

function pairs(text: string): Example[] {
  const blocks = text.split(/^\s*(?:q|question|frage)\s*:/im).slice(1);
  return blocks.map((block, index) => {
    const [question, ...answer] = block.split(/^\s*(?:a|answer|antwort)\s*:/im);
    if (answer.length === 0 || !question?.trim()) {
      throw new Error(`question ${index + 1} has no answer: write a line that begins with "A:" below it`);
    }
    return { prompt: question.trim(), completion: answer.join("A:").trim() };
  });
}

/** For models that chat, a pair becomes two turns, so that the chat asks in the form that was learned. */
export function forChat(examples: Example[]): Example[] {
  return examples.map((example) =>
    "prompt" in example
      ? { messages: [{ role: "user", content: example.prompt }, { role: "assistant", content: example.completion }] }
      : example,
  );
}
