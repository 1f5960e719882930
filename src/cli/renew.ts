import { callDaemon, callFlags, userFlags } from './call.ts';
import { type Command, lines, required, text } from './command.ts';
import { readPassword } from './terminal.ts';

export const renew: Command = {
  name: 'renew',
  summary: 'fetch new tickets for every lease that a user made',
  description: `Needs --username and --domain. Prints the ticket caches that were replaced.`,
  flags: { ...userFlags, ...callFlags },
  async run(parsed, terminal) {
    const user = { username: required(parsed, 'username'), domain: required(parsed, 'domain') };
    const password = await readPassword(text(parsed, 'password-file'), terminal);
    await callDaemon(
      parsed,
      terminal,
      (client) => client.renew({ ...user, password }),
      (result) => lines(result.paths),
    );
  },
};
