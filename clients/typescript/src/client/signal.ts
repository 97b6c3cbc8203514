/** Something that has happened, or not yet; and waits that end. */

/** Set until it is reset; whoever waits goes on once it is set. */
export class Signal {
  private isSet = false;
  private waiting: (() => void)[] = [];

  set(): void {
    this.isSet = true;
    const due = this.waiting;
    this.waiting = [];
    for (const resolve of due) resolve();
  }

  reset(): void {
    this.isSet = false;
  }

  async wait(): Promise<void> {
    if (!this.isSet) await new Promise<void>((resolve) => this.waiting.push(resolve));
  }
}

/** Whether something came about within so many milliseconds; the process stays until then. */
export async function within(work: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), ms);
  });
  try {
    return await Promise.race([work.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** What the work gives; the process stays until then. */
export async function keepingAlive<T>(work: Promise<T>): Promise<T> {
  const timer = setInterval(() => undefined, 2 ** 30);
  try {
    return await work;
  } finally {
    clearInterval(timer);
  }
}
