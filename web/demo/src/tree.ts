// The variant tree: roots as a list to choose from, and the chosen one's variants, each a formula in the colour of its pass rate.

import { hierarchy, tree as layout, type HierarchyPointNode } from "d3-hierarchy";
import { h, svg } from "./dom.js";
import { problem as formula } from "./formula.js";
import { percent } from "./format.js";
import type { TreeNode } from "./run-state.js";

const NODE = { width: 212, height: 58, gapX: 46, gapY: 12 };
const MOST = 120;

export class TreeView {
  readonly element: HTMLElement;
  readonly #roots = h("div", { class: "roots", role: "group", "aria-label": "Problems at the top" });
  readonly #canvas = h("div", { class: "tree-canvas", tabindex: 0, role: "group", "aria-label": "Variants of the chosen problem" });
  #nodes: TreeNode[] = [];
  #chosen: number | undefined;
  #task = "";
  #drawn = "";

  constructor(private readonly onNode: (node: TreeNode) => void = () => undefined) {
    const legend = h("p", { class: "legend" }, h("span", {}, "never solved"), h("span", { class: "ramp", "aria-hidden": "true" }), h("span", {}, "always solved"));
    this.element = h("div", { class: "tree" }, this.#roots, legend, this.#canvas);
  }

  draw(task: string, nodes: Iterable<TreeNode>): void {
    this.#task = task;
    this.#nodes = [...nodes];
    const roots = this.#nodes.filter((node) => node.parent === undefined);
    const sizes = new Map(roots.map((root) => [root.id, this.#below(root.id).length]));
    if (this.#chosen === undefined || !sizes.has(this.#chosen)) {
      this.#chosen = roots.toSorted((a, b) => (sizes.get(b.id) ?? 0) - (sizes.get(a.id) ?? 0))[0]?.id;
    }
    this.#drawRoots(roots);
    this.#drawTree();
  }

  #drawRoots(roots: TreeNode[]): void {
    while (this.#roots.children.length > roots.length) this.#roots.lastChild?.remove();
    roots.forEach((root, index) => {
      const existing = this.#roots.children[index] as HTMLButtonElement | undefined;
      const square = existing ?? h("button", { type: "button", class: "root" });
      if (!existing) {
        square.addEventListener("click", () => {
          this.#chosen = Number(square.dataset["id"]);
          this.draw(this.#task, this.#nodes);
        });
        this.#roots.append(square);
      }
      square.dataset["id"] = String(root.id);
      square.setAttribute("aria-pressed", String(root.id === this.#chosen));
      square.setAttribute("aria-label", `${root.problem}, ${solved(root)}`);
      square.title = `${root.problem}: ${solved(root)}`;
      tint(square, root);
    });
  }

  #below(id: number): TreeNode[] {
    return this.#nodes.filter((node) => node.parent === id).flatMap((child) => [child, ...this.#below(child.id)]);
  }

  #drawTree(): void {
    const root = this.#nodes.find((node) => node.id === this.#chosen);
    if (!root) {
      this.#drawn = "";
      this.#canvas.replaceChildren(h("p", { class: "empty" }, "The tree grows when the model has written its first variants."));
      return;
    }
    const members = [root, ...this.#below(root.id)].slice(0, MOST);
    // Formulas are set once; a change of a rate only changes a colour.
    const shape = members.map((node) => `${node.id}:${node.parent}`).join();
    if (shape === this.#drawn) return this.#refresh(members);
    this.#drawn = shape;
    const top = hierarchy(root, (node) => members.filter((child) => child.parent === node.id));
    const placed = layout<TreeNode>().nodeSize([NODE.height + NODE.gapY, NODE.width + NODE.gapX])(top);
    const points = placed.descendants();
    const low = Math.min(...points.map((point) => point.x));
    const high = Math.max(...points.map((point) => point.x));
    const deep = Math.max(...points.map((point) => point.y));
    const place = (point: HierarchyPointNode<TreeNode>) => ({ left: point.y, top: point.x - low });
    const [width, height] = [deep + NODE.width, high - low + NODE.height];
    const lines = svg("svg", { width, height, "aria-hidden": "true" });
    for (const { source, target } of placed.links()) {
      const [from, to] = [place(source), place(target)];
      const [x1, y1, x2, y2] = [from.left + NODE.width, from.top + NODE.height / 2, to.left, to.top + NODE.height / 2];
      const middle = (x1 + x2) / 2;
      lines.append(svg("path", { d: `M${x1},${y1}C${middle},${y1} ${middle},${y2} ${x2},${y2}` }));
    }
    const plane = h("div", { class: "plane" }, lines as unknown as HTMLElement);
    plane.style.width = `${width}px`;
    plane.style.height = `${height}px`;
    for (const point of points) {
      const { left, top: y } = place(point);
      const box = this.#box(point.data);
      box.style.left = `${left}px`;
      box.style.top = `${y}px`;
      plane.append(box);
    }
    this.#canvas.replaceChildren(plane);
    this.#refresh(members);
  }

  #box(node: TreeNode): HTMLElement {
    const box = h("button", { type: "button", class: "node", "data-id": node.id, onclick: () => this.onNode(node) });
    box.append(formula(this.#task, node.problem), h("span", { class: "rate" }));
    return box;
  }

  #refresh(members: TreeNode[]): void {
    const known = new Map(members.map((node) => [String(node.id), node]));
    for (const box of this.#canvas.querySelectorAll<HTMLElement>(".node")) {
      const node = known.get(box.dataset["id"] ?? "");
      if (!node) continue;
      box.setAttribute("aria-label", `${node.kind}: ${node.problem}, ${solved(node)}`);
      const rate = box.querySelector(".rate");
      if (rate) rate.textContent = `${node.kind === "root" ? "" : `${node.kind} · `}${node.estimate === undefined ? "not tried" : percent(node.estimate)}`;
      tint(box, node);
    }
  }
}

function solved(node: TreeNode): string {
  return node.estimate === undefined ? "not tried yet" : `solved in ${percent(node.estimate)} of tries`;
}

function tint(element: HTMLElement, node: TreeNode): void {
  element.classList.toggle("untried", node.estimate === undefined);
  element.style.setProperty("--rate", `${Math.round((node.estimate ?? 0) * 100)}%`);
}
