/** How a request reaches a KDC: one method, so that tests can stand in its place. */
import type { KdcService } from './servers.ts';

/** What a KDC answered, and which. */
export interface KdcReply {
  /** DER of the answer: a reply or a KRB-ERROR. */
  readonly message: Uint8Array;
  /** `host:port` of the KDC that answered, for messages. */
  readonly server: string;
}

/** The way to KDCs: the network, or what a test puts in its place. */
export interface KdcTransport {
  /**
   * Sends one request to some KDC of the realm and returns the first answer.
   * @param service what is asked of it, tickets when absent
   * @param last KDCs, as `KdcReply.server` names them, that are asked when no other answers
   * @throws AdError UNREACHABLE when no KDC answered, TIMEOUT or ABORTED by the signal
   */
  exchange(
    realm: string,
    request: Uint8Array,
    signal?: AbortSignal,
    service?: KdcService,
    last?: ReadonlySet<string>,
  ): Promise<KdcReply>;
  /** Ends every connection and timer. */
  close(): void;
}
