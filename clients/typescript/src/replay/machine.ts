/**
 * Which fact an execution's code is given next: a pure machine, the same live and replayed.
 *
 * The facts of a run (settled steps, outcomes of waits, that its code saw a cancellation or gave a
 * key up) are numbered in the journal's order. The code asks for them by key, in whatever order it
 * likes, and is given them one at a time in the journal's order, each when it has nothing left to
 * run. So two branches of the code that race see the same winner in every execution.
 *
 *     key       asked   fact    what comes next
 *     held      yes     no      begun at an idle at which nothing else is due
 *     asked     yes     no      its fact, when it comes about
 *     known     no      yes     the code asks for it, or has diverged
 *     due       yes     yes     given when all before it were
 *     given     yes     yes     nothing
 *     going     yes     given up in an earlier execution: neither begun nor given; from where that
 *                       was the code is given nothing more before it has given the key up again
 *     withdrawn given up        its fact is passed over
 *
 * What an attempt that failed gave up last, before nothing else settled, does not count in the
 * next.
 *
 * A try of a step that failed is a fact, too; the code is not given it, whoever runs the step is.
 *
 * No I/O, no clock: whoever runs the code says when it is idle.
 */

/** What the code may ask for. */
export type AskKind =
  "step" | "sleep" | "suspend" | "event" | "invoke_and_wait" | "invoke" | "publish" | "resume";

/** The word of a fact for what the code asked for; empty: not said. */
export type FactKind =
  | ""
  | "step"
  | "sleep"
  | "suspend"
  | "event"
  | "children"
  | "at once"
  | "try"
  | "cancellation shown"
  | "given up";

const FACT_KINDS: Record<AskKind, FactKind> = {
  step: "step",
  sleep: "sleep",
  suspend: "suspend",
  event: "event",
  invoke_and_wait: "children",
  invoke: "at once",
  publish: "at once",
  resume: "at once",
};

const SHOWN = "cancellation shown";
const GIVEN_UP = "given up";

type KeyState = "held" | "asked" | "known" | "due" | "given" | "going" | "withdrawn";

/** How a step or a wait ended. */
export interface Fact<Outcome> {
  readonly key: string;
  readonly kind: FactKind;
  /** A function of the code did it, not the server. */
  readonly isStep: boolean;
  /** For whoever asks; the machine does not look at it. */
  readonly outcome: Outcome;
  /** The server refused it because the run is being cancelled. */
  readonly cancels: boolean;
  /** The wait is over because the code gave it up. */
  readonly ends?: boolean;
  /** Of what was given up: how many facts the code had been given. */
  readonly seen?: number;
  /** And how often the run had been tried before. */
  readonly tries?: number;
  /** Of a try that failed: which, from 1. */
  readonly tryNumber?: number;
  /** And the milliseconds that were left before the next, when this was told. */
  readonly pauseMs?: number;
}

/** What the machine wants done. */
export type Output<Outcome> =
  /** Nothing is known under this key: do it. */
  | { readonly do: "begin"; readonly key: string }
  /** Give the code this fact, the `number`th of the journal from 0. */
  | { readonly do: "give"; readonly number: number; readonly fact: Fact<Outcome> }
  /** Make it a fact that the code sees the cancellation here: it is shown once that is one. */
  | { readonly do: "sayCancel" }
  /** Let the code see that its run is being cancelled; `key`: the ask that is refused for it. */
  | { readonly do: "showCancel"; readonly key: string | undefined }
  /** The code does not ask for what the facts have; the sentences say what and where. */
  | Diverged;

export interface Diverged {
  readonly do: "diverged";
  readonly message: string;
}

/**
 * One execution's way through the facts of its run.
 *
 * Laws: what is given is a prefix of the facts, but for what was withdrawn; at most one is given
 * between two idles; a key is begun at most once, and never one with a fact.
 */
