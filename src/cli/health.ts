import { createClient } from '../client/index.ts';
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

/** The daemon's own word on its health, for the doctor. @throws ClientError */
export async function askHealth(path: string, timeoutMs: number): Promise<string> {
  const client = createClient({ address: `unix:${path}`, timeoutMs });
  try {
    return (await client.health()).status;
  } finally {
    client.close();
  }
}
