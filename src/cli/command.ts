/** What a command is: a row of the one table that help texts, manual pages and shell completion are made from. */
import { type FlagOptions, type ParsedFlags, parseFlags, UsageError } from '../flags.ts';
import type { Terminal } from './terminal.ts';

/** What a flag's value or an operand is, for completion. */
export type Completes = 'file' | 'directory' | 'command' | 'word';

export interface Flag {
  readonly type: 'string' | 'boolean';
  readonly short?: string;
  /** Name of the value in help texts: `FILE`. */
  readonly value?: string;
  readonly completes?: Completes;
  /** True: it may be given several times. */
  readonly multiple?: boolean;
  /** One or more lines. */
  readonly help: string;
}

export type FlagTable = Readonly<Record<string, Flag>>;

export interface Operands {
  /** As the usage line shows them: `[FILE|DIRECTORY]`. */
  readonly synopsis: string;
  readonly most: number;
  readonly completes: Completes;
  /** The first words an operand may be, for commands with commands of their own. */
  readonly words?: readonly string[];
  /** True when all from the first operand on is another program's command line, flags included. */
  readonly isCommandLine?: boolean;
}

export interface Command {
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** Paragraphs between empty lines. */
  readonly description: string;
  readonly flags: FlagTable;
  readonly operands?: Operands;
  readonly examples?: readonly string[];
  /**
   * @returns the exit code where it is not zero
   * @throws UsageError, ClientError, AdError
   */
  run(parsed: ParsedFlags, terminal: Terminal): Promise<number | undefined>;
}

export const helpFlag: Flag = { type: 'boolean', short: 'h', help: 'this text' };

/** Reads a command's own flags and operands. @throws UsageError */
export function parseCommand(command: Command, argv: readonly string[]): ParsedFlags {
  const { operands } = command;
  if (!operands?.isCommandLine) return parseFlags(argv, options(command.flags), operands?.most ?? 0);
  const at = firstOperand(argv, command.flags);
  const { flags, lists } = parseFlags(argv.slice(0, at), options(command.flags));
  return { flags, lists, positionals: argv.slice(argv[at] === '--' ? at + 1 : at) };
}

/** True when a help flag stands among the command's own arguments. */
export function asksForHelp(command: Command, argv: readonly string[]): boolean {
  const own = command.operands?.isCommandLine ? argv.slice(0, firstOperand(argv, command.flags)) : argv;
  const short = Object.values(command.flags).some((flag) => flag.short === 'h') ? '--help' : '-h';
  return own.includes('--help') || own.includes(short);
}

function options(flags: FlagTable): FlagOptions {
  return Object.fromEntries(
    Object.entries(flags).map(([name, { type, short, multiple }]) => [
      name,
      { type, ...(short !== undefined && { short }), ...(multiple && { multiple }) },
    ]),
  );
}

/** Where the other program's command line begins: at `--`, or at the first word that is neither flag nor its value. */
function firstOperand(argv: readonly string[], flags: FlagTable): number {
  const takesValue = (word: string): boolean => {
    const flag = word.startsWith('--')
      ? flags[word.slice(2)]
      : Object.values(flags).find((f) => f.short === word.at(-1) && clusterOf(word, flags));
    return flag?.type === 'string';
  };
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i]!;
    if (word === '--' || !word.startsWith('-') || word === '-') return i;
    if (takesValue(word)) i++;
  }
  return argv.length;
}

/** True for `-abc` where all but the last letter are flags without a value. */
function clusterOf(word: string, flags: FlagTable): boolean {
  const shorts = new Map(Object.values(flags).map((flag) => [flag.short, flag.type]));
  return [...word.slice(1, -1)].every((letter) => shorts.get(letter) === 'boolean');
}

const COLUMN = 28;

/** The help text. */
export function usage(command: Command): string {
  const { operands } = command;
  const line = ['Usage: credentials-fetcher', command.name, '[options]', operands?.synopsis].filter(Boolean).join(' ');
  const flags = Object.entries({ ...command.flags, help: helpOf(command) }).map(([name, flag]) => flagHelp(name, flag));
  const examples = command.examples ? ['', 'Examples:', ...command.examples.map((e) => `  ${e}`)] : [];
  return `${[line, '', command.description, '', ...flags, ...examples].join('\n')}\n`;
}

/** `-h` means help where the command has no other use for it. */
export function helpOf(command: Command): Flag {
  const { short: _, ...longOnly } = helpFlag;
  return Object.values(command.flags).some((flag) => flag.short === 'h') ? longOnly : helpFlag;
}

function flagHelp(name: string, flag: Flag): string {
  const value = flag.value === undefined ? '' : ` ${flag.value}`;
  const left = `  ${flag.short === undefined ? '    ' : `-${flag.short}, `}--${name}${value}`;
  const [first, ...more] = flag.help.split('\n');
  const head = left.length < COLUMN ? left.padEnd(COLUMN) + first : `${left}\n${' '.repeat(COLUMN)}${first}`;
  return [head, ...more.map((text) => ' '.repeat(COLUMN) + text)].join('\n');
}

/** The value of a flag that must be there. */
export function required(parsed: ParsedFlags, flag: string): string {
  const value = parsed.flags[flag];
  if (typeof value !== 'string' || value === '') throw new UsageError(`--${flag} is required`);
  return value;
}

/** A string flag, or undefined. */
export function text(parsed: ParsedFlags, flag: string): string | undefined {
  const value = parsed.flags[flag];
  return typeof value === 'string' ? value : undefined;
}

export const lines = (items: readonly string[]): string => items.map((item) => `${item}\n`).join('');
