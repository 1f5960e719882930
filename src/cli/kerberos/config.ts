/** krb5.conf for commands that stay off the network. */
import { type Krb5Config, loadKrb5Config } from '../../krb5/config.ts';
import type { Terminal } from '../terminal.ts';

/** @throws AdError INVALID_ARGUMENT or FILE when krb5.conf cannot be used */
export const loadConfig = (terminal: Terminal): Promise<Krb5Config> => loadKrb5Config(undefined, terminal.env);
