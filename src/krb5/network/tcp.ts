/** The transport under its first name, from the days when it knew TCP alone. */
export { NetworkTransport as TcpTransport, type NetworkTransportOptions as TcpTransportOptions } from './network.ts';
