// Light, dark, or as the system has it.

const KEY = "theme";
const CHOICES = ["auto", "light", "dark"] as const;
type Choice = (typeof CHOICES)[number];
const listeners = new Set<() => void>();

/** Calls back when colours change; charts are pictures and have to be drawn anew. */
export function onTheme(listener: () => void): void {
  listeners.add(listener);
}

export function setUpTheme(toggle: HTMLButtonElement): void {
  let choice = CHOICES.find((known) => known === localStorage.getItem(KEY)) ?? "auto";
  const apply = (next: Choice) => {
    choice = next;
    localStorage.setItem(KEY, choice);
    document.documentElement.dataset["theme"] = choice;
    toggle.textContent = { auto: "Theme: system", light: "Theme: light", dark: "Theme: dark" }[choice];
    for (const listener of listeners) listener();
  };
  apply(choice);
  toggle.addEventListener("click", () => apply(CHOICES[(CHOICES.indexOf(choice) + 1) % CHOICES.length] ?? "auto"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => apply(choice));
}
