/** The directory on the wire: LDAP messages over TCP, in the clear until a bind negotiates a layer, then in SASL frames. */
import { createServer, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { Account } from '../accounts.ts';
import type { KdcContext } from '../kdc/tickets.ts';
import { listening } from '../listen.ts';
import type { Faults, Stats } from '../options.ts';
import { octets } from './ber.ts';
import { Binder, MAX_FRAME, type SecurityLayer } from './bind.ts';
import { Entries } from './entries.ts';
import {
  bindResponse,
  messageLength,
  type Request,
  readRequest,
  responseTag,
  result,
  resultCode,
  writeMessage,
} from './messages.ts';
import { search } from './search.ts';

export interface LdapOptions {
  readonly context: KdcContext;
  readonly stats: Stats;
  readonly faults: () => Faults;
  readonly securityLayers: number;
}

const WHO_AM_I = '1.3.6.1.4.1.4203.1.11.3';

export class LdapServer {
  readonly #options: LdapOptions;
  readonly #connections = new Set<Connection>();
  readonly #entries: Entries;
  #server: Server | undefined;

  constructor(options: LdapOptions) {
    this.#options = options;
    this.#entries = new Entries(options.context.directory);
  }

  /** @returns the port. @throws the socket's error */
  async listen(host: string, port: number): Promise<number> {
    this.#server = createServer((socket) => {
      this.#options.stats.ldapConnections++;
      const connection = new Connection(socket, this.#options, this.#entries);
      this.#connections.add(connection);
      socket.on('close', () => this.#connections.delete(connection));
    });
    return listening(this.#server, host, port);
  }

  /** Cuts every connection, as a controller that goes down does. */
  dropConnections(): void {
    for (const connection of this.#connections) connection.drop();
  }

  async close(): Promise<void> {
    this.dropConnections();
    await new Promise<void>((done) => (this.#server ? this.#server.close(() => done()) : done()));
  }
}

class Connection {
  readonly #socket: Socket;
  readonly #options: LdapOptions;
  readonly #binder: Binder;
  readonly #entries: Entries;
  readonly #abort = new AbortController();
  #raw: Buffer = Buffer.alloc(0);
  #plain: Buffer = Buffer.alloc(0);
  #layer: SecurityLayer | undefined;
  #account: Account | undefined;
  #working: Promise<void> = Promise.resolve();

  constructor(socket: Socket, options: LdapOptions, entries: Entries) {
    this.#socket = socket;
    this.#entries = entries;
    this.#options = options;
    this.#binder = new Binder(options.context, options.securityLayers);
    socket.setNoDelay(true);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      this.#abort.abort();
      this.#layer?.context.destroy();
    });
    socket.on('data', (chunk: Buffer) => {
      // One at a time: a bind decides how the bytes after it are to be read.
      this.#working = this.#working.then(() => this.#receive(chunk)).catch(() => this.drop());
    });
  }

  drop(): void {
    this.#socket.destroy();
  }

  async #receive(chunk: Buffer): Promise<void> {
    this.#raw = this.#raw.length === 0 ? chunk : Buffer.concat([this.#raw, chunk]);
    for (;;) {
      const opened = this.#openFrames();
      const length = messageLength(this.#plain);
      if (length === undefined) {
        if (opened) continue;
        return;
      }
      const message = this.#plain.subarray(0, length);
      this.#plain = this.#plain.subarray(length);
      await this.#handle(readRequest(message));
      if (this.#socket.destroyed) return;
    }
  }

  /** Moves bytes on to `#plain`: all of them without a layer, else one frame's (RFC 4422 3.7). True when there were some. */
  #openFrames(): boolean {
    if (this.#raw.length === 0) return false;
    if (this.#layer === undefined) {
      // At most one message is taken on: what follows a bind may be in frames already.
      const joined = Buffer.concat([this.#plain, this.#raw]);
      const length = messageLength(joined) ?? joined.length;
      this.#plain = joined.subarray(0, length);
      this.#raw = joined.subarray(length);
      return true;
    }
    if (this.#raw.length < 4) return false;
    const size = this.#raw.readUInt32BE(0);
    if (size > MAX_FRAME) throw new RangeError(`frame of ${size} bytes`);
    if (this.#raw.length < 4 + size) return false;
    const { plain, confidential } = this.#layer.context.unwrap(this.#raw.subarray(4, 4 + size));
    if (this.#layer.confidential && !confidential) throw new Error('unsealed token on a sealed connection');
    this.#raw = this.#raw.subarray(4 + size);
    this.#plain = Buffer.concat([this.#plain, plain]);
    return true;
  }

  async #handle({ id, operation, controls }: Request): Promise<void> {
    const { context, stats, faults } = this.#options;
    const { ldapDelayMs, ldapSilent, ldapDropOnSearch, ldapBindResult, directoryLagMs = 0 } = faults();
    if (operation.op === 'unbind') return void this.#socket.end();
    if (operation.op === 'abandon') return;
    if (operation.op === 'bind') stats.ldapBinds++;
    if (operation.op === 'search') stats.ldapSearches++;
    if (ldapSilent) return;
    if (ldapDelayMs) await delay(ldapDelayMs, undefined, { signal: this.#abort.signal });
    switch (operation.op) {
      case 'bind': {
        if (ldapBindResult !== undefined) return this.#send(bindResponse(id, ldapBindResult, 'as asked for'));
        const { code, text, credentials, bound } = await this.#binder.bind(operation);
        // The answer to the bind itself still travels as the connection was.
        this.#send(bindResponse(id, code, text, credentials));
        if (bound === undefined) {
          // RFC 4511 4.2.1: a failed bind leaves the connection anonymous.
          this.#account = undefined;
          return;
        }
        this.#account = bound.account;
        if (bound.layer) this.#layer = bound.layer;
        return;
      }
      case 'search': {
        if (ldapDropOnSearch) return this.drop();
        const lagMs = typeof directoryLagMs === 'number' ? directoryLagMs : directoryLagMs();
        const session = { account: this.#account, sealed: this.#layer?.confidential === true, lagMs };
        return this.#send(
          Buffer.concat(search(context, session, this.#entries.at(context.now()), id, operation, controls)),
        );
      }
      case 'extended':
        return this.#send(this.#extended(id, operation.oid));
      default:
        return this.#send(this.#unsupported(id, 'operation is not supported'));
    }
  }

  #extended(id: number, oid: string): Buffer {
    if (oid !== WHO_AM_I) return this.#unsupported(id, `extended operation ${oid} is not supported`);
    // RFC 4532 2.2: responseName is absent, the value is the authorization identity, empty for anonymous.
    const { netbios } = this.#options.context.directory;
    const identity = this.#account ? `u:${netbios}\\${this.#account.name}` : '';
    return writeMessage(id, responseTag.extended, [...result(resultCode.success), octets(identity, 0x8b)]);
  }

  #unsupported(id: number, text: string): Buffer {
    return writeMessage(id, responseTag.extended, result(resultCode.protocolError, text));
  }

  /** In one frame, or as many as the client's longest token demands. */
  #send(bytes: Buffer): void {
    if (this.#socket.destroyed) return;
    const { context, confidential, maxToken } = this.#layer ?? {};
    if (context === undefined) {
      this.#socket.write(bytes);
      return;
    }
    // A client that names no size, or one too small to hold anything, gets what it would take at the least.
    const most = Math.max((maxToken || MAX_FRAME) - context.sealOverhead, 256);
    for (let at = 0; at < bytes.length; at += most) {
      const token = context.wrap(bytes.subarray(at, at + most), { confidential: confidential === true });
      const size = Buffer.alloc(4);
      size.writeUInt32BE(token.length);
      this.#socket.write(Buffer.concat([size, token]));
    }
  }
}
