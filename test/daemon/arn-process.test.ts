/** The ARN calls from end to end with the embedded domain. */
import { existsSync } from 'node:fs';
import { after, describe } from 'node:test';
import { arnScenario } from '../support/arn-scenario.ts';
import { needsBotocore } from '../support/aws-server.ts';
import { needs } from '../support/programs.ts';
import { type Harness, startHarness } from '../testdomain/domain.ts';

const grpcio = existsSync('/usr/lib/python3/dist-packages/grpc_tools')
  ? false
  : 'needs python3-grpcio python3-grpc-tools';

describe('the ARN calls in the embedded domain', { skip: needsBotocore || grpcio || needs('klist', 'kvno') }, () => {
  let harness: Harness;
  after(() => harness?.stop());
  arnScenario(async () => {
    const first = { username: 'alice', password: 'Alice-Passw0rd-1', gmsa: 'WebApp01' };
    const second = { username: 'bob', password: 'Bob-Passw0rd-2', gmsa: 'OtherApp' };
    harness = await startHarness({
      users: [first, second].map((u) => ({ name: u.username, password: u.password })),
      gmsas: [first, second].map((u) => ({ name: u.gmsa, readers: [u.username] })),
    });
    const { domain, env, run } = harness;
    return {
      realm: domain.realm,
      domain: domain.domain,
      first,
      second,
      env: { KRB5_CONFIG: env.KRB5_CONFIG!, DOMAIN_CONTROLLER_GMSA: `localhost:${domain.ldapPort}` },
      prove: async (cache) => {
        const kvno = await run('kvno', ['-c', cache, 'HTTP/web.example.test']);
        if (kvno.code !== 0) throw new Error(kvno.stderr);
        return (await run('klist', ['-c', cache])).stdout;
      },
    };
  });
});
