/** The server's errors as exceptions, and how long to wait before the next try. */
import { Code, ConnectError } from "@connectrpc/connect";
import { secondsOf } from "../codec/times.js";
import {
  ConflictError,
  InvalidArgumentError,
  NotFoundError,
  PermissionDeniedError,
  PolosError,
  ResourceExhaustedError,
  ServerError,
  UnavailableError,
} from "../errors.js";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
} from "../gen/google/rpc/error_details_pb.js";

type ErrorClass = new (message: string, details: { reason: string; field: string }) => PolosError;

// What a broken connection looks like, where no reason of the server's comes along.
const BROKEN = new Set([
  Code.Unavailable,
  Code.DeadlineExceeded,
  Code.Internal,
  Code.Unknown,
  Code.Canceled,
  Code.Aborted,
]);

const CLASSES = new Map<Code, ErrorClass>([
  [Code.Unavailable, UnavailableError],
  [Code.DeadlineExceeded, UnavailableError],
  [Code.InvalidArgument, InvalidArgumentError],
  [Code.OutOfRange, InvalidArgumentError],
  [Code.NotFound, NotFoundError],
  [Code.AlreadyExists, ConflictError],
  [Code.FailedPrecondition, ConflictError],
  [Code.Aborted, ConflictError],
  [Code.Unauthenticated, PermissionDeniedError],
  [Code.PermissionDenied, PermissionDeniedError],
]);

/** The exception for a failed call, with the reason and field of its google.rpc.Status. */
export function errorFrom(thrown: unknown, url: string): PolosError {
  if (thrown instanceof PolosError) return thrown;
  const error = ConnectError.from(thrown);
  const { reason, field, retryAfter } = detailsOf(error);
  const message = error.rawMessage || Code[error.code];
  if (error.code === Code.ResourceExhausted) {
    if (!reason && /larger than/i.test(message)) return tooLarge(message);
    return new ResourceExhaustedError(message, { reason, field, retryAfter });
  }
  if (BROKEN.has(error.code) && !reason) return unreachable(url, causeOf(error));
  const known = CLASSES.get(error.code) ?? ServerError;
  return new known(message, { reason: reason || wordOf(error.code), field });
}

/** Says where the server was looked for and how to start one. */
export function unreachable(url: string, why: string): UnavailableError {
  return new UnavailableError(
    `cannot reach polosd at ${url}: ${why}. Start it with ./run serve, ` +
      "or set POLOS_API_URL to where it is",
    { reason: "UNREACHABLE" },
  );
}

/** Milliseconds to wait after so many failures in a row: doubled each time, a quarter random. */
export function backoffMs(failures: number, base = 100, most = 2000): number {
  const full = Math.min(most, base * 2 ** Math.min(failures - 1, 16));
  return full * (0.75 + Math.random() / 4);
}

function tooLarge(message: string): InvalidArgumentError {
  return new InvalidArgumentError(
    `the request is too large for the server: ${message}; send less, or store the data elsewhere ` +
      "and send where it is",
    { reason: "MESSAGE_TOO_LARGE" },
  );
}

function detailsOf(error: ConnectError) {
  const info = error.findDetails(ErrorInfoSchema)[0];
  const request = error.findDetails(BadRequestSchema)[0];
  const retry = error.findDetails(RetryInfoSchema)[0];
  return {
    reason: info?.reason ?? "",
    field: request?.fieldViolations[0]?.field ?? "",
    retryAfter: secondsOf(retry?.retryDelay),
  };
}

function causeOf(error: ConnectError): string {
  const cause = error.cause as
    { code?: unknown; errors?: unknown[]; message?: unknown } | undefined;
  const first = cause?.errors?.[0] as { message?: unknown } | undefined; // of several addresses
  return String(first?.message ?? (cause?.message || error.rawMessage));
}

function wordOf(code: Code): string {
  return (Code[code] ?? "UNKNOWN").replace(/(?<=.)[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}
