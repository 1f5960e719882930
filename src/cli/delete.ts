import { UsageError } from '../flags.ts';
import { type Command, callDaemon, callOptionsHelp, lines, parseCall } from './command.ts';

export const deleteLease: Command = {
  name: 'delete',
  summary: 'remove a lease and its tickets',
  usage: `Usage: credentials-fetcher delete [options] LEASE

Prints the ticket caches that were removed. A lease that does not exist is no error.

${callOptionsHelp}
`,
  async run(argv, terminal) {
    const parsed = parseCall(argv, {}, 1);
    const id = parsed.positionals[0];
    if (id === undefined) throw new UsageError('the id of a lease is required');
    await callDaemon(
      parsed,
      terminal,
      (client) => client.delete(id),
      (result) => lines(result.paths),
    );
  },
};
