// A task that judges all answers at once: how many there are, and the place of each.
export default {
  name: "batch",
  rewardRange: [0, 100],
  prompt: (problem) => problem,
  verifyBatch: async (items) => items.map(({ problem }, place) => ({ reward: place, rewards: { asked: items.length }, reason: problem.problem })),
};
