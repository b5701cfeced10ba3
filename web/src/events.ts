export type Event = { type: string };
export type Verdict = { verdict: "correct" | "wrong" | "malformed" | "unverifiable"; reason: string; answer: string | null };
