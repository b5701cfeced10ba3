// A task that answers by promises with numbers, some of which come too late or not at all.
const later = (value, milliseconds) => new Promise((resolve) => setTimeout(() => resolve(value), milliseconds));

export default {
  name: "graded",
  rewardRange: [-1, 3],
  timeLimit: 0.3,
  prompt: (problem) => problem,
  verify({ problem }) {
    switch (problem) {
      case "?late=":
        return later(1, 60_000);
      case "?fails=":
        return Promise.reject(new Error("the service is away"));
      case "?none=":
        return null;
      case "?high=":
        return later(4, 1);
      case "?named=":
        return later({ rewards: { style: -1, units: null }, reason: "plain" }, 5);
      default:
        return later(2, 5);
    }
  },
};
