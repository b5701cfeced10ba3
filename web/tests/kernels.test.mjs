// Every kernel's cases in a real browser against their f64 references: the table of the native test (tests/kernels).
import { check, test } from "./harness.mjs";
import { withDevice } from "./rust.mjs";

// What a browser grants by default is checked with the variants for GPUs, whose tiles have to fit it. One case in `stride` is
// tried here, since natively all are and Tint compiles all; fewer in software, which these tests run on and no visitor has.
const RUNS = [
  { title: "in the adapter's own limits", others: ["product/few_rows", "product/tiled"], stride: 5 },
  { title: "in the variants for GPUs, in WebGPU's default limits", others: [], stride: 3, software: false, defaultLimits: true },
];

// `others` are tables whose cases ask for a kernel by name: it is the same in every run, and one tries it.
for (const { title, others, stride, ...device } of RUNS) {
  const body = async (call) => {
    const { table, all } = await call(() => JSON.parse(window.rust.names()));
    check(all.length > 10 && table.join() === all.join(), `kernels: ${all}; in the table: ${table}`);
    const failures = [];
    check(others.every((stem) => table.includes(stem)), `not all of ${others} are tables`);
    for (const stem of table.filter((stem) => !others.includes(stem))) {
      const began = performance.now();
      const { cases, worst, worstAt, failures: failed } = await call(
        async ([stem, stride]) => JSON.parse(await window.device.run_kernel(stem, stride)),
        [stem, stride],
      );
      const seconds = ((performance.now() - began) / 1000).toFixed(1);
      console.log(`      ${stem.padEnd(18)} ${String(cases).padStart(4)} cases in ${seconds} s, worst error / bound ${worst.toFixed(3)} ${worstAt}`);
      check(cases > 0, `${stem} has no case`);
      failures.push(...failed.map((failure) => `${stem}: ${failure}`));
    }
    check(failures.length === 0, `${failures.length} failures:\n${failures.join("\n")}`);
  };
  test(`every kernel matches its reference ${title}`, () => withDevice(device, body), { seconds: 1800 });
}
