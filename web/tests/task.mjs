// A task of a page's own: the problem is the prompt, and an answer is right if it holds an x.
export default {
  name: "letters",
  prompt: (problem) => problem,
  verify: (_problem, completion) => ({
    verdict: completion.includes("x") ? "correct" : "wrong",
    reason: "holds an x or does not",
    answer: completion,
  }),
};
