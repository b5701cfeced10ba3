// Formulas on the page.

import katex from "katex";
import "katex/dist/katex.min.css";
import { h } from "./dom.js";
import { integralLatex, toLatex } from "./latex.js";

/** A problem as a formula where its task is about integrals and the notation is understood, otherwise as text. */
export function problem(task: string, text: string): HTMLElement {
  const latex = task === "integral" ? integralLatex(text) : undefined;
  return latex === undefined ? plain(text) : typeset(latex, text);
}

/** An answer, with the same care. */
export function answer(task: string, text: string): HTMLElement {
  const latex = task === "integral" ? toLatex(text) : undefined;
  return latex === undefined ? plain(text) : typeset(latex, text);
}

function plain(text: string): HTMLElement {
  return h("code", { class: "formula" }, text);
}

function typeset(latex: string, text: string): HTMLElement {
  const element = h("span", { class: "formula", title: text });
  try {
    katex.render(latex, element, { trust: false, strict: "error", maxExpand: 20, throwOnError: true });
    return element;
  } catch {
    return plain(text);
  }
}
