/** Shell completion, written from the table of commands and their flags. */
import { UsageError } from '../flags.ts';
import { type Command, type Completes, type FlagTable, helpOf } from './command.ts';

const PROGRAM = 'credentials-fetcher';

/** @param load all commands, this one among them */
export function completionOf(load: () => Promise<readonly Command[]>): Command {
  return {
    name: 'completion',
    summary: 'print a script that completes commands and flags in a shell',
    description: `For bash and zsh: put  source <(credentials-fetcher completion bash)  into the shell's startup file.
For fish: credentials-fetcher completion fish > ~/.config/fish/completions/credentials-fetcher.fish`,
    flags: {},
    operands: { synopsis: 'bash|zsh|fish', most: 1, completes: 'word', words: ['bash', 'zsh', 'fish'] },
    async run({ positionals: [shell] }, terminal) {
      const write = shell !== undefined && Object.hasOwn(shells, shell) ? shells[shell] : undefined;
      if (!write) throw new UsageError('name a shell: bash, zsh or fish');
      terminal.out(write(await load()));
    },
  };
}

const shells: Readonly<Record<string, (commands: readonly Command[]) => string>> = { bash, zsh, fish };

const flagsOf = (command: Command): FlagTable => ({ ...command.flags, help: helpOf(command) });

/** `-c` and `--cache` of each flag that a test of its table picks. */
function flagWords(flags: FlagTable, takesValue?: boolean): string[] {
  return Object.entries(flags)
    .filter(([, flag]) => takesValue === undefined || (flag.type === 'string') === takesValue)
    .flatMap(([name, { short }]) => [...(short === undefined ? [] : [`-${short}`]), `--${name}`]);
}

const filesOf: Readonly<Record<Completes, string>> = { file: '-f', directory: '-d', command: '-c', word: '' };

function bash(commands: readonly Command[]): string {
  const cases = commands.map((command) => {
    const flags = flagsOf(command);
    const values = Object.entries(flags)
      .filter(([, flag]) => flag.type === 'string')
      .map(([name, flag]) => {
        const words = [...(flag.short === undefined ? [] : [`-${flag.short}`]), `--${name}`].join('|');
        const files = filesOf[flag.completes ?? 'word'];
        return `        ${words}) ${files ? `COMPREPLY=($(compgen ${files} -- "$cur"))` : 'COMPREPLY=()'}; return ;;`;
      });
    const operand = filesOf[command.operands?.completes ?? 'word'];
    const words = command.operands?.words?.join(' ') ?? '';
    return `    ${command.name})
      case $prev in
${[...values, '        *) ;;'].join('\n')}
      esac
      if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W '${flagWords(flags).join(' ')}' -- "$cur"))
      else COMPREPLY=($(compgen ${operand} -W '${words}' -- "$cur")); fi ;;`;
  });
  const names = commands.map((command) => command.name).join(' ');
  return `# bash completion for ${PROGRAM}
_credentials_fetcher() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]}
  if [[ $COMP_CWORD -eq 1 ]]; then COMPREPLY=($(compgen -W '${names} --help --version' -- "$cur")); return; fi
  case \${COMP_WORDS[1]} in
${cases.join('\n')}
    *) ;;
  esac
}
complete -F _credentials_fetcher ${PROGRAM}
`;
}

/** Text inside single quotes of zsh and fish alike, on one line. */
const quoted = (text: string): string => `'${text.replace(/\n/g, ' ').replace(/'/g, "'\\''")}'`;
/** Characters that mean something within an _arguments specification. */
const specified = (text: string): string => text.replace(/[[\]:\\]/g, '\\$&');

const zshActions: Readonly<Record<Completes, string>> = {
  file: '_files',
  directory: '_files -/',
  command: '_command_names -e',
  word: ' ',
};

function zsh(commands: readonly Command[]): string {
  const cases = commands.map((command) => {
    const flags = Object.entries(flagsOf(command)).flatMap(([name, flag]) => {
      const value = flag.type === 'string' ? `:${flag.value ?? 'VALUE'}:${zshActions[flag.completes ?? 'word']}` : '';
      const spellings = [...(flag.short === undefined ? [] : [`-${flag.short}`]), `--${name}`];
      return spellings.map((word) => quoted(`${word}[${specified(flag.help)}]${value}`));
    });
    const { operands } = command;
    const action = operands?.words ? `(${operands.words.join(' ')})` : zshActions[operands?.completes ?? 'word'];
    const rest = operands ? [quoted(`*:${specified(operands.synopsis)}:${action}`)] : [];
    return `        ${command.name}) _arguments ${[...flags, ...rest].join(' \\\n          ')} ;;`;
  });
  const names = commands.map((command) => quoted(`${command.name}:${specified(command.summary)}`));
  return `#compdef ${PROGRAM}
_credentials_fetcher() {
  local -a names
  names=(${names.join('\n    ')})
  if (( CURRENT == 2 )); then _describe command names; return; fi
  local name=$words[2]
  shift words
  (( CURRENT-- ))
  case $name in
${cases.join('\n')}
  esac
}
(( $+functions[compdef] )) && compdef _credentials_fetcher ${PROGRAM}
`;
}

function fish(commands: readonly Command[]): string {
  const lines = commands.flatMap((command) => {
    const on = `-n '__fish_seen_subcommand_from ${command.name}'`;
    const flags = Object.entries(flagsOf(command)).map(([name, flag]) => {
      const short = flag.short === undefined ? '' : ` -s ${flag.short}`;
      const value = flag.type === 'string' ? (flag.completes && flag.completes !== 'word' ? ' -r -F' : ' -x') : '';
      return `complete -c ${PROGRAM} ${on}${short} -l ${name}${value} -d ${quoted(flag.help)}`;
    });
    const { operands } = command;
    const takesFiles = operands?.completes === 'file' || operands?.completes === 'directory';
    const more = operands?.words
      ? [`complete -c ${PROGRAM} ${on} -a '${operands.words.join(' ')}'`]
      : takesFiles
        ? [`complete -c ${PROGRAM} ${on} -F`]
        : operands?.completes === 'command'
          ? [`complete -c ${PROGRAM} ${on} -a '(__fish_complete_command)'`]
          : [];
    return [
      `complete -c ${PROGRAM} -n __fish_use_subcommand -a ${command.name} -d ${quoted(command.summary)}`,
      ...flags,
      ...more,
    ];
  });
  return [`# fish completion for ${PROGRAM}`, `complete -c ${PROGRAM} -f`, ...lines, ''].join('\n');
}
