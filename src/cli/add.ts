import { readFile } from 'node:fs/promises';
import { UsageError } from '../flags.ts';
import { callDaemon, callFlags, userFlags } from './call.ts';
import { type Command, lines, required, text } from './command.ts';
import { readPassword } from './terminal.ts';

export const add: Command = {
  name: 'add',
  summary: 'make a lease: tickets for the gMSAs of credential specifications',
  description: `Makes one lease with a ticket for each credential specification (a JSON file). With --username a
user's password reads them, otherwise this machine's own account. Prints the lease's id, then one
directory a gMSA; the ticket cache in it is named krb5cc.`,
  flags: { ...userFlags, ...callFlags },
  operands: { synopsis: 'CREDSPEC...', most: 256, completes: 'file' },
  async run(parsed, terminal) {
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
