/** Keys of steps, and those that this package uses beside them. */
export const KEY_BYTES_MAX = 512;
/** How the keys begin that this package uses itself. */
export const OWN_PREFIX = "polos.";
/** Of the fact that keeps what the state began with. */
export const INITIAL_STATE = "polos.initial_state";
