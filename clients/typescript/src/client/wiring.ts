/** A client, as far as the things that come with it need one. */
import type { SeenSuspensions } from "../runs/seen.js";
import type { Wire } from "../wire/wire.js";

export interface Wiring {
  readonly wire: Wire;
  readonly suspensions: SeenSuspensions;
}
