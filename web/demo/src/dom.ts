// Elements without HTML text: whatever a model writes can only ever become a text node.

type Child = Node | string | undefined | false;
type Value = string | number | boolean | undefined | ((event: never) => void);

/** Makes an element. Functions become listeners (`onclick`), everything else attributes; `false` and `undefined` are left out. */
export function h<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Record<string, Value> = {},
  ...children: Child[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value as EventListener);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== undefined) element.setAttribute(name, String(value));
  }
  element.append(...children.filter((child): child is Node | string => child !== undefined && child !== false));
  return element;
}

export function svg(tag: string, attributes: Record<string, string | number>): SVGElement {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  return element;
}

let next = 0;

/** A control with its label, and a line under it that screen readers read with it. */
export function field(label: string, control: HTMLElement, help?: string): HTMLElement {
  control.id ||= `field-${(next += 1)}`;
  const note = help === undefined ? undefined : h("small", { id: `${control.id}-help` }, help);
  if (note) control.setAttribute("aria-describedby", note.id);
  return h("div", { class: "field" }, h("label", { for: control.id }, label), control, note);
}

export function numberInput(value: number | string, attributes: Record<string, Value> = {}): HTMLInputElement {
  return h("input", { type: "number", inputmode: "decimal", value, ...attributes });
}

/** The number in a field, or nothing where the field is empty. */
export function numberOf(input: HTMLInputElement): number | undefined {
  return input.value.trim() === "" || Number.isNaN(input.valueAsNumber) ? undefined : input.valueAsNumber;
}

export function button(label: string, onclick: () => void, attributes: Record<string, Value> = {}): HTMLButtonElement {
  return h("button", { type: "button", onclick, ...attributes }, label);
}

/** A titled part of a page. */
export function card(title: string, attributes: Record<string, Value>, ...children: Child[]): HTMLElement {
  const heading = h("h3", { id: `card-${(next += 1)}` }, title);
  return h("section", { ...attributes, class: `card ${attributes["class"] ?? ""}`.trim(), "aria-labelledby": heading.id }, heading, ...children);
}

/** Hands a file to the browser's downloads. */
export function saveFile(name: string, type: string, parts: BlobPart[]): void {
  const url = URL.createObjectURL(new Blob(parts, { type }));
  const link = h("a", { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
