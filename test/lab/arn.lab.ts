/** The ARN calls from end to end with a real domain controller. */
import { describe } from 'node:test';
import { arnScenario } from '../support/arn-scenario.ts';
import { needsBotocore } from '../support/aws-server.ts';
import { lab, labStatus, must } from './lab.ts';

const status = labStatus();
const plainName = (name: string) => name.replace(/\$$/, '');

describe('the ARN calls in a real domain', {
  skip: needsBotocore || (status.available ? false : status.reason),
}, () => {
  arnScenario(async () => ({
    realm: lab.realm,
    domain: lab.domain,
    first: { username: lab.reader.name, password: lab.reader.password, gmsa: plainName(lab.webApp.name) },
    second: { username: lab.otherReader.name, password: lab.otherReader.password, gmsa: plainName(lab.otherApp.name) },
    env: { KRB5_CONFIG: lab.paths.krb5Conf, KRB5_KTNAME: lab.host1.keytab },
    prove: async (cache) => {
      const env = { KRB5CCNAME: cache };
      await must('kvno', [`ldap/${lab.dc}`], { env });
      await must('ldapwhoami', ['-Q', '-Y', 'GSSAPI', '-N', '-H', `ldap://${lab.dc}`], { env });
      return must('klist', [], { env });
    },
  }));
});
