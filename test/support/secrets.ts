/** Looks for secrets in what a program wrote, in whatever form a careless line may have put them. */

/** The ways a secret of bytes may be written down: as it is, in hex, in base64 wherever it began in the text. */
function formsOfBytes(secret: Uint8Array): Buffer[] {
  const raw = Buffer.from(secret);
  const hex = raw.toString('hex');
  const forms = [
    hex,
    hex.toUpperCase(),
    hex.replace(/..(?=.)/g, '$& '),
    hex.replace(/..(?=.)/g, '$&:'),
    [...raw].join(','),
  ];
  for (const lead of [0, 1, 2]) {
    // Only the groups of three that are the secret's alone: those at its ends depend on what stands beside it.
    const from = (3 - lead) % 3;
    const whole = raw.subarray(from, from + Math.floor((raw.length - from) / 3) * 3);
    forms.push(whole.toString('base64'), whole.toString('base64url'));
  }
  return [raw, ...forms.map((form) => Buffer.from(form))];
}

/** @param secret text, looked for as UTF-8 and UTF-16, or bytes; of five bytes at least */
export function formsOf(secret: string | Uint8Array): Buffer[] {
  if (typeof secret !== 'string') return formsOfBytes(secret);
  const text = [JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret), [...secret].reverse().join('')];
  const bytes = [Buffer.from(secret, 'utf8'), Buffer.from(secret, 'utf16le')];
  return [...bytes.flatMap(formsOfBytes), ...text.map((form) => Buffer.from(form))];
}

/** The names of the secrets that stand in `written` in some form. */
export function secretsIn(written: Uint8Array, secrets: ReadonlyMap<string, string | Uint8Array>): string[] {
  const text = Buffer.from(written);
  return [...secrets].filter(([, secret]) => formsOf(secret).some((form) => text.includes(form))).map(([name]) => name);
}
