import { type Command, callDaemon, callOptionsHelp, parseCall } from './command.ts';

export const health: Command = {
  name: 'health',
  summary: 'ask the daemon whether it is well',
  usage: `Usage: credentials-fetcher health [options]

Prints OK when the daemon answers so.

${callOptionsHelp}
`,
  async run(argv, terminal) {
    await callDaemon(
      parseCall(argv, {}, 0),
      terminal,
      (client) => client.health(),
      (result) => `${result.status}\n`,
    );
  },
};
