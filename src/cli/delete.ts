import { UsageError } from '../flags.ts';
import { callDaemon, callFlags } from './call.ts';
import { type Command, lines } from './command.ts';

export const deleteLease: Command = {
  name: 'delete',
  summary: 'remove a lease and its tickets',
  description: 'Prints the ticket caches that were removed. A lease that does not exist is no error.',
  flags: callFlags,
  operands: { synopsis: 'LEASE', most: 1, completes: 'word' },
  async run(parsed, terminal) {
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