export class Replay<Outcome> {
  private readonly facts: Fact<Outcome>[];
  private readonly isVoid: Set<number>; // numbers of facts that count no more
  private readonly numbers = new Map<string, number>();
  private readonly tries = new Map<string, Fact<Outcome>>(); // the last that failed, by step
  private readonly going = new Set<string>(); // keys that were given up
  private readonly barriers = new Map<number, string[]>(); // those, by how many facts were given
  private readonly states = new Map<string, KeyState>();
  private readonly kinds = new Map<string, AskKind>(); // of the asks, by key
  private readonly held = new Set<string>();
  private readonly given: string[] = []; // keys, for a sentence about what went wrong
  private next = 0; // the number of the fact to be given next
  private unaskedCount: number;
  private isCancelling: boolean;
  private isCancelSaid: boolean;
  private isCancelKnown: boolean; // it is a fact
  private isCancelShown = false;

  /** @param tries how often the run was tried before. */
  constructor(facts: readonly Fact<Outcome>[] = [], isCancelling = false, tries = 0) {
    this.facts = [...facts];
    this.isVoid = voidOf(this.facts, tries);
    this.facts.forEach((fact, number) => this.know(fact, number));
    for (const key of this.numbers.keys()) this.states.set(key, "known");
    this.unaskedCount = this.states.size;
    this.isCancelling = isCancelling;
    this.isCancelSaid = this.isCancelKnown = facts.some((fact) => fact.kind === SHOWN);
  }

  private know(fact: Fact<Outcome>, number: number): void {
    if (fact.kind === "try") {
      this.tries.set(fact.key, fact);
    } else if (this.isVoid.has(number) || fact.kind === SHOWN) {
      return;
    } else if (fact.kind === GIVEN_UP) {
      const seen = fact.seen ?? 0;
      this.going.add(fact.key);
      this.barriers.set(seen, [...(this.barriers.get(seen) ?? []), fact.key]);
    } else {
      this.numbers.set(fact.key, number);
    }
  }

  // ---- what happens ----

  /** Whether the code has used this key. */
  wasAsked(key: string): boolean {
    return this.kinds.has(key);
  }

  /** A fact, whether it was given or not. */
  find(key: string): Fact<Outcome> | undefined {
    const number = this.numbers.get(key);
    return number === undefined ? undefined : this.facts[number];
  }

  /** The last try of a step that failed, and after which another was to come. */
  lastTry(key: string): Fact<Outcome> | undefined {
    return this.tries.get(key);
  }

  /** Whether it was asked for, and not begun. */
  isHeld(key: string): boolean {
    return this.held.has(key);
  }

  /** How many facts the code has been given, or passed over. */
  get givenCount(): number {
    return this.next;
  }

  /** The code asks for a key it has not used; undefined: wait for what idle() says. */
  ask(key: string, kind: AskKind): Output<Outcome> | undefined {
    this.kinds.set(key, kind);
    const number = this.numbers.get(key);
    const tried = this.tries.get(key);
    if (tried && kind !== "step") return this.divergedAt(tried, JSON.stringify(key), kind);
    if (this.going.has(key)) {
      if (number !== undefined) this.unaskedCount--;
      this.states.set(key, "going");
      return undefined;
    }
    if (number === undefined) return this.askForNew(key);
    if (!fits(this.facts[number]!, kind)) return this.diverged(number, JSON.stringify(key), kind);
    this.states.set(key, "due");
    this.unaskedCount--;
    return undefined;
  }

  /** A fact has been added to the journal. */
  settle(fact: Fact<Outcome>): void {
    if (fact.kind === "try" || fact.kind === SHOWN || fact.kind === GIVEN_UP) {
      this.facts.push(fact);
      if (fact.kind === "try") this.tries.set(fact.key, fact);
      if (fact.kind === SHOWN) this.isCancelKnown = true;
      return;
    }
    if (this.numbers.has(fact.key)) return;
    const state = this.states.get(fact.key);
    this.numbers.set(fact.key, this.facts.length);
    this.facts.push(fact);
    if (state === "asked") {
      this.states.set(fact.key, "due");
    } else if (state === undefined) {
      this.states.set(fact.key, "known");
      this.unaskedCount++;
    }
  }

