import { PresenceFilter } from 'ldapts';
import { wipe } from '../../../bytes.ts';
import { AdError, isAdError } from '../../../errors.ts';
import { type ManagedAccount, readManagedAccounts } from '../../../gmsa/account.ts';
import { loginManagedAccount } from '../../../gmsa/login.ts';
import { etypeName, findProfile } from '../../../krb5/crypto/index.ts';
import { askKeyRecipes } from '../../../krb5/exchanges/salt.ts';
import { activeDirectorySalt, formatPrincipal, type Principal, principal } from '../../../krb5/principal.ts';
import type { SealedConnection } from '../../../ldap/client.ts';
import { openDirectory } from '../../kerberos/directory.ts';
import { sessionContext } from '../../kerberos/session.ts';
import { adviceFor } from '../advice.ts';
import { type Check, type Finding, fail, ok, type Patient, skip, warn } from '../check.ts';

/** A sealed connection as the reader. */
export const bind: Check = {
  id: 'ldap',
  title: 'Directory',
  needs: ['controller-records', 'tgt'],
  seconds: 12,
  advice: {
    UNREACHABLE: 'check routes and firewalls; a controller goes by its DNS name here, not by its address or an alias',
  },
  async run(patient, signal) {
    const { session, client, controllers } = patient;
    patient.connection = await openDirectory(session, client!, controllers, signal);
    return [ok(`${patient.connection.server} lets ${formatPrincipal(client!.client)} in, and every byte is sealed`)];
  },
};

/** May the reader read the managed passwords, and can the accounts log on with them? */
export const managedPasswords: Check = {
  id: 'gmsa',
  title: 'gMSA',
  needs: ['ldap'],
  seconds: 15,
  async run(patient, signal) {
    const { connection, domain, gmsas, tgt } = patient;
    if (gmsas.length === 0) return [skip('no gMSA was named: add --gmsa NAME')];
    const accounts = await readManagedAccounts(connection!, domain, gmsas, signal);
    const findings = accounts.map(async (account, i): Promise<Finding[]> => {
      if (account instanceof AdError) return [fail(account.message, remedy(account, gmsas[i]!, tgt!.client))];
      try {
        const types = await accountTypes(connection!, account, signal);
        return [readable(account), ...(await logon(patient, account, signal)), ...types];
      } finally {
        const { current, previous } = account.password;
        wipe(current, ...(previous ? [previous] : []));
      }
    });
    return (await Promise.all(findings)).flat();
  },
};

/** Commands to copy: PowerShell's, and Samba's. */
function remedy(e: AdError, gmsa: string, reader: Principal): string {
  const [name, who] = [gmsa.replace(/\$$/, ''), reader.components[0]];
  const powershell = `ServiceAccount ${name} -PrincipalsAllowedToRetrieveManagedPassword`;
  const samba = 'samba-tool service-account';
  return adviceFor(e, {
    NOT_ALLOWED:
      `Set-AD${powershell} (those there are, and ${who}), or ${samba} group-msa-membership add --name=${name} ` +
      `--principal=${who}; a group that the reader has joined counts with its next ticket`,
    NO_SUCH_ACCOUNT:
      `check the name (Get-ADServiceAccount) and the domain, or make it: New-AD${powershell} ${who} -DNSHostName HOST, ` +
      `or ${samba} create --name=${name} --dns-host-name=HOST`,
    ACCOUNT_DISABLED: `Enable-ADAccount '${name}$', or samba-tool user enable '${name}$'`,
  });
}

/** msDS-SupportedEncryptionTypes, MS-KILE 2.2.7. */
const AES_TYPES = 0x18;

/** Which types the account says it supports: by these the KDC chooses how tickets for its services are encrypted. */
async function accountTypes(
  connection: SealedConnection,
  { samAccountName, distinguishedName }: ManagedAccount,
  signal: AbortSignal,
): Promise<Finding[]> {
  const [entry] = await connection.search({
    base: distinguishedName,
    scope: 'base',
    filter: new PresenceFilter({ attribute: 'objectClass' }),
    attributes: { 'msDS-SupportedEncryptionTypes': 'text' },
    signal,
  });
  const types = Number(entry?.text.get('msds-supportedencryptiontypes')?.[0] ?? 0);
  if (types & AES_TYPES) return [ok(`${samAccountName} supports AES (msDS-SupportedEncryptionTypes ${types})`)];
  const text =
    types === 0
      ? `${samAccountName} does not say which encryption it supports, so tickets for it may come with RC4`
      : `${samAccountName} says it supports no AES (msDS-SupportedEncryptionTypes ${types})`;
  return [
    warn(text, `Set-ADServiceAccount ${samAccountName.replace(/\$$/, '')} -KerberosEncryptionType AES128,AES256`),
  ];
}

function readable(account: ManagedAccount): Finding {
  const changes = new Date(Date.now() + Number(account.password.queryPasswordInterval / 10_000n));
  return ok(`the managed password of ${account.samAccountName} can be read; it changes at ${changes.toISOString()}`);
}

async function logon({ session, realm }: Patient, account: ManagedAccount, signal: AbortSignal): Promise<Finding[]> {
  const name = account.samAccountName;
  const context = sessionContext(session);
  try {
    const ticket = await loginManagedAccount(context, account, realm, signal);
    wipe(ticket.key.value);
    const { hints } = await askKeyRecipes(context, principal(realm, name), signal);
    const [best] = hints;
    if (!best) return [ok(`${name} logs on`)];
    const usual = activeDirectorySalt('computer', name, realm);
    const salt = best.salt === undefined || best.salt === usual ? 'the usual salt' : `salt ${best.salt}`;
    const text = `${name} logs on with ${etypeName(best.etype)}, ${salt}`;
    return [
      findProfile(best.etype)?.weak
        ? warn(text, 'set msDS-SupportedEncryptionTypes of the account to 24 (AES)')
        : ok(text),
    ];
  } catch (e) {
    if (!isAdError(e)) throw e;
    return [fail(`${name} cannot log on: ${e.message}`, adviceFor(e))];
  }
}
