/** Writes the manual pages of the client's commands from the table that their help texts come from: `npm run man`. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Command, helpOf } from '../src/cli/command.ts';
import { allCommands } from '../src/cli/main.ts';

/** Of the pages, since their text alone shall decide whether they are up to date. */
const DATE = '2026-11-23';

/** roff's special characters as text: a dash that can be copied, a backslash, what is not ASCII. */
function roff(text: string): string {
  const plain = text
    .replace(/\\/g, '\\e')
    .replace(/-/g, '\\-')
    .replace(/\P{ASCII}/gu, (c) => `\\[u${c.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}]`);
  return plain.replace(/^(?=[.'])/gm, '\\&');
}

/** The page of one command, section 1. */
export function manualPage(command: Command): string {
  const name = `credentials-fetcher-${command.name}`;
  const flags = Object.entries({ ...command.flags, help: helpOf(command) }).map(([flag, { short, value, help }]) => {
    const names = [...(short === undefined ? [] : [`-${short}`]), `--${flag}`].map((n) => `\\fB${roff(n)}\\fR`);
    const operand = value === undefined ? '' : ` \\fI${roff(value)}\\fR`;
    return `.TP\n${names.join(', ')}${operand}\n${sentence(help)}`;
  });
  const examples = command.examples ? ['.SH EXAMPLES', '.EX', ...command.examples.map(roff), '.EE'] : [];
  return `${[
    `.\\" Written by npm run man.`,
    `.TH ${roff(name.toUpperCase())} 1 ${DATE} "credentials\\-fetcher" "User Commands"`,
    '.SH NAME',
    `${roff(name)} \\- ${roff(command.summary)}`,
    '.SH SYNOPSIS',
    `.B credentials\\-fetcher ${command.name}`,
    `.RI [ options ]${command.operands ? ` " ${roff(command.operands.synopsis)}"` : ''}`,
    '.SH DESCRIPTION',
    roff(command.description),
    '.SH OPTIONS',
    ...flags,
    ...examples,
    '.SH SEE ALSO',
    '.BR credentials\\-fetcher (1)',
  ].join('\n')}\n`;
}

function sentence(help: string): string {
  const text = help.replace(/\n/g, ' ');
  // A name such as gMSA keeps its small letter.
  const first = /^[a-z][a-z ]/.test(text) ? text[0]!.toUpperCase() : text[0]!;
  return `${roff(first + text.slice(1))}.`;
}

export const pageFile = (command: Command): string => `credentials-fetcher-${command.name}.1`;

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const directory = join(import.meta.dirname, '../docs/man');
  for (const command of await allCommands()) writeFileSync(join(directory, pageFile(command)), manualPage(command));
}
