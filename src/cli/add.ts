import { readFile } from 'node:fs/promises';
import { UsageError } from '../flags.ts';
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

export const add: Command = {
  name: 'add',
  summary: 'make a lease: tickets for the gMSAs of credential specifications',
  usage: `Usage: credentials-fetcher add [options] CREDSPEC...

Makes one lease with a ticket for each credential specification (a JSON file). With --username a
user's password reads them, otherwise this machine's own account. Prints the lease's id, then one
directory a gMSA; the ticket cache in it is named krb5cc.

${userOptionsHelp}
${callOptionsHelp}
`,
  async run(argv, terminal) {
    const parsed = parseCall(argv, userOptions, 256);
    if (parsed.positionals.length === 0) throw new UsageError('at least one credspec file is required');
    const credspecs = await Promise.all(parsed.positionals.map((file) => readFile(file, 'utf8')));
    const username = text(parsed, 'username');
    if (username === undefined && (parsed.flags.domain !== undefined || parsed.flags['password-file'] !== undefined))
      throw new UsageError('--domain and --password-file need --username');
    const user =
      username === undefined
        ? undefined
        : {
            username,
            domain: required(parsed, 'domain'),
            password: await readPassword(text(parsed, 'password-file'), terminal),
          };
    await callDaemon(
      parsed,
      terminal,
      (client) => (user ? client.addWithUser({ credspecs, ...user }) : client.add({ credspecs })),
      (lease) => lines([lease.leaseId, ...lease.paths]),
    );
  },
};
