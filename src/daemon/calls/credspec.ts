/**
 * Credential specifications: the JSON that Docker and ECS tasks carry. Only what names the gMSA and its domain is
 * read, and the object that is for this daemon alone; everything else, and any unknown field, is let through unseen.
 */
import * as v from 'valibot';
import { MalformedError } from '../../errors.ts';
import type { FileWishes } from '../leases/file-policy.ts';
import { parseWishes, WISHES_FIELD } from '../leases/file-wishes.ts';
import { accountNameProblem, domainProblem } from '../leases/names.ts';

/** Largest credspec, in UTF-16 code units; real ones have one to four thousand. */
export const MAX_CREDSPEC_LENGTH = 64 * 1024;
/** Deepest nesting of objects and arrays; real ones have six. */
export const MAX_CREDSPEC_DEPTH = 32;
const MAX_ACCOUNTS = 256;

export interface Credspec {
  /** sAMAccountName of the gMSA without its '$', case kept. */
  readonly accountName: string;
  /** DNS name of the domain, case kept. */
  readonly domain: string;
  /** Where the reader's password is, when the credspec says so. */
  readonly credentialArn?: string;
  /** What it wishes for the files of its lease. */
  readonly files?: FileWishes;
}

const schema = v.object({
  [WISHES_FIELD]: v.optional(v.unknown()),
  DomainJoinConfig: v.object({ DnsName: v.string() }),
  ActiveDirectoryConfig: v.object({
    GroupManagedServiceAccounts: v.array(v.object({ Name: v.optional(v.string()) })),
    HostAccountConfig: v.nullish(
      v.object({
        // Windows plug-ins take one string here, which is theirs to understand.
        PluginInput: v.nullish(v.union([v.string(), v.object({ CredentialArn: v.optional(v.string()) })])),
      }),
    ),
  }),
});

const fail = (message: string, cause?: unknown): never => {
  throw new MalformedError('credspec', message, cause);
};

/**
 * Reads one credspec.
 * @param text JSON, with or without a byte order mark
 * @throws MalformedError whose message names the field that is wrong; never quotes the text
 */
export function parseCredspec(text: string): Credspec {
  if (text.length > MAX_CREDSPEC_LENGTH) fail(`is longer than ${MAX_CREDSPEC_LENGTH} characters`);
  const json = text.startsWith('\uFEFF') ? text.slice(1) : text;
  if (json.trim() === '') fail("credentialspec content shouldn't be empty");
  checkDepth(json);
  const result = v.safeParse(schema, parseJson(json), { abortEarly: true });
  if (!result.success) return fail(describe(result.issues[0]));

  const { DomainJoinConfig, ActiveDirectoryConfig } = result.output;
  const domain = DomainJoinConfig.DnsName;
  const domainWrong = domainProblem(domain);
  if (domainWrong) fail(`DomainJoinConfig.DnsName ${domainWrong}`);

  const accounts = ActiveDirectoryConfig.GroupManagedServiceAccounts;
  const where = 'ActiveDirectoryConfig.GroupManagedServiceAccounts';
  if (accounts.length > MAX_ACCOUNTS) fail(`${where} has more than ${MAX_ACCOUNTS} entries`);
  const index = accounts.findIndex((account) => account.Name !== undefined && account.Name !== '');
  if (index < 0) fail(`${where}[].Name is missing or empty`);
  // Everyone may write the name as the directory shows it; the ticket's principal gets its '$' back later.
  const accountName = accounts[index]!.Name!.replace(/\$$/, '');
  const nameWrong = accountNameProblem(accountName);
  if (nameWrong) fail(`${where}[${index}].Name ${nameWrong}`);

  const plugin = ActiveDirectoryConfig.HostAccountConfig?.PluginInput;
  const credentialArn = typeof plugin === 'object' ? plugin?.CredentialArn : undefined;
  const wishes = result.output[WISHES_FIELD];
  const files = wishes === undefined ? undefined : parseWishes(wishes, WISHES_FIELD, 'credspec');
  return { accountName, domain, ...(credentialArn ? { credentialArn } : {}), ...(files && { files }) };
}

function parseJson(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch (e) {
    // The parser's own message quotes the text around the error; a position is all that may be repeated.
    const position = /at position (\d+)/.exec((e as Error).message)?.[1];
    return fail(`is not valid JSON${position === undefined ? '' : ` (at character ${position})`}`);
  }
}

/** Refuses deep nesting before anything walks the value. Brackets inside strings do not count. */
function checkDepth(json: string): void {
  let depth = 0;
  let inString = false;
  for (let i = 0; i < json.length; i++) {
    const c = json[i];
    if (inString) {
      if (c === '\\') i++;
      else if (c === '"') inString = false;
    } else if (c === '"') inString = true;
    else if (c === '{' || c === '[') {
      if (++depth > MAX_CREDSPEC_DEPTH) fail(`is nested deeper than ${MAX_CREDSPEC_DEPTH}`);
    } else if (c === '}' || c === ']') depth--;
  }
}

/** `DomainJoinConfig.DnsName is missing`, `… must be a string`: the field and what is wrong, never its value. */
function describe(issue: v.BaseIssue<unknown>): string {
  let path = '';
  for (const item of issue.path ?? []) {
    path += typeof item.key === 'number' ? `[${item.key}]` : `${path ? '.' : ''}${String(item.key)}`;
  }
  const subject = path || 'the content';
  if (issue.received === 'undefined') return `${subject} is missing`;
  const kinds: Record<string, string> = { Object: 'an object', Array: 'an array', string: 'a string' };
  return `${subject} must be ${kinds[issue.expected ?? ''] ?? 'of another type'}`;
}
