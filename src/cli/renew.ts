import {
  type Command,
  callDaemon,
  callOptionsHelp,
  lines,
  parseCall,
  required,
  text,
  userOptions,
  userOptionsHelp,
} from './command.ts';
import { readPassword } from './terminal.ts';

export const renew: Command = {
  name: 'renew',
  summary: 'fetch new tickets for every lease that a user made',
  usage: `Usage: credentials-fetcher renew --username NAME --domain DOMAIN [options]

Prints the ticket caches that were replaced.

${userOptionsHelp}
${callOptionsHelp}
`,
  async run(argv, terminal) {
    const parsed = parseCall(argv, userOptions, 0);
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
