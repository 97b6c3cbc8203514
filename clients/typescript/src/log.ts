/** What this package has to say to whoever runs it: lines on standard error, or in a file. */
import { appendFileSync } from "node:fs";

export type LogLevel = "debug" | "info" | "warn" | "error" | "silent";

/** Where lines go; the members of a logger of your own. */
export interface Logger {
  debug(line: string): void;
  info(line: string): void;
  warn(line: string): void;
  error(line: string): void;
}

/** How this package logs. */
export interface LoggingOptions {
  /** The least that is said. Default: $POLOS_LOG_LEVEL, else "warn"; with `file`: "info". */
  level?: LogLevel;
  /** Lines are appended to this file instead of standard error. */
  file?: string;
  /** Lines go here instead. */
  logger?: Logger;
}

const LEVELS: LogLevel[] = ["debug", "info", "warn", "error", "silent"];

let level = levelOf(process.env["POLOS_LOG_LEVEL"]) ?? "warn";
let write: (line: string) => void = (line) => process.stderr.write(line);
let own: Logger | undefined;

/** Says how this package logs, from now on. */
export function configureLogging(options: LoggingOptions): void {
  const { file } = options;
  level = options.level ?? (file ? "info" : level);
  own = options.logger;
  write = (line) => (file ? appendFileSync(file, line) : process.stderr.write(line));
}

function say(at: Exclude<LogLevel, "silent">, line: string): void {
  if (LEVELS.indexOf(at) < LEVELS.indexOf(level)) return;
  if (own) own[at](line);
  else write(`${new Date().toISOString()} ${at.toUpperCase()} polos: ${line}\n`);
}

function levelOf(text: string | undefined): LogLevel | undefined {
  return LEVELS.find((each) => each === text);
}

export const log: Logger = {
  debug: (line) => say("debug", line),
  info: (line) => say("info", line),
  warn: (line) => say("warn", line),
  error: (line) => say("error", line),
};