  /**
   * The code no longer waits for this key, or nothing will come of it. True: it is news that the
   * code gives it up.
   */
  withdraw(key: string): boolean {
    const state = this.states.get(key);
    if (state === undefined || !["held", "asked", "due", "going"].includes(state)) return false;
    this.states.set(key, "withdrawn");
    this.held.delete(key);
    return state !== "going";
  }

  /** The run is being cancelled. */
  cancel(): void {
    this.isCancelling = true;
  }

  /** The code was not at rest for so long that it is shown the cancellation all the same. */
  insist(): Output<Outcome>[] {
    return this.isCancelShown ? [] : this.say();
  }

  // ---- what comes of it ----

  /** Whether idle() may have something to say. */
  get wantsIdle(): boolean {
    return this.hidesCancel || this.held.size > 0 || this.next < this.facts.length;
  }

  /** Whether there are facts that the code has not been given. */
  get hasMore(): boolean {
    this.passWithdrawn();
    return this.next < this.facts.length;
  }

  /** Whether the next fact is one the code has not asked for. */
  get isBlocked(): boolean {
    this.passWithdrawn();
    const key = this.barrier();
    if (key !== undefined) return this.states.get(key) !== "going";
    return this.next < this.facts.length && this.nextState() === "known";
  }

  /**
   * The code has nothing left to run.
   *
   * @param isBusy steps of it are at work.
   * @param isAsking it waits for something it has asked for.
   */
  idle(isBusy: boolean, isAsking: boolean): Output<Outcome>[] {
    this.passWithdrawn();
    if (this.barrier() !== undefined) return []; // until the code gives it up
    const fact = this.facts[this.next];
    if (fact !== undefined) {
      if (fact.kind === SHOWN) {
        this.next++;
        return [this.show(undefined)];
      }
      if (this.nextState() === "due") return this.give(fact, isBusy);
      // What is next may be what its clean-up asks for; or the code asks for it later, on its own.
      return this.hidesCancel && !isBusy && isAsking ? this.sayOrShow(undefined) : [];
    }
    if (this.hidesCancel) return isBusy ? [] : this.sayOrShow(undefined);
    return this.beginHeld();
  }

  /** The code gave a value; undefined: it fits. */
  end(): Diverged | undefined {
    return this.unaskedCount ? this.diverged(this.next, "the end of the code", "") : undefined;
  }

  /** Says what the code asks for in place of the next fact. */
  divergedAtNext(): Diverged {
    const waiting = [...this.states].find(([, state]) => state === "due");
    const asked = [...this.held][0] ?? waiting?.[0];
    if (asked === undefined) return this.diverged(this.next, "nothing", "");
    return this.diverged(this.next, JSON.stringify(asked), this.kinds.get(asked) ?? "");
  }

  // ---- inside ----

  private get hidesCancel(): boolean {
    return this.isCancelling && !this.isCancelShown;
  }

  private askForNew(key: string): Output<Outcome> | undefined {
    if (this.unaskedCount > 0 || this.hidesCancel) {
      this.states.set(key, "held");
      this.held.add(key);
      return undefined;
    }
    this.states.set(key, "asked");
    return { do: "begin", key };
  }

  private beginHeld(): Output<Outcome>[] {
    const keys = [...this.held];
    this.held.clear();
    for (const key of keys) this.states.set(key, "asked");
    return keys.map((key) => ({ do: "begin", key }));
  }

  private give(fact: Fact<Outcome>, isBusy: boolean): Output<Outcome>[] {
    if (fact.cancels && this.hidesCancel) {
      if (isBusy) return [];
      if (this.isCancelKnown) this.pass(fact, "withdrawn");
      return this.sayOrShow(fact.key);
    }
    const number = this.next;
    this.pass(fact, "given");
    this.given.push(fact.key);
    return [{ do: "give", number, fact }];
  }

  private say(): Output<Outcome>[] {
    if (this.isCancelSaid) return [];
    this.isCancelSaid = true;
    return [{ do: "sayCancel" }];
  }

  /** It is shown where it is a fact already, so that it is shown here in every execution. */
  private sayOrShow(key: string | undefined): Output<Outcome>[] {
    return this.isCancelKnown ? [this.show(key)] : this.say();
  }

