/** A password that has expired is changed at the logon, where somebody is there to type a new one. */
import { wipe } from '../../bytes.ts';
import { UsageError } from '../../flags.ts';
import type { Credentials } from '../../krb5/credentials.ts';
import { PasswordSecret } from '../../krb5/secret.ts';
import type { Terminal } from '../terminal.ts';
import { type Proof, permittedEtypes, type Session, sessionClient } from './session.ts';

/**
 * Asks for a new password and changes it.
 * @param old taken over
 * @param armor what the logon was hidden under, for the change to be hidden too
 * @returns the proof with the new password; undefined when nobody can be asked
 * @throws as `KrbClient.changePassword`; UsageError when the two that were typed differ
 */
export async function changeExpired(
  session: Session,
  old: Proof,
  terminal: Terminal,
  armor?: Credentials,
): Promise<Proof | undefined> {
  const ask = async (question: string): Promise<Buffer | undefined> => {
    const typed = await terminal.askSecret(question);
    return typed === undefined ? undefined : Buffer.from(typed, 'utf8');
  };
  const typed = await ask('Password expired.  You must change it now.\nEnter new password: ');
  if (!typed) return undefined;
  const again = (await ask('Enter it again: ')) ?? Buffer.alloc(0);
  const client = sessionClient(session, old, [], armor);
  try {
    if (typed.length === 0) throw new UsageError('the password is empty');
    if (!typed.equals(again)) throw new UsageError('the two passwords are not the same');
    await client.changePassword(typed);
    const { principal } = old;
    const salt = principal.realm + principal.components.join('');
    return { principal, secret: new PasswordSecret(typed, salt, permittedEtypes(session.config)) };
  } finally {
    client.close();
    wipe(typed, again);
  }
}
