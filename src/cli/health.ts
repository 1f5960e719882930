import { callDaemon, callFlags } from './call.ts';
import type { Command } from './command.ts';

export const health: Command = {
  name: 'health',
  summary: 'ask the daemon whether it is well',
  description: 'Prints OK when the daemon answers so.',
  flags: callFlags,
  async run(parsed, terminal) {
    await callDaemon(
      parsed,
      terminal,
      (client) => client.health(),
      (result) => `${result.status}\n`,
    );
  },
};
