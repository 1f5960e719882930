import { wipe } from '../../../bytes.ts';
import { AdError, isAdError } from '../../../errors.ts';
import { type ManagedAccount, readManagedAccounts } from '../../../gmsa/account.ts';
import { loginManagedAccount } from '../../../gmsa/login.ts';
import { etypeName, findProfile } from '../../../krb5/crypto/index.ts';
import { askKeyRecipes } from '../../../krb5/exchanges/salt.ts';
import { activeDirectorySalt, formatPrincipal, principal } from '../../../krb5/principal.ts';
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
    const { connection, domain, gmsas } = patient;
    if (gmsas.length === 0) return [skip('no gMSA was named: add --gmsa NAME')];
    const accounts = await readManagedAccounts(connection!, domain, gmsas, signal);
    const findings = accounts.map(async (account): Promise<Finding[]> => {
      if (account instanceof AdError) return [fail(account.message, adviceFor(account))];
      try {
        return [readable(account), ...(await logon(patient, account, signal))];
      } finally {
        const { current, previous } = account.password;
        wipe(current, ...(previous ? [previous] : []));
      }
    });
    return (await Promise.all(findings)).flat();
  },
};

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
