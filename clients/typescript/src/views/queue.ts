/** Items of several writers for one reader, in the order in which they were put. */
export class Queue<T> {
  private readonly waiting: T[] = [];
  private wake: (() => void) | undefined;

  put(item: T): void {
    this.waiting.push(item);
    this.wake?.();
  }

  async next(): Promise<T> {
    while (this.waiting.length === 0) {
      await new Promise<void>((resolve) => (this.wake = resolve));
    }
    return this.waiting.shift()!;
  }
}
