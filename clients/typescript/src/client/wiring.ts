/** A client, as far as the things that come with it need one. */
import type { Target } from "../execution/startable.js";
import type { SeenSuspensions } from "../runs/seen.js";
import type { Wire } from "../wire/wire.js";

export interface Wiring {
  readonly wire: Wire;
  readonly suspensions: SeenSuspensions;
  /** Returns when the server knows of it. */
  readonly ready: (target: Target) => Promise<void>;
}
