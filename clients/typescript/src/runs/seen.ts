/** Which suspensions this process has seen: what a step's key means to whoever answers here. */

const SEEN_MAX = 10_000;

/** Ids of open suspensions by run, or the top of its tree, and step key; the newest SEEN_MAX. */
export class SeenSuspensions {
  private readonly ids = new Map<string, Set<string>>();
  private readonly places = new Map<string, Set<string>>();

  /** It is open; `names`: its run, and what else it may be named by. */
  note(suspensionId: string, stepKey: string, ...names: string[]): void {
    for (const name of names) {
      const place = JSON.stringify([name, stepKey]);
      setIn(this.ids, place).add(suspensionId);
      setIn(this.places, suspensionId).add(place);
    }
    for (const oldest of this.places.keys()) {
      if (this.places.size <= SEEN_MAX) return;
      this.forget(oldest);
    }
  }

  /** It is over. */
  forget(suspensionId: string): void {
    for (const place of this.places.get(suspensionId) ?? []) {
      const ids = this.ids.get(place);
      ids?.delete(suspensionId);
      if (ids?.size === 0) this.ids.delete(place);
    }
    this.places.delete(suspensionId);
  }

  /** The only one that was seen open there; empty: none, or several. */
  find(name: string, stepKey: string): string {
    const ids = this.ids.get(JSON.stringify([name, stepKey]));
    return ids?.size === 1 ? [...ids][0]! : "";
  }
}

function setIn(map: Map<string, Set<string>>, key: string): Set<string> {
  const found = map.get(key) ?? new Set<string>();
  map.set(key, found);
  return found;
}
