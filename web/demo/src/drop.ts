// Model files of the visitor: dropped, or chosen by the file dialog.

import type { Source } from "stepladder";
import { button, h } from "./dom.js";

type Take = (source: Source) => void;

export function dropZone(take: Take): HTMLElement {
  const input = h("input", { type: "file", multiple: true, hidden: true, accept: ".gguf,.safetensors,.json,.jinja", tabindex: -1, "aria-label": "Model files" });
  input.addEventListener("change", () => {
    if (input.files?.length) take(sourceOf([...input.files]));
    input.value = "";
  });
  const zone = h(
    "div",
    { class: "drop" },
    h("p", {}, "Drop a .gguf file or a model’s folder here"),
    h("div", { class: "buttons" }, button("Choose files", () => input.click(), { id: "choose-files" }), folderButton(take)),
    input,
  );
  zone.addEventListener("dragover", (event) => {
    event.preventDefault();
    zone.classList.add("over");
  });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    void dropped(event.dataTransfer).then((source) => source && take(source));
  });
  return zone;
}

/** Choosing a whole folder by the dialog, where the browser has one. */
function folderButton(take: Take): HTMLElement | undefined {
  const pick = (globalThis as { showDirectoryPicker?: () => Promise<FileSystemDirectoryHandle> }).showDirectoryPicker;
  if (!pick) return undefined;
  const choose = async () => {
    try {
      take(await pick());
    } catch (error) {
      // Closing the dialog is a choice too.
      if (!(error instanceof DOMException && error.name === "AbortError")) throw error;
    }
  };
  return button("Choose a folder", () => void choose(), { class: "quiet" });
}

async function dropped(data: DataTransfer | null): Promise<Source | undefined> {
  const item = data?.items[0] as (DataTransferItem & { getAsFileSystemHandle?: () => Promise<FileSystemHandle | null> }) | undefined;
  const files = [...(data?.files ?? [])];
  const handle = await item?.getAsFileSystemHandle?.();
  if (handle?.kind === "directory") return handle as FileSystemDirectoryHandle;
  return files.length > 0 ? sourceOf(files) : undefined;
}

function sourceOf(files: File[]): Source {
  return files.length === 1 ? (files[0] as File) : files;
}
