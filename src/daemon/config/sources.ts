/**
 * Where each setting comes from: a flag, the environment, /etc/credentials-fetcher.conf, the ECS agent's ecs.config, or
 * its default, in this order. What is set to nothing counts as not set, as in the shell's ${X:-default}.
 */
import { messageOf } from '../../errors.ts';
import { nearest } from '../../flags.ts';
import { MAX_SETTINGS_FILE, parseSettingsFile } from './files.ts';
import {
  fileSettings,
  isOurs,
  type Setting,
  type SettingName,
  settingNames,
  settings,
  variablesOf,
  withoutEffect,
} from './settings.ts';
import type { Writer } from './settings-file.ts';

/** A setting's text and who gave it. */
export interface Found {
  readonly text: string;
  /** How its user called it, for messages: `--krb-dir`, `CF_KRB_DIR`, `/etc/x.conf:3: CF_KRB_DIR`. */
  readonly label: string;
  /** `flag`, `environment`, `/etc/x.conf:3` or `default`. */
  readonly source: string;
  /** The smaller wins. */
  readonly rank: number;
}

/** What the settings are read from. */
export interface Surroundings {
  readonly flags: Readonly<Record<string, string | boolean | undefined>>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The text of a file, or undefined when there is none. @throws when it cannot be read */
  readonly readFile: (path: string) => string | undefined;
  /** Who may write a file that should not; nobody is asked about when absent. */
  readonly writerOf?: (path: string) => Writer | undefined;
}

export interface Sources {
  readonly found: Readonly<Record<SettingName, Found>>;
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
}

const ranks = { flag: 0, environment: 1, file: 2, ecs: 3, default: 4 } as const;
type FileRank = typeof ranks.file | typeof ranks.ecs;

export function findSettings(around: Surroundings): Sources {
  const problems: string[] = [];
  const warnings: string[] = [];
  const inFiles = new Map<SettingName, Found>();
  // From the weaker file to the stronger, and from line to line: the last word stays.
  for (const [name, rank] of [
    ['ecs-config', ranks.ecs],
    ['config', ranks.file],
  ] as const) {
    const place = fromFlagOrVariable(name, fileSettings[name], around, problems);
    const path = place?.text ?? fileSettings[name].fallback;
    try {
      const text = around.readFile(path);
      if (text !== undefined) {
        readSettings(path, text, rank, inFiles, warnings);
        const writer = around.writerOf?.(path);
        // Settings that are passed over in silence would do as much harm as those that anybody may set.
        if (writer === 'everybody') problems.push(`${path} can be written by everybody: chmod o-w ${path}`);
        else if (writer) warnings.push(`${path} can be written by ${writer}, and says who may read tickets`);
      }
      if (text === undefined && place) problems.push(`${place.label}: there is no file ${path}`);
    } catch (e) {
      // A file that nobody asked for must not keep the daemon from running.
      (place ? problems : warnings).push(`cannot read ${path}: ${messageOf(e)}`);
    }
  }
  const found = {} as Record<SettingName, Found>;
  for (const name of settingNames) {
    found[name] = fromFlagOrVariable(name, settings[name], around, problems) ??
      inFiles.get(name) ?? {
        text: settings[name].fallback,
        label: `--${name}`,
        source: 'default',
        rank: ranks.default,
      };
  }
  for (const [name, { text, label }] of Object.entries(found)) {
    if (!/\p{Cc}/u.test(text)) continue;
    problems.push(`${label} contains a control character`);
    found[name as SettingName] = { ...found[name as SettingName], text: settings[name as SettingName].fallback };
  }
  warnings.push(...unknownVariables(around.env));
  return { found, problems, warnings };
}

function fromFlagOrVariable(
  name: string,
  setting: Setting,
  around: Surroundings,
  problems: string[],
): Found | undefined {
  const flag = around.flags[name];
  if (flag === '') problems.push(`--${name} needs a value`);
  else if (typeof flag === 'string') return { text: flag, label: `--${name}`, source: 'flag', rank: ranks.flag };
  for (const variable of variablesOf(setting)) {
    const text = around.env[variable];
    if (text) return { text, label: variable, source: 'environment', rank: ranks.environment };
  }
  return undefined;
}

/** Each name that may stand in a file, in lower case, with its setting. */
const keys = new Map<string, SettingName>();
const spellings: string[] = [];
for (const name of settingNames) {
  const setting: Setting = settings[name];
  for (const key of [...variablesOf(setting), ...(setting.key ? [setting.key] : [])]) {
    keys.set(key.toLowerCase(), name);
    spellings.push(key);
  }
}

function readSettings(
  path: string,
  text: string,
  rank: FileRank,
  into: Map<SettingName, Found>,
  warnings: string[],
): void {
  if (text.length > MAX_SETTINGS_FILE) throw new Error(`it has more than ${MAX_SETTINGS_FILE} characters`);
  const { lines, strange } = parseSettingsFile(text);
  for (const line of strange) warnings.push(`${path}:${line} is not NAME = VALUE and is passed over`);
  for (const { key, value, line } of lines) {
    const source = `${path}:${line}`;
    const name = rank === ranks.file || isOurs(key) ? keys.get(key.toLowerCase()) : undefined;
    if (name === undefined) {
      const warning = rank === ranks.file ? unknownKey(key) : mistypedKey(key);
      if (warning) warnings.push(`${source}: ${warning}`);
      continue;
    }
    const earlier = into.get(name);
    if (earlier?.rank === rank) warnings.push(`${source}: ${key} takes the place of ${earlier.source}`);
    if (value === '') {
      if (earlier?.rank === rank) into.delete(name);
    } else into.set(name, { text: value, label: `${source}: ${key}`, source, rank });
  }
}

const meant = (key: string, names: readonly string[]): string => {
  const near = nearest(key, names);
  return near ? `, did you mean ${near}?` : '';
};

/** Names are quoted, values never: a key that is not known may be somebody's secret. */
const unknownKey = (key: string): string | undefined =>
  withoutEffect.includes(key) ? undefined : `unknown key ${JSON.stringify(key.slice(0, 80))}${meant(key, spellings)}`;

/** The rest of the agent's file is the agent's business. */
function mistypedKey(key: string): string | undefined {
  if (withoutEffect.includes(key) || /^(ECS|AWS|DOCKER|NO_PROXY|HTTPS?_PROXY)/.test(key)) return undefined;
  const near = nearest(key, spellings.filter(isOurs));
  return near && `unknown key ${JSON.stringify(key.slice(0, 80))}, did you mean ${near}?`;
}

function unknownVariables(env: Surroundings['env']): string[] {
  const known = [
    ...[...Object.values(settings), ...Object.values(fileSettings)].flatMap((setting) => variablesOf(setting)),
    ...withoutEffect,
  ];
  return Object.keys(env)
    .filter((name) => /^(CF_|CREDENTIALS_FETCHER)/.test(name) && !known.includes(name))
    .map((name) => `unknown variable ${name}${meant(name, known)}`);
}
