/** AWS as far as the daemon knows it, by a Python program that checks every signature with botocore. */
import { spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export interface AwsWorld {
  keys: Record<string, { secret: string; token: string; account: string; allow?: string[] }>;
  objects: Record<string, { body: string; owner: string }>;
  parameters: Record<string, string>;
  secrets: Record<string, string>;
  /** What the instance metadata service tells; absent: there is none. */
  instance?: { region: string; key: string };
  faults?: Record<string, { status: number; code: string } | { delay: number }>;
}

export interface AwsRequest {
  readonly service: string;
  readonly operation: string;
  readonly key?: string;
  readonly region?: string;
  readonly resource?: string;
  readonly owner?: string | null;
  readonly refused?: string;
}

export interface AwsServer {
  readonly url: string;
  /** For the SDK: the endpoint, no keys of its own, no metadata service but this one. */
  readonly env: Readonly<Record<string, string>>;
  /** Requests so far, apart from those for metadata; `clear` forgets them. */
  requests(): Promise<readonly AwsRequest[]>;
  clear(): Promise<void>;
  /** Replaces the world. */
  set(world: AwsWorld): Promise<void>;
  close(): void;
}

/** `skip` for tests: false, or what is missing. */
export const needsBotocore: false | string =
  spawnSync('/usr/bin/python3', ['-c', 'import botocore.auth']).status === 0
    ? false
    : 'needs botocore (Debian: python3-botocore)';

export async function startAws(world: AwsWorld): Promise<AwsServer> {
  const child = spawn('/usr/bin/python3', [join(import.meta.dirname, 'aws_server.py')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let seen: AwsRequest[] = [];
  const answers: (() => void)[] = [];
  let now = world;
  const send = (next: AwsWorld): void => void child.stdin.write(`${JSON.stringify(next)}\n`);
  const set = (next: AwsWorld): Promise<void> =>
    new Promise((resolve) => {
      now = next;
      answers.push(resolve);
      send(next);
    });
  const port = await new Promise<number>((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`the server ended with ${code}`)));
    createInterface({ input: child.stdout }).on('line', (line) => {
      const said = JSON.parse(line) as number | 'ok' | AwsRequest;
      if (typeof said === 'number') resolve(said);
      else if (said === 'ok') answers.shift()?.();
      else seen.push(said);
    });
    send(world);
  });
  const url = `http://127.0.0.1:${port}`;
  return {
    url,
    env: {
      AWS_ENDPOINT_URL: url,
      AWS_EC2_METADATA_SERVICE_ENDPOINT: url,
      AWS_CONFIG_FILE: '/nonexistent',
      AWS_SHARED_CREDENTIALS_FILE: '/nonexistent',
    },
    requests: async () => {
      await set(now); // what was told before the answer has been read by then
      return seen;
    },
    clear: async () => {
      await set(now);
      seen = [];
    },
    set,
    close: () => void child.stdin.end(),
  };
}
