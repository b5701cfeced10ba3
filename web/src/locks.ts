// Locks that all tabs of this origin see. They end with the worker that holds them, however it ends.

/** Lets go of what is held. */
export type Release = () => void;

/** Takes `name`, waiting for whoever has it. Where the platform has no locks, nobody is waited for. */
export async function hold(name: string, signal: AbortSignal | undefined): Promise<Release> {
  return (await taken(name, signal === undefined ? {} : { signal })) ?? (() => undefined);
}

/** Takes `name` if nobody has it; undefined if somebody does. */
export function tryHold(name: string): Promise<Release | undefined> {
  return taken(name, { ifAvailable: true });
}

function taken(name: string, options: LockOptions): Promise<Release | undefined> {
  const locks = globalThis.navigator?.locks;
  if (locks === undefined) return Promise.resolve(() => undefined);
  return new Promise((resolve, reject) => {
    const held = (lock: Lock | null): Promise<void> | undefined => {
      if (lock !== null) return new Promise((release) => resolve(release));
      resolve(undefined);
      return undefined;
    };
    locks.request(`stepladder ${name}`, options, held).catch(reject);
  });
}
