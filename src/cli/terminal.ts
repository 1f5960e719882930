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

/** Takes the cursor home and clears the screen: the one sequence that a command may send. */
export const CLEAR_SCREEN = '\x1b[H\x1b[2J';

/** Control characters but line ends and tabs, and those that turn the direction of a line around. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what a terminal must not get
const UNSEEN = /[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g;

/**
 * Text as it may go to a terminal. Names come from tickets, files and servers, and what they hold could move the cursor,
 * change the title or hide a line; they are shown as JSON would have them.
 */
export function visible(text: string): string {
  const shown = (c: string): string => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`;
  const clear = text.startsWith(CLEAR_SCREEN) ? CLEAR_SCREEN : '';
  return clear + text.slice(clear.length).replace(UNSEEN, shown);
}

export function systemTerminal(): Terminal {
  return {
    env: process.env,
    out: (text) => void process.stdout.write(visible(text)),
    err: (text) => void process.stderr.write(visible(text)),
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
  process.stderr.write(visible(question));
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
