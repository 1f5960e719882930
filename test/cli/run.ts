/** Runs a command line of the client with a terminal that is a test's. */
import { main } from '../../src/cli/main.ts';
import type { Terminal } from '../../src/cli/terminal.ts';

export interface Shown {
  code: number;
  out: string;
  err: string;
  /** Questions that were asked. */
  questions: string[];
}

/** The terminal types `typed` when asked and has `input` on its standard input. */
export async function cli(
  argv: string[],
  world: { input?: string; typed?: string | (() => string | undefined); env?: Readonly<Record<string, string>> } = {},
): Promise<Shown> {
  const shown = { out: '', err: '', questions: [] as string[] };
  const terminal: Terminal = {
    env: world.env ?? {},
    out: (text) => {
      shown.out += text;
    },
    err: (text) => {
      shown.err += text;
    },
    readInput: async () => world.input ?? '',
    askSecret: async (question) => {
      shown.questions.push(question);
      return typeof world.typed === 'function' ? world.typed() : world.typed;
    },
  };
  return { code: await main(argv, terminal), ...shown };
}
