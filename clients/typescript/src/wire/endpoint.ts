/** Where the server is, and connections to it. */
import * as net from "node:net";
import * as tls from "node:tls";
import { InvalidArgumentError } from "../errors.js";

/** An address as it is written: "http://host:port", "https://host:port" or "host:port". */
export class Endpoint {
  /** As it was given. */
  readonly url: string;
  /** With its scheme, without a path. */
  readonly base: string;
  readonly host: string;
  readonly port: number;
  readonly isSecure: boolean;
  /** Whether it is on this machine. */
  readonly isLocal: boolean;

  constructor(url: string) {
    const parts = urlOf(url);
    this.url = url;
    this.isSecure = parts.protocol === "https:";
    this.host = parts.hostname.replace(/^\[|\]$/g, "");
    this.port = Number(parts.port) || (this.isSecure ? 443 : 80);
    this.base = `${parts.protocol}//${parts.hostname}:${this.port}`;
    this.isLocal = this.host === "localhost" || /^127\.|^::1$/.test(this.host);
  }

  /** A connection that does not keep the process alive, whoever uses it. */
  connectQuietly(): net.Socket {
    const socket = this.isSecure
      ? tls.connect({
          host: this.host,
          port: this.port,
          ALPNProtocols: ["h2"],
          ...(net.isIP(this.host) ? {} : { servername: this.host }),
        })
      : net.connect({ host: this.host, port: this.port });
    socket.unref();
    socket.ref = () => socket; // HTTP/2 would, for each of its streams
    return socket;
  }
}

function urlOf(url: string): URL {
  const whole = url.includes("://") ? url : `http://${url}`;
  const found = URL.canParse(whole) ? new URL(whole) : undefined;
  if (!found || !["http:", "https:"].includes(found.protocol) || !found.hostname) {
    throw new InvalidArgumentError(
      `${JSON.stringify(url)} is no server address: write http://HOST:PORT or https://HOST:PORT`,
      { field: "apiUrl" },
    );
  }
  if (!url.includes("://") && !/:\d+$/.test(url)) {
    throw new InvalidArgumentError(
      `${JSON.stringify(url)} names no port: write ${found.hostname}:8080`,
      { field: "apiUrl" },
    );
  }
  return found;
}
