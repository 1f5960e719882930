/** AWS with its SDK loaded at the first question: most daemons never ask one. */
import type { Aws, AwsOptions } from '../../accounts/aws/types.ts';

export function lazyAws(options: AwsOptions): Aws {
  let opening: Promise<Aws> | undefined;
  const get = (): Promise<Aws> => {
    opening ??= import('../../accounts/aws/session.ts').then(({ openAws }) => openAws(options));
    return opening;
  };
  return {
    object: async (...question) => (await get()).object(...question),
    parameter: async (...question) => (await get()).parameter(...question),
    secret: async (...question) => (await get()).secret(...question),
    close: () =>
      void opening?.then(
        (aws) => aws.close(),
        () => undefined,
      ),
  };
}
