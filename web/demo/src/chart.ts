// Small live curves. A chart is a picture, so each says its last values in words too.

import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { h } from "./dom.js";
import { onTheme } from "./theme.js";

export interface Line {
  label: string;
  /** Share of the accent colour, 1 for the only or the hardest line. */
  weight?: number;
  values: (number | null)[];
}

const HEIGHT = 150;

export class Chart {
  readonly element: HTMLElement;
  readonly #place = h("div", { class: "plot", "aria-hidden": "true" });
  readonly #words = h("span", { class: "words" });
  #plot: uPlot | undefined;
  #steps: number[] = [];
  #lines: Line[] = [];

  constructor(
    title: string,
    private readonly format: (value: number) => string,
    private readonly options: { range?: [number, number]; tick?: (value: number) => string } = {},
  ) {
    this.element = h("figure", { class: "chart" }, h("figcaption", {}, h("span", {}, title), this.#words), this.#place);
    new ResizeObserver(() => this.#resize()).observe(this.#place);
    onTheme(() => this.#rebuild());
  }

  /** Draws the lines; `words` stand in place of the last values. */
  draw(steps: number[], lines: Line[], words?: string): void {
    const same = lines.length === this.#lines.length && lines.every((line, index) => line.label === this.#lines[index]?.label);
    [this.#steps, this.#lines] = [steps, lines];
    if (same && this.#plot) this.#plot.setData(this.#data());
    else this.#rebuild();
    this.element.dataset["points"] = String(steps.length);
    this.#words.textContent = words ?? lines
      .map((line) => ({ label: line.label, last: line.values.findLast((value) => value !== null) }))
      .filter(({ last }) => last !== undefined)
      .map(({ label, last }) => `${lines.length > 1 ? `${label} ` : ""}${this.format(last as number)}`)
      .join(" · ");
  }

  #data(): uPlot.AlignedData {
    return [this.#steps, ...this.#lines.map((line) => line.values)];
  }

  #rebuild(): void {
    this.#plot?.destroy();
    this.#plot = undefined;
    const width = this.#place.clientWidth;
    if (width === 0 || this.#lines.length === 0) return;
    const style = getComputedStyle(document.documentElement);
    const color = (name: string) => style.getPropertyValue(name).trim();
    const axis = { stroke: color("--muted"), font: "11px system-ui, sans-serif", grid: { stroke: color("--hairline"), width: 1 }, ticks: { show: false } };
    const stroke = (weight: number) => mix(color("--faint-line"), color("--accent"), weight);
    const options: uPlot.Options = {
      width,
      height: HEIGHT,
      legend: { show: false },
      cursor: { show: false },
      padding: [8, 8, 0, 0],
      scales: { x: { time: false, range: (_, low, high) => [Math.min(low ?? 0, 1), Math.max(high ?? 1, 5)] }, y: { range: this.options.range ?? room } },
      axes: [
        { ...axis, size: 24, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000] },
        { ...axis, size: 46, values: (_, ticks) => ticks.map(this.options.tick ?? this.format) },
      ],
      series: [
        {},
        ...this.#lines.map((line) => ({
          label: line.label,
          stroke: stroke(line.weight ?? 1),
          width: 1.75,
          spanGaps: true,
          points: { show: this.#steps.length < 12, size: 5, fill: stroke(line.weight ?? 1) },
        })),
      ],
    };
    this.#plot = new uPlot(options, this.#data(), this.#place);
  }

  #resize(): void {
    const width = this.#place.clientWidth;
    if (width === 0) return;
    if (this.#plot) this.#plot.setSize({ width, height: HEIGHT });
    else this.#rebuild();
  }
}

/** Room around values that are all the same, or not there yet. */
function room(_: uPlot, low: number | null, high: number | null): [number, number] {
  if (low === null || high === null) return [0, 1];
  const margin = Math.max((high - low) * 0.12, Math.abs(high) * 0.05, 0.005);
  return [low - (low >= 0 ? Math.min(margin, low) : margin), high + margin];
}

/** A colour between two of the theme's, which are written as `#rrggbb`. */
function mix(from: string, to: string, share: number): string {
  const part = (color: string, at: number) => Number.parseInt(color.slice(at, at + 2), 16);
  const between = [1, 3, 5].map((at) => Math.round(part(from, at) * (1 - share) + part(to, at) * share));
  return `rgb(${between.join(" ")})`;
}
