/**
 * The parts of a message to an agent: texts, and what is shown beside them.
 *
 * Programs bring them in the forms of the providers' own SDKs and of the AI SDK; the server knows
 * one.
 */
import { create } from "@bufbuild/protobuf";
import { checkedText } from "../checks.js";
import { InvalidArgumentError } from "../errors.js";
import { MediaSchema, PartSchema, type Part } from "../gen/polos/v1/messages_pb.js";

/** A part: a text, or an object in one of the forms that partOf() reads. */
export type AgentPart = string | { type: string; [member: string]: unknown };

/** What a form says of its media. */
interface Members {
  data?: unknown;
  url?: unknown;
  mediaType?: unknown;
  filename?: unknown;
}

const FORMS =
  'a text, { type: "text", text }, { type: "image_url", image_url: { url } }, { type: "file", ' +
  "file: { filename, file_data } }, " +
  '{ type: "image", image } or { type: "media", mediaType, data or url }';

/**
 * A part as the API takes it.
 *
 * @param given a text, or an object in one of the forms of OpenAI's Chat Completions and Responses,
 *   of Anthropic's Messages, of the AI SDK ({ type: "image", image }, or { type: "file", data,
 *   mediaType }), or of our own: { type: "media", mediaType: "image/png", data: bytes or their
 *   base64, or url, filename }.
 * @param path what it is called in errors.
 * Throws InvalidArgumentError.
 */
export function partOf(given: unknown, path: string): Part {
  if (typeof given === "string") return textPart(given, path);
  const part = (given ?? {}) as Record<string, unknown>;
  const { type, text } = part;
  if ((type === "text" || type === "input_text") && typeof text === "string") {
    return textPart(text, path);
  }
  const members = typeof type === "string" ? READERS[type]?.(part) : undefined;
  if (members?.data || members?.url) return mediaPart(members, path);
  throw new InvalidArgumentError(`${path} is ${FORMS}`, { field: "input" });
}

function textPart(text: string, path: string): Part {
  return create(PartSchema, { part: { case: "text", value: checkedText(text, path) } });
}

function mediaPart(members: Members, path: string): Part {
  const mediaType = checkedText(members.mediaType, `${path}.mediaType`);
  const filename = checkedText(members.filename, `${path}.filename`);
  const media = create(MediaSchema, { mediaType, filename });
  const url = members.url instanceof URL ? members.url.href : members.url;
  if (members.data) {
    media.source = { case: "data", value: bytesOf(members.data, path) };
  } else if (typeof url === "string" && url.startsWith("data:")) {
    const [head = "", data = ""] = url.slice("data:".length).split(",", 2);
    media.source = { case: "data", value: bytesOf(data, path) };
    media.mediaType = head.split(";")[0]!;
  } else {
    media.source = { case: "url", value: checkedText(url, `${path}.url`) };
  }
  return create(PartSchema, { part: { case: "media", value: media } });
}

function bytesOf(data: unknown, path: string): Uint8Array<ArrayBuffer> {
  if (data instanceof Uint8Array) return Uint8Array.from(data);
  if (data instanceof ArrayBuffer) return new Uint8Array(data.slice(0));
  if (typeof data === "string" && /^[A-Za-z0-9+/]*={0,2}$/.test(data)) {
    return Uint8Array.from(Buffer.from(data, "base64"));
  }
  throw new InvalidArgumentError(`${path}.data is bytes, or a text of them in base64`, {
    field: "input",
  });
}

type Given = Record<string, unknown>;

const READERS: Record<string, (part: Given) => Members | undefined> = {
  media: (part) => ({ ...part, mediaType: part["mediaType"] ?? part["media_type"] }),
  image_url: ofImageUrl,
  input_image: ofImageUrl,
  file: ofFile,
  input_file: ofFile,
  image: ofImage,
  document: ofSource,
};

/** Chat Completions' and Responses' way. */
function ofImageUrl({ image_url: url }: Given): Members | undefined {
  return { url: typeof url === "object" && url !== null ? (url as Given)["url"] : url };
}

/** The same two's, and the AI SDK's. */
function ofFile(part: Given): Members | undefined {
  if (part["data"] !== undefined) return ofAiSdk(part, part["data"]);
  const file = (part["file"] ?? part) as Given;
  const url = file["file_data"] ?? file["file_url"];
  if (typeof url !== "string") return undefined;
  const mediaType = url.startsWith("data:") ? undefined : "application/pdf";
  return { url, filename: file["filename"], mediaType };
}

/** Anthropic's way, or the AI SDK's. */
function ofImage(part: Given): Members | undefined {
  return part["image"] === undefined ? ofSource(part) : ofAiSdk(part, part["image"]);
}

function ofAiSdk(part: Given, content: unknown): Members {
  const about = { mediaType: part["mediaType"], filename: part["filename"] };
  const isUrl =
    content instanceof URL || (typeof content === "string" && /^(https?|data):/.test(content));
  return isUrl ? { ...about, url: content } : { ...about, data: content };
}

/** Anthropic's way. */
function ofSource(part: Given): Members | undefined {
  const source = part["source"] as Given | undefined;
  if (typeof source !== "object" || source === null) return undefined;
  const { type, data, url } = source;
  const isText = type === "text" && typeof data === "string";
  return {
    mediaType:
      source["media_type"] ?? (part["type"] === "document" ? "application/pdf" : undefined),
    data: isText ? Buffer.from(data) : data,
    url,
    filename: part["title"],
  };
}
