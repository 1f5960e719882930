/** What a command sees of the world, so that tests can be its terminal. */
import { readFile } from 'node:fs/promises';
import { UsageError } from '../flags.ts';

export interface Terminal {
  readonly env: Readonly<Record<string, string | undefined>>;
  out(text: string): void;
  err(text: string): void;
  /** All of standard input, as text. */
  readInput(): Promise<string>;
  /** Asks a question whose answer is not shown; undefined when nobody is there to answer. */
  askSecret(question: string): Promise<string | undefined>;
}

export function systemTerminal(): Terminal {
  return {
    env: process.env,
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    async readInput() {
      const chunks: Buffer[] = [];
      for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
      return Buffer.concat(chunks).toString('utf8');
    },
    askSecret: async (question) => (process.stdin.isTTY ? promptHidden(question) : undefined),
  };
}

/**
 * The password for a command: from a file (`-` is standard input), from a prompt on a terminal, from standard input
 * otherwise. Never from the command line, which every process on the machine can read. One line end is cut off.
 * @throws UsageError when it is empty
 */
export async function readPassword(
  file: string | undefined,
  terminal: Terminal,
  question = 'Password: ',
): Promise<string> {
  let password: string;
  if (file !== undefined && file !== '-') password = trimLineEnd(await readFile(file, 'utf8'));
  else {
    const typed = file === undefined ? await terminal.askSecret(question) : undefined;
    password = typed ?? trimLineEnd(await terminal.readInput());
  }
  if (password === '') throw new UsageError('the password is empty');
  return password;
}

const trimLineEnd = (text: string): string => text.replace(/\r?\n$/, '');

/** Reads a line from the terminal in raw mode, so that nothing is echoed. */
function promptHidden(question: string): Promise<string> {
  const input = process.stdin;
  process.stderr.write(question);
  input.setRawMode(true);
  input.setEncoding('utf8');
  input.resume();
  return new Promise((resolve, reject) => {
    let typed = '';
    const end = (finish: () => void): void => {
      input.off('data', onData);
      input.setRawMode(false);
      input.pause();
      process.stderr.write('\n');
      finish();
    };
    const onData = (chunk: string): void => {
      for (const c of chunk) {
        if (c === '\r' || c === '\n' || c === '\u0004') {
          end(() => resolve(typed));
          return;
        }
        if (c === '\u0003') {
          end(() => reject(new UsageError('interrupted')));
          return;
        }
        typed = c === '\u007f' || c === '\b' ? [...typed].slice(0, -1).join('') : typed + c;
      }
    };
    input.on('data', onData);
  });
}
