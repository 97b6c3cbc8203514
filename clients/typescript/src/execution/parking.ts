/** When code that only waits is let go of. */
import { InvalidArgumentError } from "../errors.js";

const QUIET_MS = 10; // the least: what has just begun to wait may have more to say
const PRESSED_MS = 100; // at most, where others may want the slot
const THRESHOLD_SECONDS = 10;

/** Milliseconds code may only wait before its host lets go of it. */
export function waitThresholdMs(): number {
  const text = process.env["POLOS_WAIT_THRESHOLD_SECONDS"] ?? "";
  const seconds = text === "" ? THRESHOLD_SECONDS : Number(text);
  if (Number.isFinite(seconds) && seconds >= 0) return seconds * 1000;
  throw new InvalidArgumentError(
    `POLOS_WAIT_THRESHOLD_SECONDS is ${JSON.stringify(text)}: it is a number of seconds, 0 or more`,
    { field: "POLOS_WAIT_THRESHOLD_SECONDS" },
  );
}

/** A clock that begins anew with everything that happens. */
export class Parking {
  private timer: NodeJS.Timeout | undefined;
  private thresholdMs: number;

  /**
   * @param onlyWaits whether the code may be let go of; `park` does it.
   * @param rests whether the code has been given all that has come about, as nobody tells it again.
   */
  constructor(
    thresholdMs: number,
    private readonly onlyWaits: () => boolean,
    private readonly rests: () => boolean,
    private readonly park: () => void,
  ) {
    this.thresholdMs = Math.max(thresholdMs, QUIET_MS);
  }

  /** Something happened. */
  touch(): void {
    this.stop();
    if (this.onlyWaits()) this.arm(this.thresholdMs);
  }

  /** Code that only waits is let go of at once. */
  hurry(): void {
    this.thresholdMs = QUIET_MS;
    this.touch();
  }

  /** Others may want the slot: it is kept for a moment only, in which a short wait may end. */
  press(): void {
    this.thresholdMs = Math.min(this.thresholdMs, PRESSED_MS);
    this.touch();
  }

  stop(): void {
    clearTimeout(this.timer);
  }

  private arm(ms: number): void {
    this.timer = setTimeout(() => {
      if (!this.onlyWaits()) return;
      if (this.rests()) this.park();
      else this.arm(QUIET_MS);
    }, ms);
    this.timer.unref();
  }
}
