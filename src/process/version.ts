import { readFileSync } from 'node:fs';

/** From package.json, which stands one directory above this file, both in src/ and in dist/. */
export const version = (): string => {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
};
