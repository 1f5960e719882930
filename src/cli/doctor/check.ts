/** What a check of the doctor is: a row of its table, with a deadline, the checks it builds on, and findings. */
import type { ParsedFlags } from '../../flags.ts';
import type { KrbClient } from '../../krb5/client.ts';
import type { Credentials } from '../../krb5/credentials.ts';
import type { Endpoint } from '../../krb5/network/locate.ts';
import type { KdcServer } from '../../krb5/network/servers.ts';
import type { SealedConnection } from '../../ldap/client.ts';
import type { Session } from '../kerberos/session.ts';
import type { Terminal } from '../terminal.ts';
import type { Advice } from './advice.ts';

export type Mark = 'ok' | 'warn' | 'fail' | 'skip';

export interface Finding {
  readonly mark: Mark;
  readonly text: string;
  /** What to do about it. */
  readonly todo?: string;
}

export const ok = (text: string): Finding => ({ mark: 'ok', text });
export const warn = (text: string, todo: string): Finding => ({ mark: 'warn', text, todo });
export const fail = (text: string, todo: string): Finding => ({ mark: 'fail', text, todo });
export const skip = (text: string): Finding => ({ mark: 'skip', text });

/** Asks the daemon at the path of a socket whether it is well; its answer. @throws ClientError */
export type AskDaemon = (path: string, timeoutMs: number) => Promise<string>;

/** What the checks know; each adds what it found. */
export interface Patient {
  readonly session: Session;
  readonly parsed: ParsedFlags;
  readonly terminal: Terminal;
  readonly domain: string;
  readonly realm: string;
  /** gMSAs to look at. */
  readonly gmsas: readonly string[];
  readonly askDaemon: AskDaemon;
  /** Why krb5.conf could not be used; the session is then one of an empty one. */
  readonly configProblem?: unknown;
  /** Who reads, made before the first check since it may ask for a password; or why there is nobody. */
  readonly client?: KrbClient;
  readonly clientProblem?: unknown;
  kdcs: readonly KdcServer[];
  controllers: readonly Endpoint[];
  tgt?: Credentials;
  connection?: SealedConnection;
}

export interface Check {
  /** Stable word for JSON. */
  readonly id: string;
  readonly title: string;
  /** Checks without whose success this one makes no sense. */
  readonly needs: readonly string[];
  readonly seconds: number;
  /** What to do about errors, where that is not what is to be done about them in general. */
  readonly advice?: Advice;
  run(patient: Patient, signal: AbortSignal): Promise<readonly Finding[]>;
}
