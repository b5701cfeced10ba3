// Problems as formulas: what is written, and that nothing else gets through to the typesetter.
import assert from "node:assert/strict";
import { build } from "esbuild";
import { test } from "./harness.mjs";

const source = await build({ entryPoints: [`${import.meta.dirname}/../demo/src/latex.ts`], bundle: true, format: "esm", write: false });
const { toLatex, integralLatex } = await import(`data:text/javascript;base64,${Buffer.from(source.outputFiles[0].text).toString("base64")}`);

const KNOWN = {
  "x*sin(2*x)+x^2": "x\\sin(2x)+x^{2}",
  "-5*x": "-5x",
  "x^3-2*x": "x^{3}-2x",
  "(x-2)*cos(2*x)": "(x-2)\\cos(2x)",
  "3*x^2/2": "\\frac{3x^{2}}{2}",
  "-7*cos(5*x)/5": "-\\frac{7\\cos(5x)}{5}",
  "2*3*x": "2\\cdot 3x",
  "x*exp(2*x)/2-exp(2*x)/4": "\\frac{x\\,e^{2x}}{2}-\\frac{e^{2x}}{4}",
  "sqrt(x+1)": "\\sqrt{x+1}",
  "sin(x)^2": "\\sin^{2}(x)",
  "(x+1)^-2": "(x+1)^{-2}",
  "x**2": "x^{2}",
  "2x": "2x",
  "1/(x^2+1)": "\\frac{1}{x^{2}+1}",
  "log(x)": "\\ln(x)",
  "x-(-3)": "x-(-3)",
  "a-(x-1)": "a-(x-1)",
  "-(x+1)": "-(x+1)",
  "-x/2": "-\\frac{x}{2}",
  "(x-1)/2*x": "\\frac{x-1}{2}x",
};

test("expressions of the notation become LaTeX", async () => {
  for (const [text, latex] of Object.entries(KNOWN)) assert.equal(toLatex(text), latex, text);
  assert.equal(integralLatex("x+1"), "\\int (x+1)\\,dx");
  assert.equal(integralLatex("(x-3)*exp(2*x)"), "\\int (x-3)e^{2x}\\,dx");
});

test("everything else stays text", async () => {
  const others = [
    "", "x+", "(x", "x)", "\\href{javascript:alert(1)}{x}", "<img onerror=alert(1)>", "x^{2}", "$x$", "foo(x)", "constructor(x)", "__proto__",
    "x; y", "numbers 3 5 7", "()", "sin", "x\u0000", "\\def\\x{\\x}\\x", "(".repeat(60) + "x" + ")".repeat(60), "-".repeat(100) + "x", "x+".repeat(400) + "x",
  ];
  for (const text of others) assert.equal(toLatex(text), undefined, text.slice(0, 40));
});
