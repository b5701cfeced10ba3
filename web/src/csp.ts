// What the page's content security policy forbade here, so that errors can name the directive.

import { StepladderError, describe, pause } from "./errors.js";

interface Violation {
  directive: string;
  at: number;
}

let last: Violation | undefined;

globalThis.addEventListener?.("securitypolicyviolation", (event) => {
  const { effectiveDirective, disposition } = event as SecurityPolicyViolationEvent;
  if (disposition !== "report") last = { directive: effectiveDirective, at: performance.now() };
});

/** What each directive must have for this package, by the beginning of its name. */
const NEEDS: readonly [string, string][] = [
  ["connect-src", "the addresses that models come from, and 'self' for this package's own files"],
  ["worker-src", "'self' if this package's modules lie at the page's own origin, else blob:"],
  ["script-src", "'wasm-unsafe-eval', and the address of this package's modules"],
];

/** The error of something that failed, if the page's policy forbids it; `what` says what was tried. */
export async function forbidden(what: string, error: unknown): Promise<StepladderError | undefined> {
  if (/content security policy|unsafe-eval/i.test(describe(error))) return named(what, "script-src", error);
  if (!("SecurityPolicyViolationEvent" in globalThis)) return undefined;
  // The event comes shortly after what it is about.
  await pause(50, undefined);
  if (last === undefined || performance.now() - last.at > 2000) return undefined;
  return named(what, last.directive, error);
}

function named(what: string, directive: string, cause: unknown): StepladderError {
  const needs = NEEDS.find(([name]) => directive.startsWith(name))?.[1] ?? "what this package needs";
  const hint = `let the page's Content-Security-Policy have in ${directive}: ${needs}`;
  return new StepladderError("csp", `${what} is forbidden by the page's content security policy (${directive})`, hint, { cause });
}
