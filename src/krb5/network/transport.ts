/** How a request reaches a KDC: one method, so that tests and other carriers (UDP, HTTPS) can stand in its place. */

export interface KdcReply {
  /** DER of the answer: a reply or a KRB-ERROR. */
  readonly message: Uint8Array;
  /** `host:port` of the KDC that answered, for messages. */
  readonly server: string;
}

export interface KdcTransport {
  /**
   * Sends one request to some KDC of the realm and returns the first answer.
   * @throws AdError UNREACHABLE when no KDC answered, TIMEOUT or ABORTED by the signal
   */
  exchange(realm: string, request: Uint8Array, signal?: AbortSignal): Promise<KdcReply>;
  /** Ends every connection and timer. */
  close(): void;
}