  private show(key: string | undefined): Output<Outcome> {
    this.isCancelShown = true;
    return { do: "showCancel", key };
  }

  private pass(fact: Fact<Outcome>, state: KeyState): void {
    this.states.set(fact.key, state);
    this.next++;
  }

  private passWithdrawn(): void {
    while (
      this.next < this.facts.length &&
      this.barrier() === undefined &&
      this.nextState() === "withdrawn"
    ) {
      this.next++;
    }
  }

  /** A key that the code had given up before it was given the next fact. */
  private barrier(): string | undefined {
    const keys = this.barriers.get(this.next) ?? [];
    return keys.find((key) => this.states.get(key) !== "withdrawn");
  }

  /** "withdrawn": it is passed over. Of a cancellation that is to be shown: "due". */
  private nextState(): KeyState | undefined {
    const fact = this.facts[this.next]!;
    const isPassed = fact.kind === GIVEN_UP || fact.kind === "try" || this.isVoid.has(this.next);
    if (isPassed) return "withdrawn";
    if (fact.kind === SHOWN) return this.isCancelShown ? "withdrawn" : "due";
    const state = this.states.get(fact.key);
    return state === "going" ? "withdrawn" : state;
  }

  /** What the history has and what the code asks for, side by side. */
  private diverged(number: number, asked: string, kind: string): Diverged {
    const unasked = this.facts.find((each) => this.states.get(each.key) === "known");
    const there = this.facts[number];
    const fact = there === undefined || (!kind && unasked) ? (unasked ?? there) : there;
    return this.divergedAt(fact, asked, kind);
  }

  private divergedAt(fact: Fact<Outcome> | undefined, asked: string, kind: string): Diverged {
    const word = fact?.kind === "try" ? "step" : fact?.kind || "step";
    const expected = fact ? `${JSON.stringify(fact.key)} (${word})` : "nothing";
    const actual = kind ? `${asked} (${kind})` : asked;
    const before = this.given.slice(-3).map((key) => JSON.stringify(key));
    const heading = "history (expected)";
    const width = Math.max(...[heading, expected, ...before].map((each) => each.length)) + 2;
    const lines = [`  ${heading.padEnd(width)}code (actual)`];
    lines.push(...before.map((key) => `  ${key.padEnd(width)}${key}`));
    lines.push(`  ${expected.padEnd(width)}${actual}   <- differs`);
    const message =
      "the code does not ask for the steps its history has; run it with the code that made the " +
      `history, or start a new run:\n${lines.join("\n")}`;
    return { do: "diverged", message };
  }
}

/**
 * Numbers of facts that count no more: what an attempt that failed gave up at its end, and what is
 * known of a key from before it was given up and then asked for again.
 */
function voidOf<Outcome>(facts: readonly Fact<Outcome>[], tries: number): Set<number> {
  const found = new Set<number>();
  for (let number = facts.length - 1; number >= 0; number--) {
    const { kind, ends, tries: triedBefore = 0 } = facts[number]!;
    if (!ends && kind !== GIVEN_UP) break;
    if (kind === GIVEN_UP && triedBefore >= tries) break;
    found.add(number);
  }
  const last = new Map<string, number>();
  facts.forEach(({ kind, key }, number) => {
    if (kind !== SHOWN && kind !== GIVEN_UP && kind !== "try") last.set(key, number);
  });
  facts.forEach(({ kind, key, ends }, number) => {
    const until = last.get(key) ?? number;
    if (kind === SHOWN || until <= number) return;
    const isGivenUp = (fact: Fact<Outcome>) => fact.kind === GIVEN_UP && fact.key === key;
    if (ends || facts.slice(number, until).some(isGivenUp)) found.add(number);
  });
  return found;
}

function fits<Outcome>(fact: Fact<Outcome>, kind: AskKind): boolean {
  if (fact.isStep !== (kind === "step")) return false;
  return fact.isStep || !fact.kind || fact.kind === FACT_KINDS[kind];
}
